"""Retry policy: after a failure, try another key, retry, fall back, or give up. Pure.

Decisions depend only on arguments, such as a random number. A call that was partly answered is
never retried, and one that may have been billed is never sent twice to the same upstream.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Final

from jarvis_proxy.errors import ProxyError

_MAX_KEYS: Final = 3
_MAX_RETRY_DELAY: Final = 5.0
_MAX_RETRY_AFTER: Final = 60.0
_BUDGET_SHARE: Final = 0.2
_BUDGET_MIN: Final = 3


class FailureKind(Enum):
    """The kind of an attempt's failure, which decides the next step."""

    NOT_SENT = "unsent"
    """The upstream was not reached, so nothing was sent."""
    KEY_REFUSED = "key_refused"
    """Another key may work: 401, 402, 403, 429..."""
    MODEL_MISSING = "model_missing"
    """The upstream does not have the model."""
    OVERLOADED = "overloaded"
    """The upstream answered 500, 502, 503, 504 or 529."""
    UNANSWERED = "unanswered"
    """The request was sent, and no answer arrived in time."""
    UNUSABLE = "unusable"
    """The answer is unusable; one repetition is worth it."""
    INTERRUPTED = "broken"
    """The answer was cut or garbled after the request was sent."""
    CLIENT_ERROR = "final"
    """The request itself is at fault, so no upstream will answer it better."""
    LOCAL = "ours"
    """The proxy or its client ended the call, so no upstream is at fault."""


def upstream_unavailable(seconds: float) -> ProxyError:
    """Return 503 `upstream_unavailable` for a call while the circuit is open for *seconds*."""
    return ProxyError(
        503,
        "The upstream failed repeatedly, so its circuit breaker is open. Retry later.",
        code="upstream_unavailable",
        retry_after=min(max(1.0, seconds), _MAX_RETRY_AFTER),
    )


class RetryBudget:
    """Limits retries to a small share of the calls in progress, to avoid retry storms.

    A retry sends the same request to the same route. Other keys and fallbacks do not count, because
    quarantine and circuit breakers limit them. Each client may always have one retry.
    """

    __slots__ = ("_by_client",)

    def __init__(self) -> None:
        self._by_client: Counter[str] = Counter()

    def acquire(self, calls: int, client: str = "") -> bool:
        """Return whether one more retry fits, with *calls* in progress; if so, reserve it."""
        is_full = self._by_client.total() >= max(_BUDGET_MIN, calls * _BUDGET_SHARE)
        if is_full and client in self._by_client:
            return False
        self._by_client[client] += 1
        return True

    def release(self, client: str = "") -> None:
        """Release a finished retry of *client*."""
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The next attempt: after *delay* seconds, use route number *route_index* of the plan.

    *is_retry*: it sends the same request again, so the retry budget must have room.
    """

    route_index: int
    delay: float = 0.0
    is_retry: bool = False


@dataclass(slots=True)
class RetryPlan:
    """One call's attempts: its routes (the model's own, then its fallbacks) and what was tried.

    *retries_itself*: the client is an SDK with retries of its own, so that the proxy does not add
    its retries of a failing upstream.
    """

    route_count: int
    retries_itself: bool
    route_index: int = 0
    tried_keys: frozenset[int] = frozenset()
    retried: bool = False
    retried_unusable: bool = False
    """Whether an unusable answer was retried; this is independent of the other retries."""

    def next_attempt(
        self, failure: FailureKind, *, other_key: bool, retry_after: float | None, chance: float
    ) -> NextAttempt | None:
        """Return the next step, or None to give up.

        *other_key* tells whether this call has an untried key left; *chance* is in [0, 1).
        """
        match failure:
            case FailureKind.CLIENT_ERROR | FailureKind.LOCAL:
                return None
            case FailureKind.KEY_REFUSED:
                if other_key and len(self.tried_keys) < _MAX_KEYS:
                    return NextAttempt(self.route_index)
            case FailureKind.NOT_SENT if not self.retried:
                return self._retry(0.05 + 0.1 * chance)
            case FailureKind.UNUSABLE if not self.retried_unusable:
                self.retried_unusable = True
                return NextAttempt(self.route_index, is_retry=True)
            case FailureKind.OVERLOADED if not self.retried and not self.retries_itself:
                if retry_after is None:
                    return self._retry(0.5 * (0.75 + 0.5 * chance))
                if retry_after <= _MAX_RETRY_DELAY:
                    return self._retry(retry_after)
        return self._next_route()

    def _retry(self, delay: float) -> NextAttempt:
        self.retried = True
        return NextAttempt(self.route_index, delay, is_retry=True)

    def _next_route(self) -> NextAttempt | None:
        if self.route_index + 1 >= self.route_count:
            return None
        self.route_index += 1
        self.tried_keys, self.retried, self.retried_unusable = frozenset(), False, False
        return NextAttempt(self.route_index)
