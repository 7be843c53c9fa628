"""Shared by the small OpenAI dialects: decodes bodies, and maps params. Pure."""

from collections.abc import Collection, Mapping
from typing import TypeVar

import msgspec

from jarvis_proxy.canonical.bounds import check_values
from jarvis_proxy.canonical.validation_errors import (
    DECODE_ERRORS,
    from_decode_error,
    invalid,
    unknown_value,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire import text as surrogates

_T = TypeVar("_T")


def decode_body(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Return *body* decoded by *decoder*.

    Raises:
        ProxyError: 400 `invalid_json`, `array_above_max_length`, or with the invalid field.
    """
    check_values(body)
    try:
        return surrogates.decode(decoder, body)
    except DECODE_ERRORS as exc:
        raise from_decode_error(exc) from exc


def check_choice(param: str, value: str | None, known: Collection[str]) -> None:
    """Check that *value* is None or one of *known*.

    Raises:
        ProxyError: 400 `invalid_value`.
    """
    if value is not None and value not in known:
        raise unknown_value(param, value, known)


def unsuitable_model(model: str, rest: str) -> ProxyError:
    """Return the 400 for a model that lacks the endpoint's feature; *rest* ends the sentence."""
    return invalid("model", f"The model `{model[:64]}` {rest}", "unsupported_value")


class FixedParams:
    """Maps prefixes of canonical params to a client's names; implements ``ParamMap``."""

    __slots__ = ("_names",)

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def param(self, chat_param: str, /) -> str:
        """Return the client's name for *chat_param*; unknown ones stay unchanged."""
        found = [start for start in self._names if chat_param.startswith(start)]
        return self._names[max(found, key=len)] if found else chat_param
