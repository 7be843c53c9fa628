"""Remembers thought signatures of tool calls between turns. Pure.

Clients drop unknown fields. So a tool call's signature often does not come back, but its id always
does, though one client reduces it to letters and digits and truncates it. Therefore the id is short
and plain, and the proxy remembers what belongs to it.

Source: https://ai.google.dev/gemini-api/docs/thought-signatures (read 2026-11).
"""

import re
from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class StoredSignature:
    """The opaque upstream state of one tool call that a model made."""

    signature: str | None
    native_id: str | None


class SignatureStore(Protocol):
    """Remembers tool calls by the ids that clients received."""

    def get(self, call_id: str, now: float) -> StoredSignature | None:
        """Return what is known about *call_id*, even if a client has altered the id."""

    def put(self, call_id: str, value: StoredSignature, now: float) -> None:
        """Remember *value* under *call_id*; *now* is on the monotonic clock."""


KEY_LENGTH: Final = 28
"""``call`` and 24 letters and digits: what every known alteration leaves of the proxy's ids."""

_PUNCTUATION: Final = re.compile("[^A-Za-z0-9]+")
# Some gateways put signatures into ids, which get about this long.
_MAX_ID: Final = 4096


def lookup_keys(call_id: str) -> tuple[str, ...]:
    """Return the keys under which *call_id* may be known, the most likely first; () for none.

    An id cut below 28 characters has only itself as a key, so it never finds another call's
    signature.
    """
    plain = _PUNCTUATION.sub("", call_id[:_MAX_ID])
    if len(plain) > KEY_LENGTH:
        return plain, plain[:KEY_LENGTH]
    return (plain,) if plain else ()


class SignatureStoreStats(NamedTuple):
    """A store's counters since the start, and its current content (*bytes* is an estimate)."""

    entries: int
    bytes: int
    hits: int
    misses: int
    evicted: int
    expired: int


class _Entry(NamedTuple):
    value: StoredSignature
    expires: float
    size: int


class MemorySignatureStore:
    """A store in memory, bounded in entries and bytes; the least recently used entry goes first.

    Times are in seconds on the caller's monotonic clock. An entry expires *ttl* after it was
    stored, however often it is read. An entry larger than *max_bytes* is not kept. *lock* is held
    during each access, for owners with several threads.
    """

    __slots__ = (
        "_bytes",
        "_entries",
        "_lock",
        "_max_bytes",
        "_max_entries",
        "_ttl",
        "evicted",
        "expired",
        "hits",
        "misses",
    )

    ENTRY_BYTES: Final = 400
    """Memory that an entry takes in addition to its texts."""

    def __init__(
        self,
        *,
        max_entries: int = 50_000,
        max_bytes: int = 64 * 1024 * 1024,
        ttl: float = 24 * 3600,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._lock = nullcontext() if lock is None else lock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._ttl = ttl
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self.expired = 0

    @property
    def stats(self) -> SignatureStoreStats:
        """Return the current counters."""
        return SignatureStoreStats(
            len(self._entries), self._bytes, self.hits, self.misses, self.evicted, self.expired
        )

    def get(self, call_id: str, now: float) -> StoredSignature | None:
        """Return what is known about *call_id*, or None."""
        keys = lookup_keys(call_id)
        with self._lock:
            return self._get(keys, now)

    def _get(self, keys: tuple[str, ...], now: float) -> StoredSignature | None:
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                continue
            if entry.expires <= now:
                self._drop(key)
                self.expired += 1
                continue
            self._entries.move_to_end(key)
            self.hits += 1
            return entry.value
        self.misses += 1
        return None

    def knows(self, call_id: str, now: float) -> bool:
        """Return whether ``get`` would find an entry; this does not count as a use."""
        found = (self._entries.get(key) for key in lookup_keys(call_id))
        return any(entry is not None and entry.expires > now for entry in found)

    def put(self, call_id: str, value: StoredSignature, now: float) -> None:
        """Remember *value* under *call_id*, replacing any earlier value."""
        keys = lookup_keys(call_id)
        if not keys:
            return
        with self._lock:
            self._put(keys[0], value, now)

    def _put(self, key: str, value: StoredSignature, now: float) -> None:
        if key in self._entries:
            self._drop(key)
        size = self.ENTRY_BYTES + len(value.signature or "") + len(value.native_id or "")
        if size > self._max_bytes:
            return
        self._entries[key] = _Entry(value, now + self._ttl, size)
        self._bytes += size
        self._make_room(now)

    def _make_room(self, now: float) -> None:
        entries = self._entries
        while len(entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(entries)))
            self.evicted += 1
        # Unused entries gather at this end of the queue: drop those that have expired.
        while entries and next(iter(entries.values())).expires <= now:
            self._drop(next(iter(entries)))
            self.expired += 1

    def _drop(self, key: str) -> None:
        self._bytes -= self._entries.pop(key).size
