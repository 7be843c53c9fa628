"""Resting keys and held-off upstreams, told by each process to the others. IO.

Decisions stay where calls are: each process asks its own KeyPool and Breaker. What one of them
learns from an upstream goes into a stream in the store, which the others read once a second.
A process that starts reads what still holds.

Keys of upstreams appear as a digest of which half is kept: enough to tell them apart, and no help
to whoever reads it.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from jarvis_proxy.attempts import Breaker, KeyPool
from jarvis_proxy.shared.link import PREFIX, Link

_LOG: Final = logging.getLogger(__name__)
_POLL_EVERY: Final = 1.0
_STREAM: Final = f"{PREFIX}health"
_MAX_EVENTS: Final = 1000
_MAX_READ: Final = 1000
_KEPT: Final = 3700
"""Seconds: the longest rest, an hour, and a little more."""
_WORTH_TELLING: Final = 1.0
"""Seconds by which a rest must get longer: a hundred calls may meet the same limit at once."""
_ENCODER: Final = msgspec.json.Encoder()


class Event(msgspec.Struct, omit_defaults=True):
    """What one process learnt of *upstream*.

    With *key*, that key rests for *rest* seconds from the event on, for *model* or, without, for
    all; without *key*, the upstream is held off for so long; *rest* 0: it works again.
    """

    origin: str
    upstream: str
    rest: float
    key: str = ""
    model: str = ""


_DECODER: Final = msgspec.json.Decoder(Event)


@dataclass(slots=True)
class _Watched:
    pool: KeyPool
    breaker: Breaker
    digests: list[str]


class SharedHealth:
    """Carries what pools and breakers learn from one process to the others.

    *origin* names this process: its own events come back to it too.
    """

    def __init__(
        self, link: Link, origin: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._link = link
        self._origin = origin
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._until: dict[tuple[str, str, str], float] = {}
        """Until when what rests, as far as that was told or heard."""
        self._events = link.gather(_add, lambda reply, asked: ())
        self._last_id = "0-0"
        link.when_back(self._start_over)

    def watch(self, upstream: str, pool: KeyPool, breaker: Breaker) -> None:
        """Share what *pool* and *breaker* learn; those of other settings before are let go."""
        self._watched[upstream] = _Watched(pool, breaker, [digest(key) for key in pool.keys])
        pool.told = lambda index, model, until: self._rests(upstream, pool, index, model, until)
        breaker.told = lambda until: self._held_off(upstream, until)
        now = self._clock()
        for (name, key, model), until in self._until.items():
            if name == upstream and until > now:
                self._apply(upstream, key, model, until, now)

    def _rests(
        self, upstream: str, pool: KeyPool, index: int, model: str | None, until: float
    ) -> None:
        watched = self._watched.get(upstream)
        if watched is not None and watched.pool is pool:
            self._tell(upstream, watched.digests[index], model or "", until)

    def _held_off(self, upstream: str, until: float | None) -> None:
        self._tell(upstream, "", "", until)

    def _tell(self, upstream: str, key: str, model: str, until: float | None) -> None:
        now = self._clock()
        known = self._until.get((upstream, key, model), 0.0)
        if until is not None and until - known < _WORTH_TELLING:
            return
        if until is None and known <= now:
            return  # nobody holds it off
        self._note(upstream, key, model, until, now)
        rest = 0.0 if until is None else round(until - now, 3)
        self._events.tell(Event(self._origin, upstream, rest, key, model))

    def _note(self, upstream: str, key: str, model: str, until: float | None, now: float) -> None:
        if len(self._until) >= _MAX_EVENTS:
            self._until = {what: end for what, end in self._until.items() if end > now}
        self._until[upstream, key, model] = until or 0.0
