"""Bodies are read as Google reads them: names in two spellings, numbers as strings."""

import json
from typing import Any

import pytest

from jarvis_proxy.dialects.generate_content.types import camel_keys, decode_object
from jarvis_proxy.errors import ProxyError


def test_names_of_the_clients_own_stay() -> None:
    value = {
        "generation_config": {"response_json_schema": {"my_key": 1}, "top_k": 1},
        "contents": [{"parts": [{"function_call": {"args": {"my_key": [{"a_b": 1}]}}}]}],
        "labels": {"my_key": "x"},
    }

    assert camel_keys(value) == {
        "generationConfig": {"responseJsonSchema": {"my_key": 1}, "topK": 1},
        "contents": [{"parts": [{"functionCall": {"args": {"my_key": [{"a_b": 1}]}}}]}],
        "labels": {"my_key": "x"},
    }


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert decode_object(b'{"contents":"\\ud83d"}') == {"contents": "\ufffd"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"contents":', "invalid_json"),
        (b'{"contents":"\xff"}', "invalid_json"),
        (b'{"a":' * 5000, "invalid_json"),
        (json.dumps({"a_b": [0] * 500_001}).encode(), "array_above_max_length"),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        decode_object(body)

    assert (caught.value.status, caught.value.code) == (400, code)


def test_names_that_nest_too_deeply_are_refused() -> None:
    value: Any = {}
    for _ in range(900):
        value = {"a_b": value}

    with pytest.raises(ProxyError) as caught:
        decode_object(json.dumps(value).encode())

    assert caught.value.code == "invalid_json"
