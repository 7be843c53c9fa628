"""A deterministic cipher for opaque values that clients carry: encrypted and authenticated. Pure.

It is a synthetic IV (SIV) cipher: the tag of the plaintext is also the nonce of the key stream, so
only equal plaintexts give equal results. HMAC-SHA256 makes the tag, SHAKE256 the key stream.
Source: Rogaway and Shrimpton, "Deterministic Authenticated-Encryption" (EUROCRYPT 2006); FIPS 202,
section 6.2.
"""

import hmac
from hashlib import sha256, shake_256
from typing import Final

TAG: Final = 32
"""Bytes that sealing adds."""


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
        """Return the plaintext of *sealed*; None if it was changed, or sealed with another key."""
        tag, plain = sealed[:TAG], self._crypt(sealed[:TAG], sealed[TAG:])
        is_ours = hmac.compare_digest(tag, hmac.digest(self._tag_key, plain, sha256))
        return plain if is_ours else None

    def _crypt(self, tag: bytes, data: bytes) -> bytes:
        """Encrypt or decrypt *data*: both are the same operation."""
        stream = shake_256(self._cipher_key + tag).digest(len(data))
        mixed = int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")
        return mixed.to_bytes(len(data), "little")
