"""A small OTLP/HTTP collector on loopback, and the spans that it was sent."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.raw_upstream import Peer, RawUpstream, Received

Value = str | int | bool


@dataclass(frozen=True)
class SentSpan:
    """One span as it was sent. Ids are in hexadecimal, times in nanoseconds since 1970."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    status: int
    start: int
    end: int
    attributes: dict[str, Value]


@dataclass
class Collector:
    """Answers each request with *status*."""

    status: int = 200
    server: RawUpstream = field(init=False)

    def __post_init__(self) -> None:
        self.server = RawUpstream(self._answer)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; yield the base URL."""
        async with self.server.running():
            yield f"http://127.0.0.1:{self.server.port}"

    async def _answer(self, peer: Peer, request: Received) -> None:
        await peer.reply(b"", self.status, "application/x-protobuf")

    @property
    def spans(self) -> list[SentSpan]:
        """All spans, those of a call from its server span on."""
        found = [span for request in self.server.received for span in _spans(request.body)]
        return sorted(found, key=lambda span: (span.trace_id, span.kind, span.start))


def _spans(body: bytes) -> list[SentSpan]:
    message = ExportTraceServiceRequest.FromString(body)
    return [
        SentSpan(
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.status.code,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            {
                each.key: getattr(each.value, str(each.value.WhichOneof("value")))
                for each in span.attributes
            },
        )
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def service_names(body: bytes) -> set[str]:
    """Return the services that spans of a request are of."""
    message = ExportTraceServiceRequest.FromString(body)
    return {
        each.value.string_value
        for resource in message.resource_spans
        for each in resource.resource.attributes
        if each.key == "service.name"
    }
