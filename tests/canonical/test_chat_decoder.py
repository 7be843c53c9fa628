"""Bodies of canonical requests: decoded once, within bounds."""

import json

import pytest

from jarvis_proxy.canonical.chat_decoder import DecodedChat, chat_in, decode_chat
from jarvis_proxy.errors import ProxyError
from tests.upstreams.gemini.chat import asking, user


def test_a_body_is_decoded_into_a_box_that_is_taken_once() -> None:
    body = json.dumps(asking(temperature=0.5)).encode()
    decoded = decode_chat(body)

    assert decoded.size >= len(body)
    assert chat_in(decoded).temperature == 0.5
    taken = decoded.take()
    assert isinstance(taken, DecodedChat)
    assert (taken.request.temperature, taken.size) == (0.5, len(body))
    assert decoded.take() is None


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    decoded = decode_chat(b'{"messages":[{"role":"user","content":"a\\ud800"}]}')

    assert chat_in(decoded).messages[0].content == "a\ufffd"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b'{"messages":[', "invalid_json", None),
        (b'{"tools":[' + b'{"a":' * 100_000, "invalid_json", None),
        (b"{}", "missing_required_parameter", "messages"),
        (b'{"messages":[]}', "empty_array", "messages"),
        (b'{"messages":"hi"}', "invalid_type", "messages"),
        (b'{"messages":[{"role":"user"}],"n":"x"}', "invalid_type", "n"),
        (json.dumps({"messages": [user()] * 20_001}).encode(),
         "array_above_max_length", "messages"),
        (json.dumps({"messages": [user()], "x": [0] * 500_001}).encode(),
         "array_above_max_length", None),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_what_is_no_request_is_a_400(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(ProxyError) as refused:
        decode_chat(body)

    error = refused.value
    assert (error.status, error.code, error.param) == (400, code, param)
