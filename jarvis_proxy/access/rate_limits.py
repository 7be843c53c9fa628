"""Rate limits of client keys: token buckets, and estimates of token counts. Pure.

Clock readings are arguments, in seconds on the monotonic clock.

Source of the headers: https://platform.openai.com/docs/guides/rate-limits (read 2026-11).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from jarvis_proxy.errors import LimitExceeded, Reason

_MINUTE: Final = 60.0
MAX_DEBT_MINUTES: Final = 1440
"""Longest wait of a key, in minutes (a day), however much it overspent."""


class TokenBucket:
    """A bucket that refills at a steady rate up to its capacity. It starts full."""

    __slots__ = ("_available", "_updated_at", "capacity", "per_second")

    def __init__(self, capacity: float, per_second: float, now: float) -> None:
        self.capacity = capacity
        self.per_second = per_second
        self._available = capacity
        self._updated_at = now

    def available(self, now: float) -> float:
        """Return the tokens in the bucket; negative after overspending."""
        # One call asks several times, and two callers may pass their clock readings out of order.
        passed = now - self._updated_at
        if passed > 0:
            self._available = min(self.capacity, self._available + passed * self.per_second)
            self._updated_at = now
        return self._available

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until *amount* is available; 0.0 if it is now.

        An amount above the capacity never becomes available, so it only needs a full bucket.
        """
        return max(0.0, min(amount, self.capacity) - self.available(now)) / self.per_second

    def spend(self, amount: float, now: float) -> None:
        """Spend *amount*, even if it exceeds what is available; a negative amount is put back."""
        left = min(self.capacity, self.available(now) - amount)
        self._available = max(left, -MAX_DEBT_MINUTES * _MINUTE * self.per_second)

    def seconds_to_full(self, now: float) -> float:
        """Return the seconds until the bucket is full."""
        return (self.capacity - self.available(now)) / self.per_second


@dataclass(frozen=True, slots=True)
class KeyQuota:
    """The limits of one key: requests and tokens per minute, concurrent calls; None is no limit."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """The state of a limit: the limit, what remains, and the seconds until it is full again."""

    limit: int
    remaining: int
    seconds_to_full: float


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """Whether a call may start: *refused* names the limit that forbids it, for *wait* seconds."""

    refused: Reason | None = None
    wait: float = 0.0
    requests: LimitStatus | None = None
    tokens: LimitStatus | None = None

    def headers(self) -> Iterator[tuple[str, str]]:
        """Yield OpenAI's ``x-ratelimit-*`` headers for the limits that are set."""
        for name, status in (("requests", self.requests), ("tokens", self.tokens)):
            if status is not None:
                yield f"x-ratelimit-limit-{name}", str(status.limit)
                yield f"x-ratelimit-remaining-{name}", str(status.remaining)
                yield f"x-ratelimit-reset-{name}", duration(status.seconds_to_full)

    def error(self) -> LimitExceeded:
        """Return 429 `rate_limit_exceeded` for a refused call."""
        if self.refused == "concurrency":
            return concurrency_exceeded()
        status, kind = self.requests, "requests per min (RPM)"
        if self.refused == "tokens":
            status, kind = self.tokens, "tokens per min (TPM)"
        limit = "" if status is None else f": Limit {status.limit}"
        return LimitExceeded(
            429,
            f"Rate limit of this key reached on {kind}{limit}. "
            f"Please try again in {duration(self.wait)}.",
            limit=self.refused or "requests",
            error_type=self.refused,
            code="rate_limit_exceeded",
            retry_after=self.wait,
        )


class RateLimiter(Protocol):
    """Counts the usage of keys, in this process or in a store that several processes share.

    ``admit`` is awaited, because it may have to ask a shared store. The other two are called while
    a call ends or is cancelled, so they must not wait: they update a shared store later, in a task
    of its own.
    """

    async def admit(
        self, key: str, quota: KeyQuota, *, call_id: str, tokens: int, now: float
    ) -> LimitDecision:
        """Decide on a call; count an admitted one as a request, *tokens*, and a concurrent call.

        A refused call counts nothing.

        A shared store may use its own clock instead of *now*.
        """

    def adjust_tokens(self, key: str, tokens: int, now: float) -> None:
        """Add *tokens*, which may be negative, to what ``admit`` counted."""

    def release(self, key: str, call_id: str) -> None:
        """Count a call as ended. Call this for every ``admit``, even for a cancelled one.

        Calls that are not counted are ignored.
        """


@dataclass(slots=True)
class _KeyUsage:
    """The current usage of one key."""

    quota: KeyQuota
    requests: TokenBucket | None
    tokens: TokenBucket | None
    running: set[str] = field(default_factory=set)


