"""What to try next when an upstream fails: another key, again, elsewhere, or nothing. Pure.

Decisions are made from values: the clock's reading and a random number come in. Nothing that has
been answered even in part is ever asked again, and nothing that may have been billed is sent twice
to the same place.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from jarvis_proxy.errors import ProxyError

_MAX_KEYS: Final = 3
_KEY_REFUSED_FOR: Final = 900.0
_RATE_LIMITED_FOR: Final = 30.0
_MAX_QUARANTINE: Final = 3600.0
_LONGEST_WAIT: Final = 5.0
_FAILURES_TO_OPEN: Final = 5
_FAILURE_WINDOW: Final = 10.0
_FIRST_OPEN: Final = 10.0
_LONGEST_OPEN: Final = 120.0
_MAX_RETRY_AFTER: Final = 60.0
_BUDGET_SHARE: Final = 0.2
_BUDGET_LEAST: Final = 3


class Failure(Enum):
    """What kind of failure an attempt met, as far as the next step depends on it."""

    UNSENT = "unsent"  # the upstream was not reached: nothing was sent
    KEY_REFUSED = "key_refused"  # 401, or 403, for our key
    RATE_LIMITED = "rate_limited"  # 429
    OVERLOADED = "overloaded"  # 500, 502, 503, 504, 529 as an answer
    UNUSABLE = "unusable"  # an answer that is worth asking again for, once
    BROKEN = "broken"  # cut, silent or garbled after the request was sent
    FINAL = "final"  # the request itself is at fault: no one will answer it better


@dataclass(slots=True)
class _KeyState:
    until: float = 0.0
    by_model: dict[str, float] = field(default_factory=dict)
    failed_at: float = 0.0

    def free_at(self, model: str) -> float:
        return max(self.until, self.by_model.get(model, 0.0))


class KeyPool:
    """The keys of one upstream, taken in turn; a refused or limited one rests for a while.

    *told* is called with the index of a key that begins to rest, the model for which it does (None:
    for all) and until when.
    """

    __slots__ = ("_next", "_states", "keys", "told")

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)
        self.told: Callable[[int, str | None, float], object] = lambda index, model, until: None
        self._states = [_KeyState() for _ in self.keys]
        self._next = 0

    def pick(self, model: str, now: float, tried: frozenset[int] = frozenset()) -> int | None:
        """Return the index of the key to use, or None when every one was tried.

        When all of them rest, the one that failed longest ago is used all the same.
        """
        if len(self.keys) == 1:
            return 0 if 0 not in tried else None
        count = len(self.keys)
        turn = [(self._next + step) % count for step in range(count)]
        candidates = [index for index in turn if index not in tried]
        if not candidates:
            return None
        free = [index for index in candidates if self._states[index].free_at(model) <= now]
        if not free and tried:
            return None  # this call has failed once already: a resting key will not help it
        chosen = free[0] if free else min(candidates, key=lambda i: self._states[i].failed_at)
        self._next = (chosen + 1) % count
        return chosen

    def refused(self, index: int, now: float) -> None:
        """Let a key rest whose credentials were refused."""
        state = self._states[index]
        state.until, state.failed_at = now + _KEY_REFUSED_FOR, now
        self.told(index, None, state.until)

    def limited(self, index: int, model: str, now: float, retry_after: float | None) -> None:
        """Let a key rest for one model: as long as the upstream says, an hour at most."""
        state = self._states[index]
        rest = _RATE_LIMITED_FOR if retry_after is None else min(retry_after, _MAX_QUARANTINE)
        state.by_model[model] = now + rest
        state.failed_at = now
        if len(state.by_model) > 1000:
            state.by_model = {m: until for m, until in state.by_model.items() if until > now}
        self.told(index, model, now + rest)

    def hear(self, index: int, model: str | None, until: float) -> None:
        """Let a key rest of which another process says so."""
        state = self._states[index]
        if model is None:
            state.until = max(state.until, until)
        else:
            state.by_model[model] = max(state.by_model.get(model, 0.0), until)

    def resting(self, now: float) -> int:
        """Return how many keys rest, for all models or for some."""
        return sum(
            1
            for state in self._states
            if state.until > now or any(until > now for until in state.by_model.values())
        )

    def rests(self, now: float) -> list[float]:
        """Return for each key how many seconds it still rests, for all models or for some."""
        return [
            max(0.0, max((state.until, *state.by_model.values())) - now) for state in self._states
        ]


class Breaker:
    """Stops asking an upstream that fails again and again, and tries it with one call later.

    That call is the probe: ``admit`` let it in although ``is_open``. It ends in ``succeeded``,
    ``failed`` or ``abandoned``, of which the last is for probes only.
    *told* is called with the moment until which calls are held off, and with None when they are
    no longer.
    """

    __slots__ = ("_failures", "_open_for", "_open_until", "_probing", "told")

    def __init__(self) -> None:
        self.told: Callable[[float | None], object] = lambda until: None
        self._failures: deque[float] = deque(maxlen=_FAILURES_TO_OPEN)
        self._open_until: float | None = None
        self._open_for = _FIRST_OPEN
        self._probing = False

    def admit(self, now: float) -> float | None:
        """Return None if a call may go, else the seconds until one may."""
        if self._open_until is None:
            return None
        if now < self._open_until:
            return self._open_until - now
        if self._probing:
            return 1.0
        self._probing = True
        return None

    def succeeded(self) -> None:
        """Note an answer of any status below 500: the upstream works."""
        if self._open_until is not None or self._failures:
            was_open = self._open_until is not None
            self._close()
            if was_open:
                self.told(None)

    def failed(self, now: float, *, is_probe: bool = False) -> None:
        """Note a connect failure or an answer of 500 and above."""
        if self._open_until is not None:
            if not is_probe:
                return  # it was asked before: nothing new
            # The probe failed: stay away for twice as long.
            self._open_for = min(self._open_for * 2, _LONGEST_OPEN)
            self._open_until, self._probing = now + self._open_for, False
            self.told(self._open_until)
            return
        self._failures.append(now)
        if len(self._failures) == _FAILURES_TO_OPEN and now - self._failures[0] <= _FAILURE_WINDOW:
            self._open_until = now + self._open_for
            self.told(self._open_until)

    def hear(self, until: float | None) -> None:
        """Hold calls off of which another process says so; None: it got an answer again."""
        if until is None:
            self._close()
        elif self._open_until is None or until > self._open_until:
            self._open_until = until

    def _close(self) -> None:
        self._failures.clear()
        self._open_until, self._open_for, self._probing = None, _FIRST_OPEN, False

    def abandoned(self) -> None:
        """Note that the probe ended without telling whether the upstream works."""
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are held off."""
        return self._open_until is not None


