"""What is said of an address that is not served."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.routing.unknown_addresses import hint


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files",
        "/v1/files/file-abc/content",
        "/files",
        "/openai/v1/batches",
        "//v1//threads/thread_1/runs",
        "/v1/vector_stores",
        "/v1/realtime",
        "/v1/realtime/calls",
        "/realtime/calls/rtc_1/hangup",
        "/v1/realtime/translations/calls",
        "/v1/fine_tuning/jobs",
        "/v1/uploads",
        "/v1/conversations",
        "/v1/containers",
        "/v1/videos",
        "/v1/assistants",
        "/v1/organization/usage/completions",
        "/v1/responses/resp_123",
        "/v1/responses/resp_123/cancel",
        "/v1/chat/completions/chatcmpl-9/messages",
    ],
)
def test_what_openai_serves_needs_the_setting(path: str) -> None:
    assert "PASSTHROUGH=all" in hint(path)


@pytest.mark.parametrize("path", ["/v1/realtime/calls", "/openai/v1/realtime/translations/calls"])
def test_calls_over_webrtc_have_a_websocket_instead(path: str) -> None:
    assert "WebSocket at /v1/realtime" in hint(path)
    assert "WebSocket" not in hint("/v1/realtime/callsign")


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/messages", "Anthropic"),
        ("/v1/messages/count_tokens", "Anthropic"),
        ("/messages", "Anthropic"),
        ("/anthropic/v1/messages", "Anthropic"),
        ("/v1/messages/batches/msgbatch_1", "Anthropic"),
        ("/v1/complete", "Anthropic"),
        ("/v1beta/models/gemini-3-flash:generateContent", "Google"),
        ("/v1/models/gemini-3-flash:streamGenerateContent", "Google"),
        ("/v1beta/models/gemini-3-flash%3AcountTokens", "Google"),
        ("/v1alpha/models/x:batchEmbedContents", "Google"),
        ("/models/x:embedContent", "Google"),
        ("/v1beta/models", "Google"),
        ("/v1beta/files", "Google"),
        ("/api/chat", "Ollama"),
        ("/api/generate", "Ollama"),
        ("/api/tags", "Ollama"),
        ("/api/show", "Ollama"),
        ("/api/version", "Ollama"),
    ],
)
def test_the_api_that_is_meant_is_named(path: str, api: str) -> None:
    said = hint(path)

    assert f"{api}'s API" in said
    assert ("/v1/chat/completions" if api == "Ollama" else "PASSTHROUGH=all") in said
    assert "nearest" not in said


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/response", "/v1/responses"),
        ("/v1/chat/completions/x", "/v1/chat/completions"),
        ("/v1beta/openai/chat/completions", "/v1/chat/completions"),
        ("/v1beta/openai/embeddings", "/v1/embeddings"),
        ("/v1beta/openai", "/v1/models"),
        ("/openai/deployments/gpt-4o/chat/completions", "/v1/chat/completions"),
        ("/openai/deployments/ada/embeddings", "/v1/embeddings"),
        ("/healthz", "/health"),
        ("/wp-login.php", "/v1/chat/completions"),
        ("", "/v1/models"),
    ],
)
def test_a_misspelled_one_has_the_nearest(path: str, expected: str) -> None:
    assert f"The nearest is {expected}" in hint(path)


@settings(deadline=None)
@given(st.text())
def test_any_address_gets_a_printable_hint(path: str) -> None:
    said = hint("/" + path)

    assert said.isprintable()
    assert said.isascii()
    assert len(said) < 400
