"""Brute force: how many wrong keys an address may send before it is told to wait. Pure."""

from collections import OrderedDict

from jarvis_proxy.access.rate_limits import TokenBucket
from jarvis_proxy.errors import LimitExceeded


class AuthThrottle:
    """Failed attempts by source: a few at once, then a few a minute, and so many from all together.

    Only failures are counted and only a failure can be refused, so nobody is locked out by what
    their neighbours do. The table keeps the *size* sources that failed last. Of many sources at
    once, such as the networks of one IPv6 prefix, the limit for all together is the one that holds.
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
        """Count wrong *guesses* of *source*; return how long it should wait, 0.0 if it need not."""
        # Asked first: no flood of sources can push the others out of the table quickly.
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
    """The refusal of who guesses: it is sent late, and the connection is closed after it."""


def auth_throttled(wait: float) -> AuthThrottled:
    """Return 429 `rate_limit_exceeded` for an address that sends wrong keys again and again."""
    return AuthThrottled(
        429,
        "Too many requests without a valid API key came from this address. "
        "A request with a valid key is answered all the same.",
        limit="failures",
        code="rate_limit_exceeded",
        retry_after=wait,
        should_retry=False,
    )
