"""Circuit breakers: refuse calls after an upstream has failed repeatedly. Pure.

No client can shut out another. One client's failures open the circuit for that client only, and a
client without failures of its own is always admitted. Its call shows whether the other clients'
requests caused their failures. Times are in seconds on the monotonic clock.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

MAX_OPEN_SECONDS: Final = 120.0
_FIRST_OPEN_SECONDS: Final = 10.0
_FAILURE_THRESHOLD: Final = 5
_WINDOW: Final = 10.0
_MAX_WEIGHT: Final = 3
"""Most failures of one client that count for others, so at least two clients must fail."""
_MAX_MODELS: Final = 256
_MAX_CLIENTS: Final = 256
_PROBE_IN_PROGRESS_WAIT: Final = 1.0


class _ClientCircuit:
    """One client's failures. *open_until* is None while the circuit is closed."""

    __slots__ = ("failures", "open_seconds", "open_until", "probing", "weight")

    def __init__(self) -> None:
        self.failures: deque[float] = deque(maxlen=_FAILURE_THRESHOLD)
        self.open_seconds = _FIRST_OPEN_SECONDS
        self.probing = False
        self.open_until: float | None = None
        self.weight = _MAX_WEIGHT

    def recent(self, now: float) -> int:
        return sum(1 for moment in self.failures if now - moment <= _WINDOW)

    def counts_against_others(self, now: float) -> int:
        if self.open_until is not None:
            return self.weight if now <= self.open_until + _WINDOW else 0
        return min(self.weight, self.recent(now))


class CircuitBreaker:
    """Opens for clients whose calls keep failing; one good answer closes it for all clients.

    After its pause a client may send one call, the probe, which ends in ``succeeded``, ``failed``
    or ``abandoned``. *on_change* is called with a client and the time until which its circuit is
    open; a time of None means closed for all.
    """

    __slots__ = ("_clients", "on_change")

    def __init__(self) -> None:
        self._clients: dict[str, _ClientCircuit] = {}
        self.on_change: Callable[[str, float | None], object] = lambda client, until: None

    @property
    def is_closed_for_all(self) -> bool:
        """Whether no call has failed since the last good answer."""
        return not self._clients

    def seconds_until_allowed(self, client: str, now: float) -> float | None:
        """Return None if *client* may call, otherwise the seconds until it may."""
        state = self._clients.get(client)
        if state is None or state.open_until is None:
            return None
        if now < state.open_until:
            return state.open_until - now
        return _PROBE_IN_PROGRESS_WAIT if state.probing else None

    def start_call(self, client: str) -> bool:
        """Note an allowed call; return whether it is a probe."""
        state = self._clients.get(client)
        if state is None or state.open_until is None:
            return False
        state.probing = True
        return True

    def succeeded(self) -> None:
        """Note a good answer: the circuit closes for all clients."""
        if self._clients:
            was_open = any(state.open_until is not None for state in self._clients.values())
            self._clients.clear()
            if was_open:
                self.on_change("", None)

    def failed(
        self, client: str, now: float, *, is_probe: bool = False, proven: bool = False
    ) -> None:
        """Note a failure; *proven* means that no request can have caused it.

        Then one client's failures suffice: the next client's circuit opens at its first failure.
        """
        state = self._state(client)
        state.weight = _FAILURE_THRESHOLD if proven else _MAX_WEIGHT
        if state.open_until is not None:
            if is_probe:
                state.open_seconds = min(state.open_seconds * 2, MAX_OPEN_SECONDS)
                self._open(client, state, now)
            # These calls were sent earlier, so they add no information.
            return
        state.failures.append(now)
        together = sum(other.counts_against_others(now) for other in self._clients.values())
        for name, each in self._clients.items():
            failures = each.recent(now)
            if (
                each.open_until is None
                and failures
                and max(failures, together) >= _FAILURE_THRESHOLD
            ):
                self._open(name, each, now)

    def abandoned(self, client: str) -> None:
        """Note that a probe ended without a result."""
        if (state := self._clients.get(client)) is not None:
            state.probing = False

    def apply_remote(self, client: str, until: float | None) -> None:
        """Apply another process's open circuit of *client*; None closes it for all clients."""
        if until is None:
            self._clients.clear()
            return
        state = self._state(client)
        if state.open_until is None or until > state.open_until:
            state.open_until = until

    def is_open(self, now: float) -> bool:
        """Return whether the circuit is open for any client."""
        return any(
            state.open_until is not None and (state.open_until > now or state.probing)
            for state in self._clients.values()
        )

    def _open(self, client: str, state: _ClientCircuit, now: float) -> None:
        state.open_until, state.probing = now + state.open_seconds, False
        self.on_change(client, state.open_until)

    def _state(self, client: str) -> _ClientCircuit:
        state = self._clients.get(client)
        if state is None:
            if len(self._clients) >= _MAX_CLIENTS:
                del self._clients[next(iter(self._clients))]
            state = self._clients[client] = _ClientCircuit()
        return state


