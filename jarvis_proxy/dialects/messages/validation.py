"""Errors for invalid requests in Anthropic's wording: ``messages.0.content: Field required``. Pure.

Source: Anthropic's recorded answers to faulty requests.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec

from jarvis_proxy.errors import ProxyError

_T = TypeVar("_T")
_MISSING: Final = re.compile(r"Object missing required field `([^`]+)`")
_EXPECTED: Final = re.compile(r"Expected `([^`| ]+)[^`]*`")
_INDEX: Final = re.compile(r"\[(\d+)\]")
_WORDS: Final = {
    "array": "list",
    "bool": "boolean",
    "float": "number",
    "int": "integer",
    "object": "dictionary",
    "str": "string",
}


def refused(path: str, words: str, code: str = "invalid_value") -> ProxyError:
    """Return the 400 that says *words* about the value at *path*."""
    return ProxyError(400, f"{path}: {words}", code=code, param=path)


def missing(path: str) -> ProxyError:
    """Return the 400 for a missing required field."""
    return refused(path, "Field required", "missing_required_parameter")


def required(value: _T | None, path: str) -> _T:
    """Return *value*, which is required.

    Raises:
        ProxyError: 400 `missing_required_parameter`.
    """
    if value is None:
        raise missing(path)
    return value


def unknown_type(path: str, kind: str, known: Iterable[str]) -> ProxyError:
    """Return the 400 for an object whose ``type`` is none of *known*."""
    names = ", ".join(f"'{name}'" for name in known)
    words = (
        f"Input tag '{kind[:64]}' found using 'type' does not match any of the expected tags: "
        f"{names}"
    )
    return refused(path, words)


def decode_at(decoder: msgspec.json.Decoder[_T], raw: bytes, path: str) -> _T:
    """Return the JSON *raw* at *path*, decoded.

    Raises:
        ProxyError: 400, a value has the wrong type.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as exc:
        raise from_msgspec_error(exc, path) from exc


def from_msgspec_error(exc: msgspec.ValidationError, path: str = "") -> ProxyError:
    """Return the 400 for a value below *path* of the wrong type."""
    detail, _, where = str(exc).partition(" - at `$")
    below = _INDEX.sub(r".\1", where.removesuffix("`").partition("[...]")[0])
    place = (path + below).removeprefix(".")
    if found := _MISSING.search(detail):
        return missing(f"{place}.{found[1]}".removeprefix("."))
    if not place:
        message = "The request body must be a JSON object."
        return ProxyError(400, message, code="invalid_json", should_retry=False)
    found = _EXPECTED.search(detail)
    words = _WORDS.get(found[1], found[1]) if found else "value"
    return refused(place, f"Input should be a valid {words}", "invalid_type")