class MemoryRateLimiter:
    """The rate limiter of a single process."""

    def __init__(self) -> None:
        self._usage_by_key: dict[str, _KeyUsage] = {}

    async def admit(
        self, key: str, quota: KeyQuota, *, call_id: str, tokens: int, now: float
    ) -> LimitDecision:
        """Decide on a call; count it if it is admitted."""
        usage = self._usage(key, quota, now)
        refused, wait = _violated_limit(usage, tokens, now)
        if refused is None:
            usage.running.add(call_id)
            for bucket, amount in ((usage.requests, 1), (usage.tokens, tokens)):
                if bucket is not None:
                    bucket.spend(amount, now)
        return LimitDecision(
            refused, wait, _status(usage.requests, now), _status(usage.tokens, now)
        )

    def adjust_tokens(self, key: str, tokens: int, now: float) -> None:
        """Add *tokens*, which may be negative."""
        usage = self._usage_by_key.get(key)
        if usage is not None and usage.tokens is not None:
            usage.tokens.spend(tokens, now)

    def release(self, key: str, call_id: str) -> None:
        """Count a call as ended."""
        if (usage := self._usage_by_key.get(key)) is not None:
            usage.running.discard(call_id)

    def _usage(self, key: str, quota: KeyQuota, now: float) -> _KeyUsage:
        usage = self._usage_by_key.get(key)
        if usage is None or usage.quota != quota:
            # The configuration was reloaded.
            running = set() if usage is None else usage.running
            usage = _KeyUsage(quota, _bucket(quota.rpm, now), _bucket(quota.tpm, now), running)
            self._usage_by_key[key] = usage
        return usage


def _violated_limit(usage: _KeyUsage, tokens: int, now: float) -> tuple[Reason | None, float]:
    """Return the limit that forbids a call, and for how many seconds."""
    at_once = usage.quota.concurrency
    if at_once is not None and len(usage.running) >= at_once:
        return "concurrency", 1.0
    if usage.requests is not None and (wait := usage.requests.wait(1, now)):
        return "requests", wait
    # After overspending, not even a call without tokens is admitted.
    if usage.tokens is not None and (wait := usage.tokens.wait(max(tokens, 1), now)):
        return "tokens", wait
    return None, 0.0


def _bucket(per_minute: int | None, now: float) -> TokenBucket | None:
    """Return a bucket with the capacity of one minute."""
    return None if per_minute is None else TokenBucket(per_minute, per_minute / _MINUTE, now)


def _status(bucket: TokenBucket | None, now: float) -> LimitStatus | None:
    if bucket is None:
        return None
    remaining = max(0, math.floor(bucket.available(now)))
    return LimitStatus(int(bucket.capacity), remaining, bucket.seconds_to_full(now))


def concurrency_exceeded() -> LimitExceeded:
    """Return 429 `rate_limit_exceeded` for a key with too many calls in progress."""
    return LimitExceeded(
        429,
        "Too many concurrent requests for this key. Retry when one has finished.",
        limit="concurrency",
        error_type="requests",
        code="rate_limit_exceeded",
        retry_after=1.0,
    )


def overloaded(what: str, chance: float) -> LimitExceeded:
    """Return 503 `overloaded`; *chance*, in [0, 1), spreads the retries over 1 to 5 seconds."""
    return LimitExceeded(
        503,
        f"The proxy is busy: {what}. Please try again.",
        limit="busy",
        code="overloaded",
        retry_after=1.0 + 4.0 * chance,
        should_retry=True,
    )


def duration(seconds: float) -> str:
    """Return a duration in the form of OpenAI's headers: ``120ms``, ``8.64s``, ``1h0m0s``."""
    total = math.ceil(seconds * 1000)
    if total < 1000:
        return f"{total}ms" if total > 0 else "0s"
    minutes, rest = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


_BASE64: Final = b";base64,"
_BYTES_PER_TOKEN: Final = 4
_BYTES_PER_EVENT: Final = 256
"""Size of one token's event in OpenAI's stream, including its JSON."""
_BYTES_OF_FRAME: Final = 400
"""Size of a whole answer without its text."""


def estimate_prompt(body: bytes) -> int:
    """Return an estimate of the tokens in a request's body: a quarter of its bytes.

    Base64 files are excluded, because models do not count them by size.
    """
    size, end = len(body), 0
    while (start := body.find(_BASE64, end)) >= 0:
        end = body.find(b'"', start)
        if end < 0:
            end = len(body)
        # A text that only looks like a data URL counts as text from its first space on.
        space = body.find(b" ", start, end)
        end = end if space < 0 else space
        size -= end - start
    return size // _BYTES_PER_TOKEN


def estimate_answer(size: int, *, streamed: bool, is_text: bool = False) -> int:
    """Return an estimate of the tokens in an answer of *size* bytes without reported usage.

    A whole answer counts only if it *is_text*: sound, pictures and verdicts have no such tokens.
    """
    if streamed:
        return size // _BYTES_PER_EVENT
    return max(0, size - _BYTES_OF_FRAME) // _BYTES_PER_TOKEN if is_text else 0
