"""Traces as a collector gets them: OTLP over HTTP, parsed again."""

import asyncio
import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from jarvis_proxy.call_record import AttemptRecord, CallRecord
from jarvis_proxy.observability.tracing import CallTracer, QuietExporter
from jarvis_proxy.wire.trace_context import TraceParent
from tests.support.call_records import call
from tests.support.otlp_collector import Collector, SentSpan, service_names
from tests.support.server_process import free_port

pytestmark = pytest.mark.slow

SERVER, CLIENT = 2, 3
ERROR = 2
HOSTS = {"openai": ("api.openai.com", 443), "gemini": ("g.example", 8443)}


def tracer(url: str) -> CallTracer:
    return CallTracer(url, headers={"x-tenant": "t"}, service_name="home", hosts=HOSTS)


def tried(upstream: str = "openai", at: float = 100.002, **changes: Any) -> AttemptRecord:
    return AttemptRecord(upstream, "gpt-4o", at, 0xABC, **changes)


async def sent(record: CallRecord, parent: TraceParent | None = None) -> list[SentSpan]:
    collector = Collector()
    async with collector.running() as url:
        sender = tracer(url)
        sender.add(record, parent)
        await asyncio.to_thread(sender.close)
    (request,) = collector.server.received
    assert (request.method, request.path) == ("POST", "/v1/traces")
    assert request.header("x-tenant") == "t"
    assert service_names(request.body) == {"home"}
    return collector.spans


async def test_a_call_and_its_attempt() -> None:
    record = call(tried=[tried(status=200)])
    server, client = await sent(record)

    assert (server.kind, client.kind) == (SERVER, CLIENT)
    assert server.name == "POST /v1/chat/completions"
    assert client.name == "chat gpt-4o"
    assert server.parent_id == ""
    assert client.parent_id == server.span_id
    assert client.trace_id == server.trace_id
    assert client.span_id == "0000000000000abc"
    assert client.attributes["server.address"] == "api.openai.com"
    assert client.attributes["server.port"] == 443
    assert client.attributes["gen_ai.usage.input_tokens"] == 10
    assert "gen_ai.usage.input_tokens" not in server.attributes  # else sums would be twice as large
    assert server.start == int(record.timestamp * 1e9)
    assert server.end - server.start == pytest.approx(1e9, rel=1e-6)
    assert client.start - server.start == pytest.approx(2e6, rel=1e-3)
    assert client.end == server.end
    assert (server.status, client.status) == (0, 0)


async def test_each_attempt_has_a_span_and_the_last_has_the_tokens() -> None:
    first = tried(status=429, code="rate_limit_exceeded", ended_at=100.5)
    last = tried("gemini", 100.6, status=200)
    last.span_id = 0xDEF
    server, one, two = await sent(call(upstream="gemini", tried=[first, last]))

    assert one.attributes["error.type"] == "rate_limit_exceeded"
    assert one.attributes["http.response.status_code"] == 429
    assert one.status == ERROR
    assert one.end < two.start
    assert two.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert two.attributes["server.address"] == "g.example"
    assert "gen_ai.usage.output_tokens" not in one.attributes
    assert two.attributes["gen_ai.usage.output_tokens"] == 5
    assert {one.parent_id, two.parent_id} == {server.span_id}


async def test_the_clients_trace_goes_on() -> None:
    server, _ = await sent(call(tried=[tried()]), TraceParent(0xF00D, 0xBEEF, 1))

    assert server.trace_id == f"{0xF00D:032x}"
    assert server.parent_id == f"{0xBEEF:016x}"


async def test_a_call_without_an_upstream_has_its_numbers_itself() -> None:
    (server,) = await sent(call(upstream="embedded", tried=[tried("embedded")]))

    assert server.attributes["gen_ai.usage.input_tokens"] == 10


async def test_a_failure_of_ours_is_an_error_and_a_refusal_is_none() -> None:
    (failed,) = await sent(call(status=500, outcome="internal_error", tried=[]))
    (refused,) = await sent(call(status=401, outcome="refused", code="invalid_api_key", tried=[]))

    assert (failed.status, failed.attributes["error.type"]) == (ERROR, "internal_error")
    assert (refused.status, refused.attributes["error.type"]) == (0, "invalid_api_key")


async def test_a_trace_that_its_client_does_not_record_is_not_sent() -> None:
    collector = Collector()
    async with collector.running() as url:
        sender = tracer(url)
        sender.add(call(tried=[]), TraceParent(1, 2, 0))
        await asyncio.to_thread(sender.close)

    assert collector.spans == []


@pytest.mark.parametrize("status", [None, 401])
async def test_a_collector_that_takes_nothing_is_named_once(
    status: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    collector = Collector(status or 200)
    async with collector.running() as url:
        sender = tracer(url if status else f"http://127.0.0.1:{free_port()}")
        for _ in range(600):  # more than one batch
            sender.add(call(tried=[]), None)
        await asyncio.to_thread(sender.close)

    said = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
    assert said == ["the trace collector rejects traces; calls are not affected"]


class ScriptedExporter:
    """Says in turn whether it has sent."""

    def __init__(self, *results: SpanExportResult) -> None:
        self.results = list(results)

    def export(self, spans: object) -> SpanExportResult:
        return self.results.pop(0)


def test_a_collector_that_is_back_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    works, fails = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    exporter = QuietExporter(ScriptedExporter(works, fails, fails, works, works))  # type: ignore[arg-type] # plays its part
    for expected in (works, fails, fails, works, works):
        assert exporter.export([]) is expected

    assert [line.getMessage() for line in caplog.records] == [
        "the trace collector rejects traces; calls are not affected",
        "the trace collector accepts traces again",
    ]
