"""Quarantined keys and open circuits, shared by all processes. IO.

Each process decides with its own KeyPool and CircuitBreakers. It publishes changes in a stream in
the store, which the others read once a second. A process that starts reads the active changes.

An upstream's key appears as half of its digest: enough to distinguish keys, useless to a reader.
"""

import asyncio
import contextlib
import hashlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from jarvis_proxy.redis_backend.batching import Command, CommandBatcher
from jarvis_proxy.redis_backend.client import RedisConnection
from jarvis_proxy.routing.circuit_breaker import MAX_OPEN_SECONDS, CircuitBreakers
from jarvis_proxy.routing.key_pool import MAX_QUARANTINE, KeyPool

_POLL_EVERY: Final = 1.0
_MAX_EVENTS: Final = 1000
_MAX_UNSENT: Final = 200
_KEEP_SECONDS: Final = 3700
"""How long events are kept: the longest quarantine, an hour, and a little more."""
_MAX_NAME: Final = 256
"""Longest name in an event. Requests with longer names are refused, so no proxy writes one."""
_MIN_EXTENSION: Final = 1.0
"""Shorter extensions are not published: a hundred calls may hit the same limit at once."""

# ARGV: the events, most events to keep, seconds to keep them.
_ADD: Final = """
for _, event in ipairs(cmsgpack.unpack(ARGV[1])) do
  redis.call('XADD', 'jarvis:health', 'MAXLEN', '~', ARGV[2], '*', 'event', event)
end
redis.call('EXPIRE', 'jarvis:health', ARGV[3])
return 1
"""

