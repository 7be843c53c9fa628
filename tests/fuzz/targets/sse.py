"""The splitter of server-sent events.

Oracle: the events are those of a plain reading of the specification, however the bytes are cut;
nothing is raised but ``upstream_frame_too_large``, and that only where a limit was set.
"""

import re
from typing import Final

from jarvis_proxy.wire.sse import SSEDecoder, SSEEvent, last_boundary
from tests.fuzz.cuts import cuts_of
from tests.fuzz.outcomes import attempt

TOKENS: Final = (
    b"data: ", b"data:", b"data", b"event: x", b"id: 1", b"retry: 1", b": keepalive", b"\n\n",
    b"\r\n\r\n", b"\r\r", b"\n\r", b"\r", b"\n", b"\xef\xbb\xbf", b'data: {"a":1}\n\n',
    b"data: [DONE]\n\n", b"\xe2\x80\xa8", b"\xff",
)  # fmt: skip
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_SMALL: Final = 40


def check(data: bytes) -> None:
    """Compare the splitter with the reading below, and with itself for other cuts."""
    decoder = SSEDecoder()
    events = decoder.feed(data)
    last = decoder.close()
    assert (events, last) == _read(data)
    for pieces in cuts_of(data):
        other = SSEDecoder()
        assert [event for piece in pieces for event in other.feed(piece)] == events
        assert other.close() == last
        assert other.non_sse_lines == decoder.non_sse_lines
    _check_boundary(data)
    _check_limit(data, events)


def _read(data: bytes) -> tuple[list[SSEEvent], SSEEvent | None]:
    """Return the events, and the one that lacks its blank line, as the specification has it."""
    lines = _LINE_END.split(data)
    if lines[0].startswith(b"\xef\xbb\xbf"):
        lines[0] = lines[0][3:]
    events: list[SSEEvent] = []
    values: list[bytes] = []
    name = ""
    # What stands behind the last line end is a line too, once the stream is over; an empty one
    # is none.
    *ended, rest = lines
    for line in ended:
        if line:
            name = _take(line, values, name)
            continue
        if values:
            events.append(SSEEvent(name, b"\n".join(values)))
        values, name = [], ""
    if rest:
        name = _take(rest, values, name)
    return events, SSEEvent(name, b"\n".join(values)) if values else None


def _take(line: bytes, values: list[bytes], name: str) -> str:
    field, _, value = line.partition(b":")
    value = value.removeprefix(b" ")
    if field == b"data":
        values.append(value)
    return value.decode("utf-8", "replace") if field == b"event" else name


def _check_boundary(data: bytes) -> None:
    """Up to the last boundary there are whole events only."""
    cut = last_boundary(data)
    decoder = SSEDecoder()
    decoder.feed(data[:cut])
    assert 0 <= cut <= len(data)
    assert decoder.close() is None


def _check_limit(data: bytes, events: list[SSEEvent]) -> None:
    decoder = SSEDecoder(_SMALL)
    found, error = attempt(lambda: decoder.feed(data))
    if error is None:
        assert found == events
        _, error = attempt(decoder.close)
    assert error is None or (error.code == "upstream_frame_too_large" and len(data) > _SMALL)
