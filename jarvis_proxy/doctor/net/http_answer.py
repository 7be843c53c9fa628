"""An HTTP answer in the form that the checks read, with its error object. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import msgspec

_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class TimedBytes(NamedTuple):
    """The data that arrived at one time, in seconds since the request."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer; the names in *headers* are in lower case, *pieces* is *body* as it arrived."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    pieces: Sequence[TimedBytes] = ()

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], pieces: Sequence[TimedBytes]) -> Self:
        """Return an answer with headers in any case, and a body in *pieces*."""
        lowered = {name.lower(): value for name, value in headers.items()}
        return cls(status, lowered, b"".join(piece.data for piece in pieces), pieces)

    def header(self, name: str) -> str:
        """Return a header's value, "" if it is missing; *name* must be in lower case."""
        return self.headers.get(name, "")

    @property
    def content_type(self) -> str:
        """The media type without parameters, safe to print."""
        found = self.header("content-type").partition(";")[0].strip().lower()[:64]
        return found if found.isprintable() and found else "no type"

    @property
    def json(self) -> dict[str, Any]:
        """The JSON object in the body, the first one of an array (Google's streams), or {}."""
        try:
            found = msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return {}
        if isinstance(found, list) and found:
            found = found[0]
        return found if isinstance(found, dict) else {}

    @property
    def error_codes(self) -> tuple[str, ...]:
        """The codes of OpenAI's or Google's error object, the most specific first.

        The message is excluded, because it may repeat a part of a key.
        """
        error = self.json.get("error")
        if not isinstance(error, dict):
            return ()
        details = error.get("details")
        entries = details if isinstance(details, list) else []
        reasons = [entry.get("reason") for entry in entries if isinstance(entry, dict)]
        words = (*reasons, error.get("code"), error.get("status"), error.get("type"))
        return tuple(word for word in words if isinstance(word, str) and _CODE.fullmatch(word))


def printable_url(text: str) -> str:
    """Return a URL from an answer without its query and user, safe to print."""
    bare = re.split(r"[?#]", text, maxsplit=1)[0][:200]
    bare = re.sub(r"//[^/@]*@", "//", bare)
    return bare if bare.isprintable() and bare else "an address that cannot be shown"
