"""The keys of one upstream, used in turn; failing ones go into quarantine. Pure.

One client's request alone may cause a quarantine. Then other clients may still try the key, after
all other keys. Times are in seconds on the monotonic clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_QUARANTINE: Final = 3600.0
_MAX_MODELS: Final = 256


@dataclass(frozen=True, slots=True)
class Quarantine:
    """How long a key is not used, in seconds, and for which calls.

    *for_all*: for every model, not only the requested one. *proven*: no request can have caused it.
    """

    seconds: float
    for_all: bool = False
    proven: bool = False


@dataclass(frozen=True, slots=True)
class _Quarantined:
    until: float = 0.0
    client: str = ""
    """The client whose calls alone caused it; ``""`` for several clients, or none."""


_AVAILABLE: Final = _Quarantined()


@dataclass(slots=True)
class _KeyState:
    for_all: _Quarantined = _AVAILABLE
    by_model: dict[str, _Quarantined] = field(default_factory=dict)
    failed_at: float = 0.0

    def is_free(self, model: str, now: float) -> bool:
        return self.for_all.until <= now and self.by_model.get(model, _AVAILABLE).until <= now

    def is_open_to(self, client: str, model: str, now: float) -> bool:
        """Return whether *client* may try the key, because another client caused its quarantine."""
        states = (self.for_all, self.by_model.get(model, _AVAILABLE))
        return all(each.until <= now or each.client not in ("", client) for each in states)

    def put(self, model: str | None, until: float, client: str, now: float) -> None:
        before = self.for_all if model is None else self.by_model.pop(model, _AVAILABLE)
        if before.until > now and before.client != client:
            client = ""
        if model is None:
            self.for_all = _Quarantined(until, client)
            return
        if len(self.by_model) >= _MAX_MODELS:
            # Names come from clients, so they are bounded: the oldest quarantine ends.
            del self.by_model[next(iter(self.by_model))]
        self.by_model[model] = _Quarantined(until, client)

    def until(self) -> float:
        return max(self.for_all.until, *(each.until for each in self.by_model.values()), 0.0)


class KeyPool:
    """The keys of one upstream.

    *on_change* is called with the index of a key in quarantine, its model (None for all), its end,
    and the client whose call alone caused it (``""`` if unknown).
    """

    __slots__ = ("_next", "_states", "keys", "on_change")

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.on_change: Callable[[int, str | None, float, str], object] = lambda *args: None
        self._states = [_KeyState() for _ in self.keys]
        self._next = 0

    def pick(
        self, model: str, now: float, tried: frozenset[int] = frozenset(), *, client: str = ""
    ) -> int | None:
        """Return the index of the key to use, or None if every key was tried.

        If all keys are in quarantine, this is the one that failed longest ago.
        """
        if len(self.keys) == 1:
            return 0 if 0 not in tried else None
        count = len(self.keys)
        turn = [(self._next + step) % count for step in range(count)]
        candidates = [index for index in turn if index not in tried]
        free = [index for index in candidates if self._states[index].is_free(model, now)]
        if not free:
            open_to = [i for i in candidates if self._states[i].is_open_to(client, model, now)]
            # A call that has already failed once does not try a key in quarantine.
            second = open_to if open_to or tried else candidates
            free = sorted(second, key=lambda index: self._states[index].failed_at)
        if not free:
            return None
        self._next = (free[0] + 1) % count
        return free[0]

    def quarantine(
        self, index: int, model: str, now: float, quarantine: Quarantine, *, client: str = ""
    ) -> None:
        """Put a key in quarantine, for an hour at most, after a call of *client* for *model*."""
        until = now + min(quarantine.seconds, MAX_QUARANTINE)
        of_model, by = None if quarantine.for_all else model, "" if quarantine.proven else client
        state = self._states[index]
        state.failed_at = now
        state.put(of_model, until, by, now)
        self.on_change(index, of_model, until, by)

    def apply_remote(
        self, index: int, model: str | None, until: float, now: float, *, client: str = ""
    ) -> None:
        """Apply another process's quarantine of a key."""
        state = self._states[index]
        before = state.for_all if model is None else state.by_model.get(model, _AVAILABLE)
        state.put(model, max(before.until, until), client, now)

    def quarantined(self, now: float) -> int:
        """Return how many keys are in quarantine for any model."""
        return sum(1 for state in self._states if state.until() > now)

    def quarantined_for(self, now: float) -> list[float]:
        """Return each key's remaining seconds of quarantine, over all models."""
        return [max(0.0, state.until() - now) for state in self._states]
