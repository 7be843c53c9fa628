"""Client secrets: what a server asks for, and a browser opens a session with. Pure.

The upstream's own secret is of no use to a client that reaches this proxy only. So the client gets
one of the proxy's, which holds the upstream's, the name of the client key that asked for it, and
its end; nothing is stored.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from jarvis_proxy.canonical.siv_cipher import SivCipher

PREFIX: Final = "ek_"
"""How OpenAI's begin, by which SDKs know that a browser may have one."""
_LONGEST: Final = 4096
_DIGEST: Final = 16


class _Key(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> bytes: ...


class ClientSecret(msgspec.Struct, frozen=True, array_like=True):
    """What one stands for. *secret* is the upstream's; *model* is its own name for it, or ``""``.

    *key_digest* is the beginning of the client key's: a key that was changed ends its secrets.
    *expires_at* is in epoch seconds.
    """

    key_name: str
    key_digest: bytes
    upstream: str
    model: str
    secret: str
    expires_at: int


class ClientSecrets:
    """Makes and reads the client secrets of *keys*; *secret* is the server's own."""

    __slots__ = ("_cipher", "_digests")

    def __init__(self, secret: bytes, keys: Iterable[_Key]) -> None:
        self._cipher = SivCipher(secret, b"jarvis client secret")
        self._digests = {(key.name, key.digest[:_DIGEST]) for key in keys}

    def make(self, key_name: str, upstream: str, model: str, secret: str, expires_at: int) -> str:
        """Return the client secret of the client key *key_name* for the upstream's *secret*."""
        digest = next((digest for name, digest in self._digests if name == key_name), b"")
        content = ClientSecret(key_name, digest, upstream, model, secret, expires_at)
        sealed = self._cipher.seal(msgspec.json.encode(content))
        # Without "=", which no subprotocol may have.
        return PREFIX + urlsafe_b64encode(sealed).decode().rstrip("=")

    def find(self, presented: Sequence[bytes], now: float) -> ClientSecret | None:
        """Return what the first valid one of the *presented* keys stands for, if there is one."""
        opened = (self._open(token) for token in presented)
        return next((one for one in opened if one is not None and now < one.expires_at), None)

    def _open(self, token: bytes) -> ClientSecret | None:
        if not token.startswith(PREFIX.encode()) or len(token) > _LONGEST:
            return None
        coded = token[len(PREFIX) :]
        try:
            plain = self._cipher.open(urlsafe_b64decode(coded + b"=" * (-len(coded) % 4)))
        except (binascii.Error, ValueError):
            return None
        if plain is None:
            return None
        found = msgspec.json.decode(plain, type=ClientSecret)
        return found if (found.key_name, found.key_digest) in self._digests else None