class CircuitBreakers:
    """The breakers of one upstream: one for the upstream, and one for each failing model.

    *on_change* is called with a model (``""``: the whole upstream), a client and the time until
    which its circuit is open. The client ``""`` with the time None means closed for all.
    """

    __slots__ = ("_models", "on_change", "upstream")

    def __init__(self) -> None:
        self.on_change: Callable[[str, str, float | None], object] = lambda model, client, until: (
            None
        )
        self.upstream = self._new("")
        self._models: dict[str, CircuitBreaker] = {}

    def allow(self, model: str, client: str, now: float) -> "CallPermit | float":
        """Return a permit for an allowed call, otherwise the seconds until one is allowed."""
        of_model = self._models.get(model)
        if of_model is None and self.upstream.is_closed_for_all:  # nearly always
            return CallPermit(self, model, client, [])
        breakers = [self.upstream] if of_model is None else [self.upstream, of_model]
        waits = [
            wait
            for each in breakers
            if (wait := each.seconds_until_allowed(client, now)) is not None
        ]
        if waits:
            return max(waits)
        return CallPermit(
            self, model, client, [each for each in breakers if each.start_call(client)]
        )

    def apply_remote(self, model: str, client: str, until: float | None) -> None:
        """Apply another process's change."""
        if not model:
            self.upstream.apply_remote(client, until)
        elif until is None:
            self._models.pop(model, None)
        else:
            self.for_model(model).apply_remote(client, until)

    def is_upstream_open(self, now: float) -> bool:
        """Return whether the circuit of the whole upstream is open for any client."""
        return self.upstream.is_open(now)

    def open_models(self, now: float) -> int:
        """Return for how many models the circuit is open for any client."""
        return sum(1 for breaker in self._models.values() if breaker.is_open(now))

    def __len__(self) -> int:
        """Return the number of failing models."""
        return len(self._models)

    def for_model(self, model: str) -> CircuitBreaker:
        """Return the breaker of *model*."""
        breaker = self._models.pop(model, None)
        if breaker is None:
            breaker = self._new(model)
            if len(self._models) >= _MAX_MODELS:
                # Names come from clients, so they are bounded. Forgetting one only allows calls.
                del self._models[next(iter(self._models))]
        # Moves the model to the end, because the first one is evicted.
        self._models[model] = breaker
        return breaker

    def _new(self, model: str) -> CircuitBreaker:
        breaker = CircuitBreaker()
        breaker.on_change = lambda client, until: self.on_change(model, client, until)
        return breaker

    def succeeded(self, model: str) -> None:
        """Note a good answer of *model*."""
        self.upstream.succeeded()
        if self._models and (breaker := self._models.pop(model, None)) is not None:
            breaker.succeeded()


class CallPermit:
    """One allowed call. It must end in one of these methods, or no other call may probe."""

    __slots__ = ("_breakers", "_client", "_model", "_probed")

    def __init__(
        self, breakers: CircuitBreakers, model: str, client: str, probed: list[CircuitBreaker]
    ) -> None:
        self._breakers = breakers
        self._model = model
        self._client = client
        self._probed = probed

    def answered(self) -> None:
        """Note an answer of any status below 500: upstream and model work."""
        self._probed = []
        self._breakers.succeeded(self._model)

    def failed(self, now: float) -> None:
        """Note an answer of 500 or above, which only concerns the model."""
        breakers = self._breakers
        breakers.upstream.succeeded()
        self._fail(breakers.for_model(self._model), now, proven=False)

    def unreachable(self, now: float) -> None:
        """Note that the upstream could not be reached, which no request can cause."""
        self._fail(self._breakers.upstream, now, proven=True)

    def unanswered(self, now: float) -> None:
        """Note that the upstream accepted the request but did not answer in time."""
        self._fail(self._breakers.upstream, now, proven=False)

    def abandoned(self) -> None:
        """Note an end without a result: another call may probe."""
        probed, self._probed = self._probed, []
        for breaker in probed:
            breaker.abandoned(self._client)

    def _fail(self, breaker: CircuitBreaker, now: float, *, proven: bool) -> None:
        is_probe = breaker in self._probed
        if is_probe:
            self._probed.remove(breaker)
        breaker.failed(self._client, now, is_probe=is_probe, proven=proven)
        self.abandoned()
