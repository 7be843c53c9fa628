"""Signatures of tool calls, remembered by all processes that share a store. IO.

Each process has a store of its own, which answers at once. New entries are written to the shared
store in the background; while that is down, they wait. Before a request is built, one round trip
fetches the entries that its history names and this process does not know.

The shared store is bounded too, in entries and bytes; it drops the oldest first, and everything
after a day. It holds Google's signatures, opaque strings without content.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Final

import msgspec

from jarvis_proxy.redis_backend.batching import Command, CommandBatcher
from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.upstreams.gemini.signature_store import (
    MemorySignatureStore,
    StoredSignature,
    lookup_keys,
)

TTL: Final = 24 * 3600
MAX_ENTRIES: Final = 200_000
MAX_BYTES: Final = 256 * 1024 * 1024
_MAX_VALUE: Final = 64 * 1024
"""Five times the longest signature seen; a longer one stays in its own process."""
_MAX_LOOKED_UP: Final = 500
_MAX_UNSENT: Final = 2000
_KEY: Final = "jarvis:sig:"

# ARGV: the entries as [[key, value], …], seconds to live, most entries, most bytes.
# The index has each key with its size, sorted by the second of writing. The total is the sum of the
# sizes.
_PUT: Final = """
local now = tonumber(redis.call('TIME')[1])
local ttl, most, room = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local index, total = 'jarvis:sig-index', 'jarvis:sig-bytes'
if redis.call('EXISTS', index) == 0 then redis.call('DEL', total) end
for _, entry in ipairs(cmsgpack.unpack(ARGV[1])) do
  local key, value = entry[1], entry[2]
  redis.call('SET', 'jarvis:sig:' .. key, value, 'EX', ttl)
  if redis.call('ZADD', index, now, key .. ':' .. #value) == 1 then
    redis.call('INCRBY', total, #value)
  end
end
local count, bytes = redis.call('ZCARD', index), tonumber(redis.call('GET', total) or 0)
-- Bound the work of one call: 512 removals are two for each entry of a full batch.
for _ = 1, 512 do
  local oldest = redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')
  if #oldest == 0 then break end
  if count <= most and bytes <= room and now - tonumber(oldest[2]) < ttl then break end
  local key, size = string.match(oldest[1], '^(.*):(%d+)$')
  redis.call('ZREM', index, oldest[1])
  redis.call('DEL', 'jarvis:sig:' .. key)
  bytes, count = redis.call('DECRBY', total, size), count - 1
end
redis.call('EXPIRE', index, ttl)
redis.call('EXPIRE', total, ttl)
return count
"""


class _Stored(msgspec.Struct, array_like=True):
    """What the store holds for one call; *put_at* is in epoch seconds."""

    put_at: int
    signature: str | None
    native_id: str | None


_Pair = tuple[str, str]
_Keys = tuple[str, ...]
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.json.Decoder(_Stored)


class RedisSignatureStore:
    """A signature store that processes share; implements ``SignatureStore``.

    *wall* gives epoch seconds. The bounds apply to the shared store.
    """

    def __init__(
        self,
        connection: RedisConnection,
        *,
        local: MemorySignatureStore | None = None,
        wall: Callable[[], float] = time.time,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.local = local or MemorySignatureStore(lock=Lock())
        self._wall = wall
        self._bounds = (TTL, max_entries, max_bytes)
        self._script = connection.script(_PUT)
        self._puts: CommandBatcher[_Pair, None] = connection.batcher(
            self._put_command, lambda reply, asked: (), self._keep_unsent
        )
        self._gets: CommandBatcher[_Keys, Sequence[bytes | None]] = connection.batcher(_get, _split)
        self._unsent: OrderedDict[str, str] = OrderedDict()
        connection.on_reconnect(self._send_unsent)

    def get(self, call_id: str, now: float) -> StoredSignature | None:
        """Return what this process knows about *call_id*, or None."""
        return self.local.get(call_id, now)

    def put(self, call_id: str, value: StoredSignature, now: float) -> None:
        """Remember *value* here at once, and share it soon."""
        self.local.put(call_id, value, now)
        keys = lookup_keys(call_id)
        if not keys:
            return
        # As text, because the store's scripts cannot read MessagePack's binary strings.
        stored = _Stored(int(self._wall()), value.signature, value.native_id)
        pair = (keys[0], msgspec.json.encode(stored).decode())
        if len(pair[1]) <= _MAX_VALUE and not self._puts.send(pair):
            self._keep_unsent([pair])

    async def fetch(self, call_ids: Iterable[str], now: float) -> None:
        """Fetch what other processes know about *call_ids*, so that ``get`` finds it."""
        wanted = [key for call_id in call_ids for key in self._unknown(call_id, now)]
        # Take the last ones: the current turn depends most on its signatures.
        wanted = wanted[-_MAX_LOOKED_UP:]
        if not wanted:
            return
        found = await self._gets.request(tuple(wanted))
        for key, raw in zip(wanted, found or (), strict=False):
            if raw is not None:
                self._learn(key, raw, now)

    def _unknown(self, call_id: str, now: float) -> tuple[str, ...]:
        return () if self.local.knows(call_id, now) else lookup_keys(call_id)

    def _learn(self, key: str, raw: bytes, now: float) -> None:
        try:
            stored = _DECODER.decode(raw)
        except msgspec.MsgspecError:
            # Another program wrote it.
            return
        age = min(max(0.0, self._wall() - stored.put_at), float(TTL))
        self.local.put(key, StoredSignature(stored.signature, stored.native_id), now - age)

    def _keep_unsent(self, pairs: Sequence[_Pair]) -> None:
        """Keep *pairs* until the store is back; drop the oldest if there are too many."""
        for key, stored in pairs:
            self._unsent[key] = stored
        while len(self._unsent) > _MAX_UNSENT:
            self._unsent.popitem(last=False)

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, OrderedDict()
        for pair in unsent.items():
            if not self._puts.send(pair):
                self._keep_unsent([pair])

    def _put_command(self, pairs: Sequence[_Pair]) -> Command:
        return self._script.call(_ENCODER.encode(pairs), *self._bounds)


def _get(lookups: Sequence[_Keys]) -> Command:
    """Return the command that looks up the keys of several callers."""
    return ("MGET", *(_KEY + key for keys in lookups for key in keys))


def _split(
    values: Sequence[bytes | None], lookups: Sequence[_Keys]
) -> Iterator[Sequence[bytes | None]]:
    start = 0
    for keys in lookups:
        yield values[start : start + len(keys)]
        start += len(keys)
