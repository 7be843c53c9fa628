"""What spans say: OpenTelemetry's names, and nothing long that a client wrote."""

from typing import Any

import pytest

from jarvis_proxy.call_record import AttemptRecord
from jarvis_proxy.observability.genai_attributes import (
    call_attributes,
    client_attributes,
    operation_of,
    provider_of,
    server_attributes,
)
from tests.support.call_records import call


def attempt(**changes: object) -> AttemptRecord:
    values: dict[str, object] = {
        "upstream": "openai",
        "model": "gpt-4o",
        "started_at": 100.002,
        "span_id": 1,
        "status": 200,
    }
    return AttemptRecord(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("route", "operation"),
    [
        ("/v1/audio/speech", "audio_speech"),
        ("/v1/chat/completions", "chat"),
        ("/v1/responses", "chat"),
        ("/v1/messages", "chat"),
        ("/v1beta/models/*:generateContent", "generate_content"),
        ("/v1beta/models/*:streamGenerateContent", "generate_content"),
        ("/v1beta/models/*:batchEmbedContents", "embeddings"),
        ("/v1beta/models/*:predict", "predict"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/completions", "text_completion"),
        ("", "request"),
    ],
)
def test_operations(route: str, operation: str) -> None:
    assert operation_of(route) == operation


@pytest.mark.parametrize(
    ("upstream", "provider"),
    [
        ("openai", "openai"),
        ("gemini", "gcp.gemini"),
        ("deepseek", "deepseek"),
        ("my-llm", "my-llm"),
    ],
)
def test_providers(upstream: str, provider: str) -> None:
    assert provider_of(upstream) == provider


def test_a_call_that_went_well() -> None:
    found = server_attributes(call())

    assert found["http.request.method"] == "POST"
    assert found["http.route"] == "/v1/chat/completions"
    assert found["http.response.status_code"] == 200
    assert found["gen_ai.request.model"] == "gpt-4o"
    assert "error.type" not in found


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"outcome": "refused", "status": 429, "code": "key_limit"}, "key_limit"),
        ({"outcome": "client_closed", "status": 499}, "client_closed"),
        ({"outcome": "upstream_error", "status": 502, "code": "words of an upstream"}, "502"),
    ],
)
def test_a_call_that_failed_has_a_short_reason(changes: dict[str, Any], error: str) -> None:
    assert server_attributes(call(**changes))["error.type"] == error


def test_an_attempt_names_its_own_model() -> None:
    found = client_attributes(call(model="fast"), attempt(), is_last=True)

    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == "openai"
    assert found["gen_ai.request.model"] == "gpt-4o"
    assert found["http.response.status_code"] == 200
    assert "error.type" not in found


def test_an_attempt_that_failed_and_one_that_was_never_answered() -> None:
    failed = client_attributes(call(), attempt(status=429, code="slow_down"), is_last=False)
    unanswered = client_attributes(
        call(outcome="client_closed", status=499), attempt(status=0), is_last=True
    )

    assert (failed["http.response.status_code"], failed["error.type"]) == (429, "slow_down")
    assert "http.response.status_code" not in unanswered
    assert unanswered["error.type"] == "client_closed"


def test_what_was_counted_and_who_answered() -> None:
    assert call_attributes(call()) == {
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.response.model": "gpt-4o",
    }
    unknown = call(
        outcome="refused", prompt_tokens=None, completion_tokens=None, cached_tokens=None
    )
    assert call_attributes(unknown) == {}


def test_long_texts_are_cut() -> None:
    found = server_attributes(call(model="m" * 10_000, user_agent="a\n" * 1000))

    assert len(str(found["gen_ai.request.model"])) <= 100
    assert len(str(found["user_agent.original"])) <= 100
    assert "\n" not in str(found["user_agent.original"])


def test_a_call_that_names_no_model_has_none() -> None:
    assert "gen_ai.request.model" not in server_attributes(call(model="-"))
