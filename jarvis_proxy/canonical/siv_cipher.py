"""A cipher for what clients carry unread: encrypted and authenticated, with nothing random. Pure.

It is a synthetic IV (SIV): the tag of the plain text is also the nonce of the key stream, so equal
texts alone give equal results. HMAC-SHA256 makes the tag, SHAKE256 the stream. Source: Rogaway and
Shrimpton, "Deterministic Authenticated-Encryption" (EUROCRYPT 2006); FIPS 202, section 6.2.
"""

import hmac
from hashlib import sha256, shake_256
from typing import Final

TAG: Final = 32
"""Bytes by which what is sealed is longer."""


class SivCipher:
    """Seals and opens bytes with *key*, for one *purpose*."""

    __slots__ = ("_cipher_key", "_tag_key")

    def __init__(self, key: bytes, purpose: bytes) -> None:
        self._tag_key = hmac.digest(key, purpose + b" tag", "sha256")
        self._cipher_key = hmac.digest(key, purpose + b" cipher", "sha256")

    def seal(self, plain: bytes) -> bytes:
        """Return *plain* encrypted, ``TAG`` bytes longer."""
        tag = hmac.digest(self._tag_key, plain, sha256)
        return tag + self._crypt(tag, plain)

    def open(self, sealed: bytes) -> bytes | None:
        """Return what is within *sealed*; None if it was not sealed here, or was changed."""
        tag, plain = sealed[:TAG], self._crypt(sealed[:TAG], sealed[TAG:])
        is_ours = hmac.compare_digest(tag, hmac.digest(self._tag_key, plain, sha256))
        return plain if is_ours else None

    def _crypt(self, tag: bytes, data: bytes) -> bytes:
        """Return *data* encrypted, or decrypted again."""
        stream = shake_256(self._cipher_key + tag).digest(len(data))
        mixed = int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")
        return mixed.to_bytes(len(data), "little")
