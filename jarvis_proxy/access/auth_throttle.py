"""Brute-force protection: limits the wrong keys that an address may send per minute. Pure."""

from collections import OrderedDict

from jarvis_proxy.access.rate_limits import TokenBucket
from jarvis_proxy.errors import LimitExceeded


class AuthThrottle:
    """Limits failed attempts per source (a burst, then a rate), and over all sources.

    Only failures are counted and refused, so neighbours cannot lock a client out. The table keeps
    the *size* sources with the latest failures. The overall limit covers attacks from many sources,
    such as the networks of one IPv6 prefix.
    """

    __slots__ = ("_all", "_burst", "_per_second", "_size", "_sources")

    def __init__(
        self,
        now: float,
        *,
        burst: float = 10,
        per_second: float = 1 / 6,
        all_per_second: float = 50,
        size: int = 10_000,
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._size = size
        self._all = TokenBucket(all_per_second, all_per_second, now)
        self._sources: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def record_failure(self, source: str, now: float, guesses: int = 1) -> float:
        """Count wrong *guesses* of *source*; return the seconds that it must wait, 0.0 for none."""
        # Check this first, so that a flood of new sources cannot evict the others quickly.
        if wait := self._all.wait(guesses, now):
            return wait
        bucket = self._sources.get(source)
        if bucket is None:
            bucket = self._sources[source] = TokenBucket(self._burst, self._per_second, now)
            if len(self._sources) > self._size:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(source)
        if wait := bucket.wait(guesses, now):
            return wait
        bucket.spend(guesses, now)
        self._all.spend(guesses, now)
        return 0.0


class AuthThrottled(LimitExceeded):
    """The error for a guessing client: it is delayed, and then the connection is closed."""


def auth_throttled(wait: float) -> AuthThrottled:
    """Return 429 `rate_limit_exceeded` for an address that keeps sending wrong keys."""
    return AuthThrottled(
        429,
        "Too many requests without a valid API key from this address. "
        "Requests with a valid key are still answered.",
        limit="failures",
        code="rate_limit_exceeded",
        retry_after=wait,
        should_retry=False,
    )
