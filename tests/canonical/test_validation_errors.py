"""faults: what is wrong with a request, in OpenAI's words."""

import msgspec
import pytest

from jarvis_proxy.canonical.validation_errors import (
    DECODE_ERRORS,
    check_range,
    convert,
    from_decode_error,
    from_msgspec_error,
    invalid,
    json_type_name,
    missing,
    out_of_range,
    required,
    unknown_value,
    wrong_type,
)
from jarvis_proxy.errors import ProxyError


def said(error: ProxyError) -> tuple[int, object, str | None, str]:
    return error.status, error.code, error.param, error.message


def test_a_value_that_cannot_be_is_a_400_with_its_param() -> None:
    assert said(invalid("n", "No.")) == (400, "invalid_value", "n", "No.")


def test_a_missing_field_reads_as_openai_says_it() -> None:
    assert said(missing("messages[1].content[0].type")) == (
        400,
        "missing_required_parameter",
        "messages[1].content[0].type",
        "Missing required parameter: 'messages[1].content[0].type'.",
    )


def test_a_wrong_type_names_both_types() -> None:
    assert said(wrong_type("google", "an object", 3)) == (
        400,
        "invalid_type",
        "google",
        "Invalid type for 'google': expected an object, but got an integer instead.",
    )


def test_a_required_value_passes_and_its_absence_does_not() -> None:
    assert required(0, "x") == 0
    with pytest.raises(ProxyError, match="Missing required parameter: 'x'"):
        required(None, "x")


@pytest.mark.parametrize(
    ("value", "low", "high", "code", "words"),
    [
        (99.0, 0, 2, "decimal_above_max_value", "a value <= 2, but got 99.0"),
        (-0.5, 0, 2, "decimal_below_min_value", "a value >= 0, but got -0.5"),
        (9, 1, 8, "integer_above_max_value", "a value <= 8, but got 9"),
        (0, 1, 8, "integer_below_min_value", "a value >= 1, but got 0"),
    ],
)
def test_numbers_out_of_range(value: float, low: float, high: float, code: str, words: str) -> None:
    with pytest.raises(ProxyError) as caught:
        check_range("p", value, low, high)

    assert (code, "p") == (caught.value.code, caught.value.param)
    assert words in caught.value.message


@pytest.mark.parametrize("value", [0, 2, 1.5])
def test_the_ends_of_a_range_belong_to_it(value: float) -> None:
    check_range("p", value, 0, 2)


def test_an_integer_against_a_decimal_bound_is_a_decimal() -> None:
    assert out_of_range("p", 3, high=2.5).code == "decimal_above_max_value"


class Inner(msgspec.Struct):
    name: str
    size: int | None = None


class Outer(msgspec.Struct):
    items: list[Inner]
    extra: dict[str, int] | None = None


@pytest.mark.parametrize(
    ("value", "param", "code", "words"),
    [
        ({"items": [{"name": 1}]}, "t.items[0].name", "invalid_type", "expected a string, but"),
        ({"items": [{}]}, "t.items[0].name", "missing_required_parameter", "Missing required"),
        ({"items": [{"name": "a", "size": "x"}]}, "t.items[0].size", "invalid_type", "an integer"),
        ({"items": [], "extra": {"k": "v"}}, "t.extra", "invalid_type", "expected an integer"),
        ([], "t", "invalid_type", "expected an object, but got an array instead"),
        ({}, "t.items", "missing_required_parameter", "'t.items'"),
    ],
)
def test_what_does_not_fit_a_type_is_reported_with_its_path(
    value: object, param: str, code: str, words: str
) -> None:
    with pytest.raises(ProxyError) as caught:
        convert(value, Outer, "t")

    assert (param, code) == (caught.value.param, caught.value.code)
    assert words in caught.value.message


def test_what_fits_is_given_typed() -> None:
    assert Inner("a", 2) == convert({"name": "a", "size": 2, "other": 1}, Inner, "t")


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"[]", "", "Invalid type for '': expected an object"),
        (b"{}", "items", "Missing required parameter: 'items'."),
        (b'{"items":null}', "items", "expected an array, but got null"),
        (b'{"items":[],"extra":{"a":1e999}}', "extra", "Number out of range"),
    ],
)
def test_whole_bodies_have_paths_without_a_root(body: bytes, param: str, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Outer)
    error = from_msgspec_error(caught.value)

    assert param == error.param
    assert words in error.message


def test_json_types_are_named_in_words() -> None:
    values: list[object] = [None, True, 1, 1.5, "x", [], {}]
    expected = ["null", "a boolean", "an integer", "a number", "a string", "an array", "an object"]

    assert expected == [json_type_name(value) for value in values]


@pytest.mark.parametrize(
    ("known", "words"),
    [(("a",), "'a'"), (("a", "b"), "'a' and 'b'"), (("a", "b", "c"), "'a', 'b', and 'c'")],
)
def test_unknown_value_names_the_known_ones(known: tuple[str, ...], words: str) -> None:
    error = unknown_value("mode", "x" * 100, known)

    assert error.message == f"Invalid value: '{'x' * 64}'. Supported values are: {words}."
    assert (error.status, error.code, error.param) == (400, "invalid_value", "mode")


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b"{", "invalid_json", "The body is not valid JSON: "),
        (b'{"a":"\xff"}', "invalid_json", "The body is not valid JSON: "),
        (b"[" * 5000, "invalid_json", "The body is nested too deeply."),
        (b'{"a":"x"}', "invalid_type", "Invalid type for "),
    ],
)
def test_body_that_cannot_be_decoded_is_a_400(body: bytes, code: str, words: str) -> None:
    with pytest.raises(DECODE_ERRORS) as failed:
        msgspec.json.decode(body, type=dict[str, int] if code == "invalid_type" else object)
    error = from_decode_error(failed.value)

    assert (error.status, error.code) == (400, code)
    assert error.message.startswith(words)
