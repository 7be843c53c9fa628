"""Errors for requests that cannot be translated, in OpenAI's wording. Pure.

Source: OpenAI's recorded answers to faulty chat requests: codes `invalid_type`,
`missing_required_parameter`, `invalid_value`, `decimal_above_max_value` and similar ones.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from jarvis_proxy.errors import ProxyError

_T = TypeVar("_T")
DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoders of JSON raise; ``msgspec.ValidationError`` is one of them."""
_MISSING: Final = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_EXPECTED: Final = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<got>[^`]+)`")
_WORDS: Final = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}


def invalid(param: str, message: str, code: str = "invalid_value") -> ProxyError:
    """Return the 400 for an invalid value."""
    return ProxyError(400, message, code=code, param=param)


def unknown_value(param: str, value: str, known: Iterable[str]) -> ProxyError:
    """Return the 400 for a value that is not one of *known*, which the message lists."""
    *names, last = (f"'{name}'" for name in known)
    comma = "," if len(names) > 1 else ""
    supported = f"{', '.join(names)}{comma} and {last}" if names else last
    return invalid(param, f"Invalid value: '{value[:64]}'. Supported values are: {supported}.")


def missing(param: str) -> ProxyError:
    """Return the 400 for a missing required field."""
    message = f"Missing required parameter: '{param}'."
    return invalid(param, message, "missing_required_parameter")


def required(value: _T | None, param: str) -> _T:
    """Return *value*, which is required.

    Raises:
        ProxyError: 400 `missing_required_parameter`.
    """
    if value is None:
        raise missing(param)
    return value


def wrong_type(param: str, wanted: str, value: object) -> ProxyError:
    """Return the 400 for a value of the wrong JSON type; *wanted* is in words."""
    message = (
        f"Invalid type for '{param}': expected {wanted}, but got {json_type_name(value)} instead."
    )
    return invalid(param, message, "invalid_type")


def out_of_range(
    param: str, value: float, *, low: float | None = None, high: float | None = None
) -> ProxyError:
    """Return the 400 for a number below *low* or, with *low* None, above *high*."""
    below = low is not None
    bound = low if below else high
    number = "integer" if isinstance(value, int) and isinstance(bound, int) else "decimal"
    message = (
        f"Invalid '{param}': {number} {'below minimum' if below else 'above maximum'} value. "
        f"Expected a value {'>=' if below else '<='} {bound}, but got {value} instead."
    )
    side = "below_min" if below else "above_max"
    return invalid(param, message, f"{number}_{side}_value")


def from_decode_error(exc: Exception) -> ProxyError:
    """Return the 400 for a body that raised one of ``DECODE_ERRORS``."""
    if isinstance(exc, msgspec.ValidationError):
        return from_msgspec_error(exc)
    is_deep = isinstance(exc, RecursionError)
    message = "The body is nested too deeply." if is_deep else f"The body is not valid JSON: {exc}."
    return ProxyError(400, message, code="invalid_json", should_retry=False)


def check_range(param: str, value: float, low: float, high: float) -> None:
    """Reject a number that is not between *low* and *high* inclusive.

    Raises:
        ProxyError: 400, with OpenAI's code for the exceeded bound and the kind of number.
    """
    if value < low:
        raise out_of_range(param, value, low=low)
    if value > high:
        raise out_of_range(param, value, high=high)


def convert(value: object, wanted: type[_T], param: str) -> _T:
    """Return *value*, decoded JSON, converted to the type *wanted*.

    Raises:
        ProxyError: 400 with the path below *param*.
    """
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as exc:
        raise from_msgspec_error(exc, param) from exc


def from_msgspec_error(exc: msgspec.ValidationError, param: str = "") -> ProxyError:
    """Return the 400 for a value of the wrong type, with a param like ``messages[0].content``."""
    detail, _, path = str(exc).partition(" - at `$")
    path = path.removesuffix("`").partition("[...]")[0]
    where = (param + path) if param else path.removeprefix(".")
    if found := _MISSING.search(detail):
        return missing(f"{where}.{found['field']}" if where else found["field"])
    if found := _EXPECTED.search(detail):
        wanted = " or ".join(_words(found["wanted"]))
        detail = f"expected {wanted}, but got {_words(found['got'])[0]} instead"
    return invalid(where, f"Invalid type for '{where}': {detail}.", "invalid_type")


def json_type_name(value: object) -> str:
    """Return the value's JSON type in words, as in OpenAI's messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def _words(types: str) -> list[str]:
    names = types.split(" | ")
    return [_WORDS.get(name, name) for name in names if name != "null" or len(names) == 1]
