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
"""Before a key among the subprotocols: browsers let pages set no other header of a WebSocket."""
_KEY_HEADERS: Final = ("x-api-key", "api-key", "x-goog-api-key")
MAX_PRESENTED: Final = 4
"""Different keys of one request that are compared; clients send one, rarely two."""


class _Key(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> bytes: ...


class Headers(Protocol):
    """Header fields, looked up without regard to case (aiohttp's are)."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Return every value of a field."""

    def __contains__(self, key: object, /) -> bool:
        """Return whether there is such a field."""


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
    """Return the keys a request carries: Authorization, x-api-key, api-key, x-goog-api-key, ?key=.

    A WebSocket may have one among its subprotocols.

    ``Authorization`` counts with or without ``Bearer``, in any case; of a field that comes twice,
    each value. A key that stands in several places counts once, and keys past the fourth are not
    looked at: each one is a guess. Bytes that are no UTF-8 arrive as surrogates and go back to
    the same bytes here, so no header value can raise.
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
    if len(found) < 2:  # nearly always
        return tuple(found)
    return tuple(dict.fromkeys(found))[:MAX_PRESENTED]


def _protocol_keys(values: Sequence[str]) -> Iterator[bytes]:
    """Yield the keys among the subprotocols of a WebSocket."""
    names = (name.strip() for value in values for name in value.split(","))
    for name in names:
        if name.lower().startswith(_KEY_PROTOCOL) and len(name) > len(_KEY_PROTOCOL):
            yield _bytes(name[len(_KEY_PROTOCOL) :])


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
