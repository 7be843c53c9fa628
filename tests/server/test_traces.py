"""Calls through the whole server, as a collector of traces and an upstream see them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BEARER, GEMINI_KEY, KEY, OPENAI_KEY, running_proxy
from tests.support.otlp_collector import Collector, SentSpan
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CHAT = "/v1/chat/completions"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CANARY = "canary-of-the-prompt"
ODD_KEY = "Zz8-Q7mnopqrstuv0123456789"  # in no known form


def body(model: str = "gpt-4o", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": CANARY}], **more}


async def script(peer: Peer, request: Received) -> None:
    """Refuse the model that is busy; answer all others."""
    asked = json.loads(request.body)
    if asked["model"] == "busy":
        error = {"message": f"{CANARY} {OPENAI_KEY}", "code": ODD_KEY}
        await peer.reply(json.dumps({"error": error}).encode(), 429)
    elif asked.get("stream"):
        await peer.head()
        await peer.chunk(chat_chunk(CANARY))
        await peer.chunk(chat_chunk(None, finish_reason="stop"))
        await peer.chunk(b"data: [DONE]\n\n")
        await peer.last_chunk()
    else:
        await peer.reply(completion(CANARY))


async def traced(
    *requests: tuple[str, dict[str, object], dict[str, str]], **env: str
) -> tuple[list[SentSpan], list[Received]]:
    """Return the spans of calls, and what the upstream received."""
    collector, upstream = Collector(), RawUpstream(script)
    async with collector.running() as url, upstream.running():
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **env}
        async with running_proxy(upstream.base_url, **settings) as proxy:
            for path, content, headers in requests:
                await fetch(proxy.port, path, content, headers)
            await fetch(proxy.port, "/health", method="GET")
    sent = b"".join(request.body for request in collector.server.received)
    for secret in (CANARY, KEY, OPENAI_KEY, ODD_KEY, GEMINI_KEY):
        assert secret.encode() not in sent
    return collector.spans, upstream.received


async def test_a_call_is_a_server_span_with_a_client_span_below_it() -> None:
    (server, client), _ = await traced((CHAT, body(), BEARER))

    assert server.name == f"POST {CHAT}"
    assert server.attributes["http.response.status_code"] == 200
    assert client.parent_id == server.span_id
    assert client.attributes["http.response.status_code"] == 200
    assert client.attributes["server.address"] == "127.0.0.1"
    assert client.attributes["gen_ai.response.model"] == "gpt-4o"
    assert client.attributes["gen_ai.usage.input_tokens"]
    assert "error.type" not in server.attributes


async def test_a_stream_ends_when_its_last_byte_was_sent() -> None:
    (server, client), _ = await traced((CHAT, body(stream=True), BEARER))

    assert client.end == server.end
    assert client.attributes["gen_ai.request.stream"] is True


async def test_a_fallback_is_another_span() -> None:
    spans, _ = await traced((CHAT, body("busy"), BEARER), FALLBACKS="busy=gpt-4o")
    server, *attempts = spans

    assert len(attempts) == server.attributes["jarvis.attempts"]
    assert len(attempts) >= 2
    for failed in attempts[:-1]:
        assert failed.attributes["gen_ai.request.model"] == "busy"
        assert failed.attributes["http.response.status_code"] == 429
        assert failed.attributes["error.type"] == "429"
    assert attempts[-1].attributes["gen_ai.request.model"] == "gpt-4o"
    assert "error.type" not in attempts[-1].attributes


async def test_a_key_as_the_code_of_an_error_is_not_told() -> None:
    """The first attempt's code: the call itself has none, since the fallback answered."""
    asked = {**body("busy"), "max_tokens": 9}
    spans, _ = await traced(
        ("/v1/messages", asked, BEARER), FALLBACKS="busy=gpt-4o", OPENAI_API_KEY=ODD_KEY
    )

    assert spans[1].attributes["error.type"] == "429"


async def test_a_call_without_a_key_is_a_span_alone() -> None:
    (server,), _ = await traced((CHAT, body(), {"Authorization": f"Bearer {OPENAI_KEY}"}))

    assert server.attributes["error.type"] == "invalid_api_key"
    assert server.attributes["http.response.status_code"] == 401


async def test_a_key_for_a_model_is_not_told() -> None:
    spans, _ = await traced((CHAT, body(OPENAI_KEY), BEARER))

    assert spans


async def test_the_clients_trace_reaches_the_upstream_below_our_span() -> None:
    (server, client), (received,) = await traced((CHAT, body(), {**BEARER, "traceparent": PARENT}))

    assert server.trace_id == client.trace_id == PARENT[3:35]
    assert server.parent_id == PARENT[36:52]
    assert received.header("traceparent") == f"00-{client.trace_id}-{client.span_id}-01"


@pytest.mark.parametrize("model", ["gpt-4o", "gemini-3-flash"])
async def test_without_a_collector_the_clients_header_goes_on(model: str) -> None:
    async def answer(peer: Peer, request: Received) -> None:
        await peer.reply(completion() if model == "gpt-4o" else b"{}")

    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url, upstream.base_url) as proxy:
        for extra in ({"traceparent": PARENT, "tracestate": CANARY}, {"traceparent": CANARY}, {}):
            await fetch(proxy.port, CHAT, body(model), BEARER | extra)

    first, *others = upstream.received
    assert first.header("traceparent") == PARENT
    assert first.header("tracestate") is None
    assert {each.header("traceparent") for each in others} <= {None, PARENT}
    assert others[-1].header("traceparent") is None


async def test_a_collector_that_is_gone_disturbs_no_call() -> None:
    collector = Collector()
    async with collector.running() as url:
        pass
    async with running_proxy(OTEL_EXPORTER_OTLP_ENDPOINT=url) as proxy:
        answer = await fetch(proxy.port, CHAT, body("jarvis-echo"), BEARER)

        assert answer.status == 200


def test_a_server_without_a_collector_loads_nothing_of_it() -> None:
    code = (
        "import sys, jarvis_proxy.cli, jarvis_proxy.runtime.serve;"
        " print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests'))])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout == "[]\n"
