"""Bodies to typed values, and names of params."""

import msgspec
import pytest

from jarvis_proxy.dialects.request_fields import (
    FixedParams,
    check_choice,
    decode_body,
    unsuitable_model,
)
from jarvis_proxy.errors import ProxyError


class _Body(msgspec.Struct):
    size: int = 0
    name: str = ""


DECODER = msgspec.json.Decoder(_Body)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b'{"size":"x"}', "invalid_type", "size"),
        (b"{", "invalid_json", None),
        (b'{"a":' + b"[" * 5000, "invalid_json", None),
        (b'{"name":"\xff"}', "invalid_json", None),
        (b'{"size":[' + b"0," * 600_000 + b"0]}", "array_above_max_length", None),
    ],
)
def test_a_wrong_body_is_a_400(body: bytes, code: str, param: str | None) -> None:
    with pytest.raises(ProxyError) as refused:
        decode_body(DECODER, body)

    assert (refused.value.status, refused.value.code) == (400, code)
    assert refused.value.param == param


def test_a_body_is_decoded() -> None:
    assert decode_body(DECODER, b'{"size":3,"more":[]}').size == 3


def test_the_longest_beginning_names_the_param() -> None:
    params = FixedParams({"messages": "input", "messages[0]": "instructions"})

    assert params.param("messages[1].content") == "input"
    assert params.param("messages[0].content") == "instructions"
    assert params.param("temperature") == "temperature"


def test_a_value_that_is_not_known_is_refused_with_those_that_are() -> None:
    check_choice("format", None, ("wav", "pcm"))
    check_choice("format", "wav", ("wav", "pcm"))
    with pytest.raises(
        ProxyError, match=r"'x{64}'\. Supported values are: 'wav' and 'pcm'\."
    ) as refused:
        check_choice("format", "x" * 100, ("wav", "pcm"))

    assert (refused.value.status, refused.value.code) == (400, "invalid_value")
    assert refused.value.param == "format"


def test_a_model_that_does_not_fit_is_named() -> None:
    error = unsuitable_model("m", "does not speak.")

    assert error.message == "The model `m` does not speak."
    assert (error.status, error.code, error.param) == (400, "unsupported_value", "model")
