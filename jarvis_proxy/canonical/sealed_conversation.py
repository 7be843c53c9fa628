"""Encodes a conversation in the id of its last response, so that nothing is stored. Pure.

An id is the conversation's items as JSON, compressed, encrypted and authenticated with a key of the
client's own. So another client can neither read, use nor make one. The id of an item can carry that
item in the same way.
"""

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from jarvis_proxy.canonical.siv_cipher import TAG, SivCipher

MAX_ID: Final = 512 * 1024
"""Longest id, in characters; a larger conversation gets a plain id."""

MAX_ITEMS: Final = 4 * 1024 * 1024
"""Largest JSON of the items, in bytes."""

PREFIX: Final = "resp_s1_"
"""The prefix of ids with a conversation; clients recognise responses by its first five letters."""

MAX_ITEM_ID: Final = 128 * 1024
"""Longest id of an item, in characters; each of its events repeats it."""

_MAX_PACKED: Final = MAX_ID // 4 * 3 - 2 * TAG


class ConversationSeal:
    """Seals and opens the conversations of one client; *key* is that client's secret.

    *takes_last_id*: in a stream, the client continues from the id in the last event.
    """

    __slots__ = ("_cipher", "takes_last_id")

    def __init__(self, key: bytes, *, takes_last_id: bool = False) -> None:
        self.takes_last_id = takes_last_id
        self._cipher = SivCipher(key, b"jarvis conversation")

    def begin(self, items: bytes) -> "UnansweredConversation | None":
        """Start a conversation with *items*, a JSON list; return None if it is too large."""
        return UnansweredConversation(self, items) if len(items) <= MAX_ITEMS else None

    def seal(self, packed: bytes, prefix: str = PREFIX) -> str:
        """Return the id that holds *packed*, compressed items, after *prefix*."""
        return prefix + urlsafe_b64encode(self._cipher.seal(packed)).decode()

    def open(self, sealed_id: str, prefix: str = PREFIX) -> bytes | None:
        """Return the items in *sealed_id*, a JSON list.

        Returns None if it holds no items, was changed, exceeds the limits, or is another client's.
        """
        if not sealed_id.startswith(prefix) or len(sealed_id) > MAX_ID:
            return None
        try:
            packed = self._cipher.open(urlsafe_b64decode(sealed_id[len(prefix) :]))
        except (binascii.Error, ValueError):
            return None
        return None if packed is None else _unpack(packed)


class UnansweredConversation:
    """A conversation that waits for its answer, already compressed."""

    __slots__ = ("_begun", "_comma", "_packer", "_room", "_seal")

    def __init__(self, seal: ConversationSeal, items: bytes) -> None:
        self._seal = seal
        self._packer = zlib.compressobj()
        said = items.strip()[1:-1].strip()
        self._begun = self._packer.compress(b"[" + said)
        self._comma = b"," if said else b""
        self._room = MAX_ITEMS - len(items)

    def response_id(self, answer: bytes) -> str | None:
        """Return the id that includes *answer*, a JSON list of items; None if it is too large."""
        said = answer[1:-1]
        if len(said) >= self._room:
            return None
        # Work on a copy, because another attempt may answer as well.
        packer = self._packer.copy()
        end = (self._comma if said else b"") + said + b"]"
        packed = self._begun + packer.compress(end) + packer.flush()
        return self._seal.seal(packed) if len(packed) <= _MAX_PACKED else None

    def item_id(self, item: bytes, prefix: str) -> str | None:
        """Return an id that holds *item*, a JSON object of the answer; None if it is too large."""
        packed = zlib.compress(b"[%b]" % item) if len(item) < MAX_ITEMS else b""
        is_small = 0 < len(packed) <= MAX_ITEM_ID // 4 * 3 - TAG
        return self._seal.seal(packed, prefix) if is_small else None


def _unpack(packed: bytes) -> bytes | None:
    try:
        unpacker = zlib.decompressobj()
        items = unpacker.decompress(packed, MAX_ITEMS)
    except zlib.error:
        return None
    return items if unpacker.eof else None
