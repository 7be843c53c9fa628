"""Exports traces of calls with OpenTelemetry's own packages, when a call has ended. IO.

A call is one server span, and each attempt at an upstream a client span below it. Spans hold what
the log holds: names, times, sizes and counts; never content, never a key. This module is imported
only if OTEL_EXPORTER_OTLP_ENDPOINT is set. The SDK sends in a thread; spans that a collector does
not accept in time are lost.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/ and .../http/ (read 2026-11).
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from jarvis_proxy import __version__
from jarvis_proxy.call_record import AttemptRecord, CallRecord
from jarvis_proxy.observability.genai_attributes import (
    Attributes,
    call_attributes,
    client_attributes,
    operation_of,
    server_attributes,
)
from jarvis_proxy.wire.trace_context import TraceParent

_LOG: Final = logging.getLogger(__name__)
_TIMEOUT: Final = 5.0
_CLOSE_AFTER: Final = 2.0
_NANO: Final = 1_000_000_000


class CallTracer:
    """Sends a trace of each call to the collector at *endpoint*, an OTLP/HTTP base URL.

    *hosts* maps each upstream's name to its host and port; other upstreams get no client span.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        service_name: str,
        hosts: Mapping[str, tuple[str, int]],
    ) -> None:
        session = requests.Session()
        # Ignore proxies and netrc of the environment.
        session.trust_env = False
        exporter = OTLPSpanExporter(
            f"{endpoint}/v1/traces", headers=dict(headers), timeout=_TIMEOUT, session=session
        )
        self._exporter = QuietExporter(exporter)
        self._hosts = hosts
        self._ids = _IdGenerator()
        resource = Resource.create({"service.name": service_name, "service.version": __version__})
        self._provider = TracerProvider(
            resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        # The SDK would log each failure, including the collector's answer.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("jarvis_proxy", __version__)

    def add(self, record: CallRecord, parent: TraceParent | None) -> None:
        """Add the trace of a finished call; *parent* is the client's span."""
        context = None if parent is None else set_span_in_context(_remote(parent))
        span = self._tracer.start_span(
            f"{record.method} {record.route}",
            context,
            SpanKind.SERVER,
            server_attributes(record),
            start_time=_epoch(record, record.started_at),
        )
        attempts = [each for each in record.tried or () if each.upstream in self._hosts]
        for number, attempt in enumerate(attempts, 1):
            self._add_attempt(span, record, attempt, is_last=number == len(attempts))
        if not attempts:
            # No upstream was asked.
            span.set_attributes(call_attributes(record))
        if record.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_epoch(record, record.ended_at))

    def _add_attempt(
        self, call: Span, record: CallRecord, attempt: AttemptRecord, *, is_last: bool
    ) -> None:
        """Add one attempt; the token counts belong to the last one."""
        host, port = self._hosts[attempt.upstream]
        attributes: Attributes = client_attributes(record, attempt, is_last=is_last)
        attributes |= {"server.address": host, "server.port": port}
        if is_last:
            attributes |= call_attributes(record)
        self._ids.next_span_id = attempt.span_id
        span = self._tracer.start_span(
            f"{operation_of(record.route)} {attributes['gen_ai.request.model']}",
            set_span_in_context(call),
            SpanKind.CLIENT,
            attributes,
            start_time=_epoch(record, attempt.started_at),
        )
        if "error.type" in attributes:
            span.set_status(Status(StatusCode.ERROR))
        ended_at = record.ended_at if attempt.ended_at is None else attempt.ended_at
        span.end(_epoch(record, ended_at))

    def close(self) -> None:
        """Send waiting spans, for at most some seconds. This blocks: call it in a thread."""
        # The SDK has no overall limit: if the collector is gone, it takes half a minute.
        enough = threading.Timer(_CLOSE_AFTER, self._exporter.shutdown)
        enough.start()
        self._provider.shutdown()
        enough.cancel()


class _IdGenerator(RandomIdGenerator):
    """Gives a client span the id that was sent to its upstream."""

    next_span_id = 0

    def generate_span_id(self) -> int:
        """Return the id of the next span."""
        chosen, self.next_span_id = self.next_span_id, 0
        return chosen or super().generate_span_id()


class QuietExporter(SpanExporter):
    """Logs once that a collector rejects traces, and once that it accepts them again."""

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send *spans*."""
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            if is_failing:
                _LOG.warning("the trace collector rejects traces; calls are not affected")
            else:
                _LOG.info("the trace collector accepts traces again")
        return result

    def shutdown(self) -> None:
        """Abort an export in progress."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _remote(parent: TraceParent) -> NonRecordingSpan:
    flags = TraceFlags(parent.flags)
    return NonRecordingSpan(SpanContext(parent.trace_id, parent.span_id, True, flags))


def _epoch(record: CallRecord, moment: float) -> int:
    """Return the time *moment* of the monotonic clock in nanoseconds since 1970."""
    return int((record.timestamp + moment - record.started_at) * _NANO)