def unavailable(seconds: float) -> ProxyError:
    """Return 503 `upstream_unavailable` for an upstream whose breaker is open."""
    return ProxyError(
        503,
        "The upstream has failed repeatedly and is left alone for a moment.",
        code="upstream_unavailable",
        retry_after=min(max(1.0, seconds), _MAX_RETRY_AFTER),
    )


class RetryBudget:
    """Keeps retries a small share of the calls in progress, so that they cannot feed a storm.

    A retry is the same question to the same place. Other keys and fallbacks are none: keys that
    failed rest and upstreams that fail are left alone, so those do not pile up.
    """

    __slots__ = ("_retrying",)

    def __init__(self) -> None:
        self._retrying = 0

    def take(self, calls: int) -> bool:
        """Return whether one more retry fits, with *calls* in progress; if so it is taken."""
        if self._retrying >= max(_BUDGET_LEAST, calls * _BUDGET_SHARE):
            return False
        self._retrying += 1
        return True

    def give_back(self) -> None:
        """Return a retry that has ended."""
        self._retrying -= 1


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: after *delay* seconds, ask place number *place* of the call's plan.

    *is_retry*: the same is asked again, for which the budget must have room.
    """

    place: int
    delay: float = 0.0
    is_retry: bool = False


@dataclass(slots=True)
class Plan:
    """One call's attempts: its places (the model's own, then its fallbacks), what was tried.

    *retries_itself*: the client is an SDK that tries again by itself, so a failing upstream is
    not asked twice by both.
    """

    places: int
    retries_itself: bool
    place: int = 0
    tried: frozenset[int] = frozenset()
    again: bool = False

    def after(
        self, failure: Failure, *, other_key: bool, retry_after: float | None, chance: float
    ) -> Step | None:
        """Return the next step, or None to give up.

        *other_key* says whether a key is left that this call has not tried; *chance* is in [0, 1).
        """
        match failure:
            case Failure.FINAL:
                return None
            case Failure.KEY_REFUSED | Failure.RATE_LIMITED:
                if other_key and len(self.tried) < _MAX_KEYS:
                    return Step(self.place)
            case Failure.UNSENT if not self.again:
                return self._again(0.05 + 0.1 * chance)
            case Failure.UNUSABLE if not self.again:
                return self._again(0.0)
            case Failure.OVERLOADED if not self.again and not self.retries_itself:
                if retry_after is None:
                    return self._again(0.5 * (0.75 + 0.5 * chance))
                if retry_after <= _LONGEST_WAIT:
                    return self._again(retry_after)
        return self._elsewhere()

    def _again(self, delay: float) -> Step:
        self.again = True
        return Step(self.place, delay, is_retry=True)

    def _elsewhere(self) -> Step | None:
        if self.place + 1 >= self.places:
            return None
        self.place += 1
        self.tried, self.again = frozenset(), False
        return Step(self.place)
