"""Client secrets: a server requests one, and a browser opens a session with it. Pure.

A client that reaches only this proxy cannot use the upstream's own secret. So it gets a secret of
the proxy, which contains the upstream's, the name of the requesting client key, and an expiry.
Nothing is stored.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import msgspec

from jarvis_proxy.canonical.siv_cipher import SivCipher

PREFIX: Final = "ek_"
"""OpenAI's prefix, by which SDKs recognise a secret that a browser may have."""
_MAX_LENGTH: Final = 4096
_DIGEST: Final = 16


class _Key(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> bytes: ...


class ClientSecret(msgspec.Struct, frozen=True, array_like=True):
    """The content of a client secret.

    *secret* is the upstream's own secret; *model* is its name for the model, or ``""``.
    *key_digest* is the beginning of the client key's digest: a changed key ends its secrets.
    *expires_at* is in epoch seconds.
    """

    key_name: str
    key_digest: bytes
    upstream: str
    model: str
    secret: str
    expires_at: int


class ClientSecrets:
    """Creates and reads the client secrets of *keys*; *secret* is the server's own."""

    __slots__ = ("_cipher", "_digests")

    def __init__(self, secret: bytes, keys: Iterable[_Key]) -> None:
        self._cipher = SivCipher(secret, b"jarvis client secret")
        self._digests = {(key.name, key.digest[:_DIGEST]) for key in keys}

    def make(self, key_name: str, upstream: str, model: str, secret: str, expires_at: int) -> str:
        """Return the client secret of the client key *key_name* for the upstream's *secret*."""
        digest = next((digest for name, digest in self._digests if name == key_name), b"")
        content = ClientSecret(key_name, digest, upstream, model, secret, expires_at)
        sealed = self._cipher.seal(msgspec.json.encode(content))
        # A subprotocol must not contain "=".
        return PREFIX + urlsafe_b64encode(sealed).decode().rstrip("=")

    def find(self, presented: Sequence[bytes], now: float) -> ClientSecret | None:
        """Return the content of the first valid client secret among *presented*, or None."""
        opened = (self._open(token) for token in presented)
        return next((one for one in opened if one is not None and now < one.expires_at), None)

    def _open(self, token: bytes) -> ClientSecret | None:
        if not token.startswith(PREFIX.encode()) or len(token) > _MAX_LENGTH:
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