# ARGV: the last known event, most events to read. Ages are in milliseconds.
_READ: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last, found = ARGV[1], {}
for _, entry in ipairs(redis.call('XRANGE', 'jarvis:health', '(' .. last, '+', 'COUNT', ARGV[2])) do
  last = entry[1]
  found[#found + 1] = {now - tonumber(string.match(last, '^%d+')), entry[2][2]}
end
return cmsgpack.pack({last, found})
"""


class HealthEvent(msgspec.Struct, array_like=True):
    """A change of *upstream*'s health, published by the process *origin*.

    With *key*, that key is in quarantine for *seconds* from the event on, for *model* or, if that
    is empty, for all models; *client* is set if only its call caused that. Without *key*, the
    circuit is open for calls of *client* to *model* or, if that is empty, to the whole upstream;
    *seconds* 0 closes the circuit for all clients.
    """

    origin: str
    upstream: str
    key: str
    model: str
    seconds: float
    client: str = ""


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.json.Decoder(HealthEvent)
_EVENTS_DECODER: Final = msgspec.msgpack.Decoder(tuple[str, list[tuple[float, str]]])

_Subject = tuple[str, str, str, str]
"""Upstream, key, model, and the client of an open circuit (``""`` for a key)."""
_Op = tuple[_Subject, float | None, str]
"""Subject, its end on this process's clock (None: it ends now), and the event's client."""


@dataclass(frozen=True, slots=True)
class _WatchedUpstream:
    pool: KeyPool
    breakers: CircuitBreakers
    digests: list[str]


class RedisUpstreamHealth:
    """Shares changes of key pools and circuit breakers with the other processes.

    *origin* names this process, which also receives its own events.
    """

    def __init__(
        self,
        connection: RedisConnection,
        origin: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._origin = origin
        self._clock = clock
        self._watched: dict[str, _WatchedUpstream] = {}
        self._until: dict[_Subject, tuple[float, str]] = {}
        """The end and the client of each published or received event that is still active."""
        self._add = connection.script(_ADD)
        self._read = connection.script(_READ)
        self._last = "0-0"
        self._unsent: deque[_Op] = deque(maxlen=_MAX_UNSENT)
        self._ops: CommandBatcher[_Op, None] = connection.batcher(
            self._command, lambda reply, asked: (), self._unsent.extend
        )
        connection.on_reconnect(self._resync)

    def watch(self, upstream: str, pool: KeyPool, breakers: CircuitBreakers) -> None:
        """Share changes of *pool* and *breakers* of *upstream*.

        Objects of an earlier configuration still publish changes, but receive none.
        """
        digests = [digest(key) for key in pool.keys]

        def key_changed(index: int, model: str | None, until: float, client: str) -> None:
            self._publish((upstream, digests[index], model or "", ""), until, client)

        def circuit_changed(model: str, client: str, until: float | None) -> None:
            if until is None:
                self._forget(upstream, model)
            self._publish((upstream, "", model, client), until, client)

        pool.on_change, breakers.on_change = key_changed, circuit_changed
        self._watched[upstream] = _WatchedUpstream(pool, breakers, digests)
        now = self._clock()
        for what, (until, client) in self._until.items():
            if what[0] == upstream and until > now:
                self._apply(what, until, client, now)

    async def run(self) -> None:
        """Read events until cancelled."""
        while True:
            await self.poll()
            await asyncio.sleep(_POLL_EVERY)

    async def poll(self) -> None:
        """Read the events since the last poll."""
        command = self._read.call(self._last.encode(), _MAX_EVENTS)
        replies = await self._connection.execute([command])
        if replies is None:
            return
        now = self._clock()
        try:
            self._last, news = _EVENTS_DECODER.decode(replies[0])
        except ValueError:
            # Another program wrote it: keep reading.
            return
        for age_ms, text in news:
            # Another version may have written it.
            with contextlib.suppress(msgspec.MsgspecError):
                event = _DECODER.decode(text)
                if event.origin != self._origin:
                    self._apply_remote(event, age_ms / 1000, now)

    def _apply_remote(self, event: HealthEvent, age: float, now: float) -> None:
        """Apply *event* within the limits of this process.

        The store may hold data that no proxy wrote.
        """
        names = (event.upstream, event.key, event.model, event.client)
        if max(map(len, names)) > _MAX_NAME:
            return
        longest = MAX_QUARANTINE if event.key else MAX_OPEN_SECONDS
        seconds = min(max(0.0, event.seconds), longest)
        until = now + seconds - max(0.0, age) if seconds else 0.0
        if until <= now and (until or event.key):
            # It has expired, or ends a key's quarantine, which is never published.
            return
        if not until:
            self._forget(event.upstream, event.model)
        what = (event.upstream, event.key, event.model, "" if event.key else event.client)
        self._remember(what, until, event.client)
        self._apply(what, until, event.client, now)

    def _apply(self, what: _Subject, until: float, client: str, now: float) -> None:
        upstream, key, model, _ = what
        watched = self._watched.get(upstream)
        if watched is None:
            return
        if not key:
            watched.breakers.apply_remote(model, client, until or None)
        elif key in watched.digests:
            index = watched.digests.index(key)
            watched.pool.apply_remote(index, model or None, until, now, client=client)

    def _publish(self, what: _Subject, until: float | None, client: str) -> None:
        known, _ = self._until.get(what, (0.0, ""))
        # Breakers report a closed circuit only if one was open.
        if until is not None and until - known < _MIN_EXTENSION:
            return
        self._remember(what, until or 0.0, client)
        if not self._ops.send((what, until, client)):
            self._unsent.append((what, until, client))

    def _forget(self, upstream: str, model: str) -> None:
        """Forget the open circuits of *model*: they are closed for all clients."""
        gone = [w for w in self._until if w[0] == upstream and not w[1] and w[2] == model]
        for what in gone:
            del self._until[what]

    def _remember(self, what: _Subject, until: float, client: str) -> None:
        if not until:
            self._until.pop(what, None)
            return
        if len(self._until) >= _MAX_EVENTS:
            now = self._clock()
            self._until = {known: end for known, end in self._until.items() if end[0] > now}
        if len(self._until) >= _MAX_EVENTS:
            del self._until[next(iter(self._until))]
        self._until[what] = until, client

    def _resync(self) -> None:
        """Read all events again, as the store may be a new one; publish unsent changes."""
        self._last = "0-0"
        pending = list(self._unsent)
        self._unsent.clear()
        for op in pending:
            if not self._ops.send(op):
                self._unsent.append(op)

    def _command(self, ops: Sequence[_Op]) -> Command:
        now = self._clock()
        events = []
        for (upstream, key, model, _), until, client in ops:
            seconds = 0.0 if until is None else max(0.001, round(until - now, 3))
            event = HealthEvent(self._origin, upstream, key, model, seconds, client)
            events.append(msgspec.json.encode(event).decode())
        return self._add.call(_ENCODER.encode(events), _MAX_EVENTS, _KEEP_SECONDS)


def digest(key: str) -> str:
    """Return the name that stands for an upstream's key in events."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]
