"""One HTTP answer as the checks judge it, and what its error object says. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MAX_TYPE: Final = 64


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer; the names in *headers* are in lower case, *seconds* is what it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    seconds: float = 0.0

    def header(self, name: str) -> str:
        """Return a header's value, "" when it was not sent; *name* in lower case."""
        return self.headers.get(name, "")

    @property
    def content_type(self) -> str:
        """The media type without parameters, in a form that can be shown."""
        found = self.header("content-type").partition(";")[0].strip().lower()[:_MAX_TYPE]
        return found if found.isprintable() and found else "no type"


class _Error(msgspec.Struct):
    code: Any = None
    status: Any = None
    type: Any = None
    details: Any = None


class _Envelope(msgspec.Struct):
    error: _Error


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_ENVELOPES: Final = msgspec.json.Decoder(list[_Envelope])


def error_codes(body: bytes) -> tuple[str, ...]:
    """Return the machine-readable words of an error body, the most telling first.

    Of OpenAI's form ``code`` and ``type``, of Google's the reasons in ``details`` and ``status``.
    The message is not among them: it may repeat a part of a key.
    """
    try:
        if body.lstrip()[:1] == b"[":
            envelopes = _ENVELOPES.decode(body)
            error = envelopes[0].error if envelopes else _Error()
        else:
            error = _ENVELOPE.decode(body).error
    except (ValueError, RecursionError):
        return ()
    details = error.details if isinstance(error.details, list) else []
    reasons = [detail.get("reason") for detail in details if isinstance(detail, dict)]
    words = (*reasons, error.code, error.status, error.type)
    return tuple(word for word in words if isinstance(word, str) and _CODE.fullmatch(word))


def printable_url(text: str) -> str:
    """Return an address that an answer names, without its query, in a form that can be shown."""
    bare = re.split(r"[?#]", text, maxsplit=1)[0][:200]
    bare = re.sub(r"//[^/@]*@", "//", bare)
    return bare if bare.isprintable() and bare else "an address that cannot be shown"
