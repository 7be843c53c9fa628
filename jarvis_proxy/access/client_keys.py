"""Authentication: client keys, compared in constant time. Pure.

Only SHA-256 digests are kept. A presented key's digest is compared with every stored digest, each
in constant time and without an early exit, so timing reveals nothing.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

_SUBPROTOCOLS: Final = "sec-websocket-protocol"
_KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""Prefix of a key among WebSocket subprotocols, the only header that browsers let pages set."""
_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-goog-api-key")
MAX_PRESENTED: Final = 4
"""Most different keys of one request that are checked; clients send one, rarely two."""


class _Key(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> bytes: ...


class Headers(Protocol):
    """Header fields, looked up without regard to case, as in aiohttp."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Return every value of a field."""

    def __contains__(self, key: object, /) -> bool:
        """Return whether the field exists."""


class ClientKeys:
    """The client keys that this proxy accepts."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[_Key]) -> None:
        self._keys = tuple((key.digest, key.name) for key in keys)

    def authenticate(self, presented: Sequence[bytes]) -> str | None:
        """Return the name of the first presented key that is valid, or None."""
        found: str | None = None
        for token in presented:
            digest = hashlib.sha256(token).digest()
            for known, name in self._keys:
                if hmac.compare_digest(digest, known) and found is None:
                    found = name
        return found


def presented_keys(headers: Headers, query_key: str | None) -> tuple[bytes, ...]:
    """Return the keys in a request: Authorization, x-api-key, api-key, x-goog-api-key, ?key=.

    A WebSocket may also have one among its subprotocols.

    ``Authorization`` is read with and without ``Bearer``, in any case. All values of a repeated
    field count. Duplicates count once, and keys after the fourth are ignored, because each key is a
    guess. Invalid UTF-8 arrives as surrogates and is restored to the same bytes, so no header value
    makes this raise.
    """
    found: list[bytes] = []
    for authorization in headers.getall("authorization", ()):
        whole = authorization.strip()
        scheme, _, rest = whole.partition(" ")
        token = rest.strip() if scheme.lower() == "bearer" else whole
        if token:
            found.append(_bytes(token))
    for name in _KEY_HEADERS:
        if name in headers:
            values = (value.strip() for value in headers.getall(name, ()))
            found.extend(_bytes(value) for value in values if value)
    if _SUBPROTOCOLS in headers:
        found.extend(_protocol_keys(headers.getall(_SUBPROTOCOLS, ())))
    if query_key:
        found.append(_bytes(query_key))
    # This is nearly always the case.
    if len(found) < 2:
        return tuple(found)
    return tuple(dict.fromkeys(found))[:MAX_PRESENTED]


def _protocol_keys(values: Sequence[str]) -> Iterator[bytes]:
    """Yield the keys among a WebSocket's subprotocols."""
    names = (name.strip() for value in values for name in value.split(","))
    for name in names:
        if name.lower().startswith(_KEY_PROTOCOL) and len(name) > len(_KEY_PROTOCOL):
            yield _bytes(name[len(_KEY_PROTOCOL) :])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
