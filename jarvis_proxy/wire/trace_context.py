"""W3C Trace Context: reads ``traceparent`` from clients and writes it to upstreams. Pure.

``tracestate`` is not forwarded, because it may hold anything. Source:
https://www.w3.org/TR/trace-context/.
"""

import re
from typing import Final

import msgspec

TRACEPARENT: Final = "traceparent"
# Later versions may add fields after these four.
_FIELDS: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_VERSION: Final = "00"


class TraceParent(msgspec.Struct, frozen=True):
    """The trace of a request, and the span that sent the request.

    *flags* is eight bits; the lowest one says that the caller records the trace.
    """

    trace_id: int
    span_id: int
    flags: int

    def with_span(self, span_id: int) -> "TraceParent":
        """Return the parent for requests that the span *span_id* of the same trace sends."""
        return msgspec.structs.replace(self, span_id=span_id)

    def __str__(self) -> str:
        """Return the header's value."""
        return f"{_VERSION}-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"


def parse_traceparent(value: str | None) -> TraceParent | None:
    """Return the parsed header; None if it is missing or invalid."""
    if value is None or (found := _FIELDS.fullmatch(value)) is None:
        return None
    if value.startswith(_VERSION) and found.end(3) != len(value):
        return None
    parent = TraceParent(*(int(field, 16) for field in found.groups()))
    return parent if parent.trace_id and parent.span_id else None
