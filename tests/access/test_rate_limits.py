"""Buckets, verdicts and the limiter of one process, with a clock that the tests turn."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.access.rate_limits import (
    KeyQuota,
    LimitDecision,
    LimitStatus,
    MemoryRateLimiter,
    TokenBucket,
    concurrency_exceeded,
    duration,
    estimate_answer,
    estimate_prompt,
    overloaded,
)
from jarvis_proxy.errors import LimitExceeded, Reason

NOW = 1000.0


# The bucket


def test_a_bucket_starts_full_and_fills_steadily_up_to_its_capacity() -> None:
    bucket = TokenBucket(10, 2, NOW)
    bucket.spend(8, NOW)

    assert [bucket.available(NOW + seconds) for seconds in (0, 1, 3, 4, 100)] == [2, 4, 8, 10, 10]


def test_a_bucket_says_how_long_to_wait() -> None:
    bucket = TokenBucket(10, 2, NOW)
    bucket.spend(9, NOW)

    assert bucket.wait(1, NOW) == 0
    assert bucket.wait(5, NOW) == 2
    assert bucket.wait(5, NOW + 2) == 0


def test_more_than_the_capacity_waits_for_a_full_bucket_only() -> None:
    bucket = TokenBucket(10, 2, NOW)

    assert bucket.wait(1000, NOW) == 0
    bucket.spend(1, NOW)
    assert bucket.wait(1000, NOW) == 0.5


def test_what_was_spent_beyond_the_level_has_to_be_earned_first() -> None:
    bucket = TokenBucket(10, 2, NOW)
    bucket.spend(30, NOW)

    assert bucket.available(NOW) == -20
    assert bucket.wait(1, NOW) == 10.5
    assert bucket.seconds_to_full(NOW) == 15


def test_what_is_put_back_does_not_overflow() -> None:
    bucket = TokenBucket(10, 2, NOW)
    bucket.spend(4, NOW)
    bucket.spend(-100, NOW)

    assert (bucket.available(NOW), bucket.seconds_to_full(NOW)) == (10, 0)


def test_a_clock_read_out_of_turn_takes_nothing_away_and_gives_nothing_twice() -> None:
    bucket = TokenBucket(10, 1, NOW)
    bucket.spend(10, NOW + 5)

    assert bucket.available(NOW) == 0
    assert bucket.available(NOW + 5) == 0
    assert bucket.available(NOW + 6) == 1


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0.01, 5)),  # seconds since the last, amount
        max_size=50,
    )
)
def test_never_more_is_spent_than_a_full_bucket_and_what_came_since(
    steps: list[tuple[float, float]],
) -> None:
    bucket, now, spent = TokenBucket(5, 0.5, NOW), NOW, 0.0
    for passed, amount in steps:
        now += passed
        if not bucket.wait(amount, now):
            bucket.spend(amount, now)
            spent += amount

    assert spent <= 5 + 0.5 * (now - NOW) + 1e-6


# The limiter


async def admit(
    limiter: MemoryRateLimiter, quota: KeyQuota, now: float = NOW, **more: object
) -> LimitDecision:
    call_id, tokens = str(more.get("call_id", "a")), more.get("tokens", 0)
    assert isinstance(tokens, int)
    return await limiter.admit("key", quota, call_id=call_id, tokens=tokens, now=now)


async def test_requests_are_counted_down_and_come_back_one_by_one() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(rpm=3)
    verdicts = [await admit(limiter, quota) for _ in range(4)]

    assert [decision.refused for decision in verdicts] == [None, None, None, "requests"]
    assert [decision.requests for decision in verdicts] == [
        LimitStatus(3, 2, 20.0),
        LimitStatus(3, 1, 40.0),
        LimitStatus(3, 0, 60.0),
        LimitStatus(3, 0, 60.0),
    ]
    assert verdicts[3].wait == 20
    assert verdicts[3].tokens is None
    assert (await admit(limiter, quota, NOW + 19.9)).refused == "requests"
    assert (await admit(limiter, quota, NOW + 20)).refused is None


async def test_a_refused_call_counts_nothing() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(rpm=2, tpm=100, concurrency=1)
    await admit(limiter, quota, tokens=40)
    for _ in range(5):
        assert (await admit(limiter, quota, tokens=40, call_id="b")).refused == "concurrency"
    limiter.release("key", "a")
    decision = await admit(limiter, quota, tokens=61, call_id="b")

    assert decision.refused == "tokens"
    assert decision.requests == LimitStatus(2, 1, 30.0)
    assert decision.tokens == LimitStatus(100, 60, 24.0)


async def test_tokens_are_settled_when_the_answer_is_known() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(tpm=600)
    await admit(limiter, quota, tokens=100)
    limiter.adjust_tokens("key", 500, NOW)

    assert (await admit(limiter, quota, tokens=0)).refused == "tokens"
    limiter.adjust_tokens("key", -100, NOW)
    decision = await admit(limiter, quota, tokens=90)
    assert (decision.refused, decision.tokens) == (None, LimitStatus(600, 10, 59.0))


async def test_answer_beyond_the_limit_delays_later_calls() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(tpm=600)
    await admit(limiter, quota)
    limiter.adjust_tokens("key", 1800, NOW)
    decision = await admit(limiter, quota)

    assert (decision.refused, decision.tokens) == ("tokens", LimitStatus(600, 0, 180.0))
    assert decision.wait == pytest.approx(120.1)
    assert (await admit(limiter, quota, NOW + 121)).refused is None


async def test_calls_at_once_are_released_by_their_own_end_and_no_other() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(concurrency=2)
    await admit(limiter, quota, call_id="a")
    await admit(limiter, quota, call_id="b")
    for ended in ("c", "c", "a", "a"):
        limiter.release("key", ended)

    assert (await admit(limiter, quota, call_id="c")).refused is None
    refused = await admit(limiter, quota, call_id="d")
    assert refused == LimitDecision("concurrency", 1.0, None, None)


async def test_keys_do_not_share() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(rpm=1, tpm=1, concurrency=1)
    first = await limiter.admit("a", quota, call_id="1", tokens=1, now=NOW)
    second = await limiter.admit("b", quota, call_id="2", tokens=1, now=NOW)

    assert (first.refused, second.refused) == (None, None)


async def test_new_quota_starts_full_and_keeps_calls_in_progress() -> None:
    limiter = MemoryRateLimiter()
    await admit(limiter, KeyQuota(rpm=1, concurrency=1))

    assert (
        await admit(limiter, KeyQuota(rpm=5, concurrency=1), call_id="b")
    ).refused == "concurrency"
    assert (await admit(limiter, KeyQuota(rpm=5), call_id="b")).requests == LimitStatus(5, 4, 12.0)


def test_the_end_of_an_unknown_call_is_ignored() -> None:
    limiter = MemoryRateLimiter()
    limiter.release("nobody", "a")
    limiter.adjust_tokens("nobody", 5, NOW)


async def test_tokens_of_a_key_without_a_token_limit_are_not_counted() -> None:
    limiter, quota = MemoryRateLimiter(), KeyQuota(rpm=10)
    await admit(limiter, quota, tokens=10**9)
    limiter.adjust_tokens("key", 10**9, NOW)

    assert (await admit(limiter, quota)).refused is None


# What the client gets


def test_headers_are_openais_for_each_limit_that_there_is() -> None:
    decision = LimitDecision(requests=LimitStatus(60, 59, 1.0), tokens=LimitStatus(1000, 0, 360.0))

    assert dict(decision.headers()) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert dict(LimitDecision(requests=decision.requests).headers()).keys() == {
        f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")
    }
    assert list(LimitDecision().headers()) == []


@pytest.mark.parametrize(
    ("reason", "phrase"),
    [
        ("requests", "on requests per min (RPM): Limit 3. Please try again in 20s."),
        ("tokens", "on tokens per min (TPM): Limit 500. Please try again in 20s."),
    ],
)
def test_a_refusal_is_openais_429(reason: Reason, phrase: str) -> None:
    error = LimitDecision(reason, 19.9999, LimitStatus(3, 0, 60), LimitStatus(500, 0, 60)).error()
    body = json.loads(error.body())["error"]

    assert (error.status, error.retry_after) == (429, 19.9999)
    assert (body["type"], body["code"]) == (reason, "rate_limit_exceeded")
    assert phrase in body["message"]
    assert error.limit == reason


def test_a_refusal_without_a_meter_is_still_one() -> None:
    assert "on requests per min (RPM). Please" in LimitDecision("requests", 1.0).error().message


def test_too_many_at_once_is_a_429_to_be_tried_again_soon() -> None:
    error = LimitDecision("concurrency", 1.0).error()

    assert isinstance(error, LimitExceeded)
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_exceeded", 1.0)
    assert concurrency_exceeded().message == error.message
    assert error.limit == "concurrency"


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 1.0), (0.5, 3.0), (0.999, 4.996)])
def test_overload_spreads_the_retries(chance: float, seconds: float) -> None:
    error = overloaded("it has no room", chance)

    assert (error.status, error.code, error.should_retry) == (503, "overloaded", True)
    assert error.retry_after == pytest.approx(seconds)
    assert "it has no room" in error.message
    assert error.limit == "busy"


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (-1.0, "0s"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (0.9991, "1s"),
        (1.0, "1s"),
        (8.64, "8.64s"),
        (59.9999, "1m0s"),
        (60.0, "1m0s"),
        (86.4, "1m26.4s"),
        (360.0, "6m0s"),
        (3600.0, "1h0m0s"),
        (3661.5, "1h1m1.5s"),
        (90000.0, "25h0m0s"),
    ],
)
def test_durations_look_like_openais(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_no_debt_takes_longer_than_a_day() -> None:
    bucket = TokenBucket(1000, 1000 / 60, 0.0)
    bucket.spend(10**12, 0.0)

    assert bucket.wait(1, 0.0) == pytest.approx(24 * 3600, rel=0.01)


PICTURE = b'"data:image/png;base64,' + b"A" * 1_000_000


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b"", 0),
        (b"x" * 400, 100),
        (b'{"url":' + PICTURE + b'","text":"' + b"x" * 400 + b'"}', 108),
        (b"[" + PICTURE + b'",' + PICTURE + b'"]', 8),
        (PICTURE, 3),  # cut: no quote closes it
        (b'";base64,' + b"word " * 800 + b'"', 1000),
    ],
    ids=["nothing", "text", "a picture and text", "two pictures", "an open string", "no-file"],
)
def test_a_prompt_counts_by_its_text(body: bytes, tokens: int) -> None:
    assert estimate_prompt(body) == pytest.approx(tokens, abs=4)


def test_an_answer_counts_by_its_events() -> None:
    assert estimate_answer(256 * 7 + 5, streamed=True) == 7
    assert estimate_answer(10**6, streamed=False) == 0


def test_a_whole_answer_of_text_counts_by_its_bytes() -> None:
    assert estimate_answer(4400, streamed=False, is_text=True) == 1000
    assert estimate_answer(10, streamed=False, is_text=True) == 0
