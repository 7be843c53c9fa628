"""Token counts of a Messages answer: which of them count, and for what."""

import pytest

from jarvis_proxy.canonical.usage import add_usage, to_token_usage
from jarvis_proxy.upstreams.anthropic.usage import UsageCounter
from tests.upstreams.anthropic.answers import (
    end,
    new_reader,
    read_events,
    read_message,
    sse,
    start,
    text,
)


def test_zeros_are_not_reported_as_the_prompt() -> None:
    reader, answer = new_reader()
    reader.feed(sse(start({"input_tokens": 0, "output_tokens": 0})))

    assert answer.choice(0).begun == ("msg_01", None)


def test_web_searches_are_counted() -> None:
    usage = {"output_tokens": 5, "server_tool_use": {"web_search_requests": 2}}
    _, choice = read_events(start(), *text(0, "Hi"), *end(usage=usage))

    assert ("server_tool", ("web_search", 2)) in choice.events


def test_usage_at_the_end_overwrites_that_at_the_beginning() -> None:
    late = {"input_tokens": 1591, "cache_read_input_tokens": 7, "output_tokens": 400}
    late["output_tokens_details"] = {"thinking_tokens": 100}  # type: ignore[assignment]
    early = {"input_tokens": 702, "cache_creation_input_tokens": 3, "output_tokens": 26}
    reader, _ = read_events(start(early), *text(0, "Hi"), *end(usage=late))

    assert reader.usage is not None
    prompt, completion = reader.usage.prompt_tokens_details, reader.usage.completion_tokens_details
    assert reader.usage.prompt_tokens == 1591 + 7 + 3
    assert (prompt.cached_tokens, prompt.cache_write_tokens) == (7, 3)
    assert (reader.usage.completion_tokens, completion.reasoning_tokens) == (400, 100)
    assert reader.usage.total_tokens == 1591 + 7 + 3 + 400


def test_and_15_the_prompt_includes_what_caches_gave_and_took() -> None:
    usage = {"input_tokens": 4, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 300}
    reader, _ = read_message({"type": "text", "text": "Hi"}, usage=usage | {"output_tokens": 1})

    assert reader.usage is not None
    assert reader.usage.prompt_tokens == 324


def test_tokens_written_for_an_hour_are_told_apart() -> None:
    split = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}
    counts = {"input_tokens": 4, "cache_creation_input_tokens": 300, "cache_creation": split}
    reader, _ = read_events(start({**counts, "output_tokens": 1}), *text(0, "Hi"), *end())

    assert reader.usage is not None
    details = reader.usage.prompt_tokens_details
    assert (details.cache_write_tokens, details.cache_write_1h_tokens) == (300, 200)
    assert to_token_usage(reader.usage).bounded()[4:6] == (300, 200)
    assert to_token_usage(add_usage(reader.usage, reader.usage)).written_1h == 400


@pytest.mark.parametrize(
    ("split", "hour"),
    [
        (None, 0),
        ([], 0),
        ({"ephemeral_1h_input_tokens": "9"}, 0),
        ({"ephemeral_1h_input_tokens": 999}, 300),
    ],
)
def test_tokens_for_an_hour_are_never_more_than_were_written(split: object, hour: int) -> None:
    counter = UsageCounter()
    counter.take({"cache_creation_input_tokens": 300, "cache_creation": split})

    assert counter.usage is not None
    assert to_token_usage(counter.usage).written_1h == hour


def test_a_stream_without_message_delta_has_the_usage_of_its_beginning() -> None:
    reader, choice = read_events(start(), *text(0, "Hi"), {"type": "message_stop"})

    assert choice.finished is not None
    assert reader.usage is not None
    assert reader.usage.prompt_tokens == 10


@pytest.mark.parametrize(
    ("tier", "named"),
    [("standard", "default"), ("priority", "priority"), ("batch", None), (3, None)],
)
def test_the_service_tier_has_openais_name(tier: object, named: str | None) -> None:
    counter = UsageCounter()
    counter.take({"input_tokens": 1, "service_tier": tier})

    assert counter.service_tier == named
