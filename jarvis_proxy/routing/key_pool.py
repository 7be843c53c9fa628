"""The keys of one upstream, taken in turn; a refused or limited one rests. Pure.

A client's own request may be why a key rests. Such a rest orders the keys for other clients, but
keeps none from them: another client may still try that key when the others have failed. Times are
in seconds on the monotonic clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_QUARANTINE: Final = 3600.0
_MAX_MODELS: Final = 256


@dataclass(frozen=True, slots=True)
class Quarantine:
    """How long a key is left alone, in seconds, and for which calls.

    *for_all*: for every model, not only the one that was asked for. *proven*: no request can have
    caused it.
    """

    seconds: float
    for_all: bool = False
    proven: bool = False


@dataclass(frozen=True, slots=True)
class _Quarantined:
    until: float = 0.0
    client: str = ""
    """Whose calls alone caused it; ``""``: several clients' calls, or no one's."""


_AVAILABLE: Final = _Quarantined()


@dataclass(slots=True)
class _KeyState:
    for_all: _Quarantined = _AVAILABLE
    by_model: dict[str, _Quarantined] = field(default_factory=dict)
    failed_at: float = 0.0

    def is_free(self, model: str, now: float) -> bool:
        return self.for_all.until <= now and self.by_model.get(model, _AVAILABLE).until <= now

    def is_open_to(self, client: str, model: str, now: float) -> bool:
        """Tell whether *client* may try the key although it rests: others alone caused it."""
        rests = (self.for_all, self.by_model.get(model, _AVAILABLE))
        return all(rest.until <= now or rest.client not in ("", client) for rest in rests)

    def put(self, model: str | None, until: float, client: str, now: float) -> None:
        before = self.for_all if model is None else self.by_model.pop(model, _AVAILABLE)
        if before.until > now and before.client != client:
            client = ""
        if model is None:
            self.for_all = _Quarantined(until, client)
            return
        if len(self.by_model) >= _MAX_MODELS:
            # Names come from clients. The rest that began first goes: its key is asked again.
            del self.by_model[next(iter(self.by_model))]
        self.by_model[model] = _Quarantined(until, client)

    def until(self) -> float:
        return max(self.for_all.until, *(rest.until for rest in self.by_model.values()), 0.0)


class KeyPool:
    """The keys of one upstream.

    *told* is called with the index of a key that begins to rest, the model for which it does (None:
    for all), until when, and the client whose call alone caused it (``""``: not known).
    """

    __slots__ = ("_next", "_states", "keys", "on_change")

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.on_change: Callable[[int, str | None, float, str], object] = lambda *rest: None
        self._states = [_KeyState() for _ in self.keys]
        self._next = 0

    def pick(
        self, model: str, now: float, tried: frozenset[int] = frozenset(), *, client: str = ""
    ) -> int | None:
        """Return the index of the key to use, or None when every one was tried.

        When all of them rest, the one that failed longest ago is used all the same.
        """
        if len(self.keys) == 1:
            return 0 if 0 not in tried else None
        count = len(self.keys)
        turn = [(self._next + step) % count for step in range(count)]
        candidates = [index for index in turn if index not in tried]
        free = [index for index in candidates if self._states[index].is_free(model, now)]
        if not free:
            open_to = [i for i in candidates if self._states[i].is_open_to(client, model, now)]
            # A call that has failed once is not helped by a key that rests for good reason.
            second = open_to if open_to or tried else candidates
            free = sorted(second, key=lambda index: self._states[index].failed_at)
        if not free:
            return None
        self._next = (free[0] + 1) % count
        return free[0]

    def quarantine(
        self, index: int, model: str, now: float, quarantine: Quarantine, *, client: str = ""
    ) -> None:
        """Let a key rest after a call of *client* for *model*: an hour at most."""
        until = now + min(quarantine.seconds, MAX_QUARANTINE)
        of_model, by = None if quarantine.for_all else model, "" if quarantine.proven else client
        state = self._states[index]
        state.failed_at = now
        state.put(of_model, until, by, now)
        self.on_change(index, of_model, until, by)

    def apply_remote(
        self, index: int, model: str | None, until: float, now: float, *, client: str = ""
    ) -> None:
        """Let a key rest because another process says so."""
        state = self._states[index]
        before = state.for_all if model is None else state.by_model.get(model, _AVAILABLE)
        state.put(model, max(before.until, until), client, now)

    def quarantined(self, now: float) -> int:
        """Return how many keys rest, for all models or for some."""
        return sum(1 for state in self._states if state.until() > now)

    def quarantined_for(self, now: float) -> list[float]:
        """Return for each key how many seconds it still rests, for all models or for some."""
        return [max(0.0, state.until() - now) for state in self._states]
