"""Relays streams of OpenAI-compatible upstreams byte for byte, and checks each event. Pure.

It tracks where events end, whether the answer is complete, errors instead of chunks, and usage. It
only changes lines at which the official SDKs fail (``id:``, ``retry:``, ``event: ping``) and which
no OpenAI stream contains.
"""

import re
from typing import Final

from jarvis_proxy.canonical.exchange import UpstreamRequest, truncated
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.frames import (
    FRAMES,
    NO_ERROR,
    OpenAIFrame,
    StreamKind,
    broken_choice,
    error_of,
    failure_of,
    is_odd,
    read_frame,
)
from jarvis_proxy.upstreams.json_values import LARGE
from jarvis_proxy.upstreams.openai_errors import redact_bytes
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import CR, DONE, KEEPALIVE, MAX_EVENT_BYTES, last_boundary, too_large

_TERMINAL: Final = frozenset({"response.completed", "response.failed", "response.incomplete"})
_MEDIA: Final = ("image_generation.", "image_edit.", "speech.audio.", "transcript.text.")
"""Prefixes of event types in streams of pictures, speech and transcripts.

Source: https://platform.openai.com/docs/api-reference/images-streaming and /audio (read 2026-11).
"""
_MEDIA_ENDS: Final = frozenset(
    {
        "image_generation.completed",
        "image_edit.completed",
        "speech.audio.done",
        "transcript.text.done",
    }
)
_BOM: Final = b"\xef\xbb\xbf"
# Lines at which SDKs raise, or after which they lose data: Continue drops the rest after ": ping".
_UNSUPPORTED_FIELDS: Final = (b"id:", b"retry:", b": ping")
# A blank line before an event is a separate block, so that blocks do not depend on how data is cut.
_BLOCK: Final = re.compile(rb"\r\n?|\n|(?:[^\r\n]++(?:\r\n?+|\n))++(?:\r\n?+|\n)")


class PassthroughStream:
    """A StreamTranslator that returns its input in whole events."""

    __slots__ = (
        "_answered",
        "_began",
        "_finished",
        "_kind",
        "_medium",
        "_pending",
        "_seen",
        "_swallow_lf",
        "done",
        "failure",
        "held",
        "next_request",
        "usage",
    )

    def __init__(self, kind: StreamKind) -> None:
        self._kind = kind
        self._pending = ByteBuffer()
        """The incomplete event."""
        self.held = 0
        """The size of the incomplete event."""
        self._answered = False
        """Whether any event may have been a part of the answer."""
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._medium: str | None = None
        """The type of the last event with a prefix in _MEDIA."""
        self._swallow_lf = False
        """Whether to drop an LF after the CR that ended a changed block."""
        self.usage: TokenUsage | None = None
        self.done = False
        self.next_request: UpstreamRequest | None = None
        self.failure: ProxyError | None = None
        self._began = False
        """Whether an event has passed."""

    def feed(self, data: bytes) -> bytes:
        """Return the data up to the last event boundary; hold back the rest.

        Raises:
            ProxyError: the error in an event; 502 `upstream_bad_frame`,
                `upstream_frame_too_large`.
        """
        if self.done or not data:
            # Nothing may follow the end, whatever the upstream still sends.
            return b""
        # Nearly every read is one event in the common form, which only needs a look inside.
        if (
            data.find(b"\n") == len(data) - 2
            and data.startswith(b"data: {")
            and data.endswith(b"\n\n")
            and CR not in data
            and not self.held
        ):
            self._swallow_lf = False
            if not self._passes(data[6:-2], ""):
                return b""
            return data if self.failure is None else redact_bytes(data)
        if self._swallow_lf:
            self._swallow_lf = False
            data = data.removeprefix(b"\n")
        if self.held:
            data = self._join(data)
        cut = len(data) if data.endswith(b"\n\n") else last_boundary(data)
        if cut != len(data):
            self._pending.add(data[cut:])
            self.held = len(data) - cut
            data = data[:cut]
        if not data:
            return b""
        # Several events in the common form also only need a look inside.
        if data[:7] == b"data: {" and data.endswith(b"\n\n") and CR not in data:
            is_last = data.endswith(b"\n\n" + DONE) and self._kind != "responses"
            events = data[: -len(DONE)] if is_last else data
            # Require that there are no line ends except between events, and two at the end.
            count = events.count(b"\n\ndata: {") + 1
            if events.count(b"\n") == 2 * count:
                passed = self._pass_all(events, count)
                if not is_last or self.done:
                    return passed
                self._end(passed)
                return data if passed is events else passed + DONE
        return self._feed_blocks(data)

    def _pass_all(self, data: bytes, count: int) -> bytes:
        """Watch *count* events, each just ``data: {...}``; return *data* up to the end."""
        if count > 1 and self._watch_together(data, count):
            self._began = True
            return data
        passed: list[bytes] = []
        try:
            for event in data[:-2].split(b"\n\n"):
                if self._passes(event[6:], ""):
                    passed.append(event + b"\n\n")
                if self.done:
                    break
        except ProxyError as exc:
            exc.completed_events = b"".join(passed)
            raise
        whole = b"".join(passed)
        return whole if self.failure is None else redact_bytes(whole)

    def _watch_together(self, data: bytes, count: int) -> bool:
        """Watch events that are decoded as one list; return False if each needs a closer look.

        A busy upstream sends a hundred at once, and most of the cost of one is the call.
        """
        if len(data) > LARGE:
            return False
        try:
            frames = FRAMES.decode(b"[%b]" % data[6:-2].replace(b"\n\ndata: ", b","))
        except (ValueError, RecursionError):
            return False
        if len(frames) != count:
            # Two events were halves of one JSON value.
            return False
        note, kind = self._note, self._kind
        try:
            for frame in frames:
                is_plain = frame.choices and frame.error is NO_ERROR and frame.base_resp is None
                if not is_plain and (is_odd(frame, kind) or frame.type in _TERMINAL):
                    return False
                note(frame)
        except ProxyError:
            # The closer look raises it again, and knows which events came before it.
            return False
        return True

    def _join(self, data: bytes) -> bytes:
        """Return the pending bytes with *data* if an event ends in it; else keep it, return b""."""
        if not last_boundary(self._pending.last() + data):
            self.held += len(data)
            if self.held > MAX_EVENT_BYTES:
                raise too_large()
            self._pending.add(data)
            return b""
        # Join once per event, so that a large event takes linear time however it is split.
        self._pending.add(data)
        return self._release()

    def _release(self) -> bytes:
        """Return the pending bytes, and forget them."""
        data, self._pending = self._pending.join(), ByteBuffer()
        self.held = 0
        return data

    def _feed_blocks(self, data: bytes) -> bytes:
        out: list[bytes] = []
        try:
            for found in _BLOCK.finditer(data):
                block = found[0]
                taken = self._take_block(block)
                out.append(taken)
                self._swallow_lf = taken != block and block.endswith(b"\r") and not self.held
                if self.done:
                    if taken.endswith(b"\r\n\r"):
                        # Complete the CRLF, because nothing more is read.
                        out.append(b"\n")
                    break
        except ProxyError as exc:
            exc.completed_events = b"".join(out)
            raise
        return b"".join(out)

    def _take_block(self, block: bytes) -> bytes:
        """Return the event *block*, or a blank line, in the form for the client."""
        lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        lines[0] = lines[0].removeprefix(_BOM)
        data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        if not data:
            return _without_data(block, lines)
        names = [line[6:].strip() for line in lines if line.startswith(b"event:")]
        event = names[-1].decode("utf-8", "replace") if names else ""
        payload = b"\n".join(data).strip(b" \t\n")
        if not payload or (event == "ping" and self._kind != "other"):
            # An empty data line is no JSON, and the SDKs would raise on it.
            return b""
        if payload == b"[DONE]":
            self._end(b"")
        elif not self._passes(payload, event):
            return b""
        if self.failure is not None:
            block = redact_bytes(block)
        if any(line.startswith(_UNSUPPORTED_FIELDS) for line in lines):
            kept = [line for line in lines if line and not line.startswith(_UNSUPPORTED_FIELDS)]
            return b"\n".join(kept) + b"\n\n"
        return block

    def _end(self, completed_events: bytes) -> None:
        """Handle a ``[DONE]``; a Responses stream is completed only by its last event."""
        if self._kind == "responses" or (self._kind == "chat" and not self._answered):
            error = truncated()
            error.completed_events = completed_events
            raise error
        self.done = True

    def _passes(self, payload: bytes, event: str) -> bool:
        """Inspect an event; return whether it passes.

        Once every choice has its finish reason, the answer is complete: from then on, events that
        SDKs cannot parse or would raise on are dropped.
        """
        try:
            self._watch(payload, event)
        except ProxyError:
            if self.is_settled:
                return False
            raise
        return True

    @property
    def is_settled(self) -> bool:
        """Whether all of the answer has arrived, though its end has not."""
        return self._kind == "chat" and bool(self._finished) and self._seen == self._finished

    def _watch(self, payload: bytes, event: str) -> None:
        """Note what the event reveals about completeness, usage and errors."""
        frame = read_frame(payload)
        is_plain = frame.choices and frame.error is NO_ERROR and frame.base_resp is None
        # This avoids a call for nearly every chunk.
        if is_plain and not event:
            self._began = True
            self._note(frame)
            return
        if (error := error_of(frame, payload, event, self._kind)) is not None:
            # A response that has begun reports a failure itself: `error`, then `response.failed`.
            is_named = event == "error" or frame.type == "error"
            if not (is_named and self._began and self._kind == "responses"):
                raise error
            self.failure = error
            return
        self._began = True
        self._note(frame)
        if self._kind == "responses" and frame.type in _TERMINAL:
            self.done = True
            if frame.type == "response.failed" and self.failure is None:
                self.failure = failure_of(frame)

    def _note(self, frame: OpenAIFrame) -> None:
        choices = frame.choices
        has_usage = (
            frame.usage is not None or frame.x_groq is not None or frame.response is not None
        )
        if choices is not None:
            self._answered = True
            for choice in choices:
                if choice.finish_reason:
                    if (error := broken_choice(choice)) is not None:
                        raise error
                    self._finished.add(choice.index)
                if choice.usage is not None:
                    has_usage = True
                self._seen.add(choice.index)
        elif self._kind == "other" and (frame.type or "").startswith(_MEDIA):
            self._medium = frame.type
        if (has_usage or type(frame) is not OpenAIFrame) and (tokens := frame.tokens()) is not None:
            self.usage = tokens

    def feed_eof(self) -> bytes:
        """Return the rest at the end: an event without its blank line, or a missing ``[DONE]``.

        Raises:
            ProxyError: 502 `upstream_truncated`, the upstream ended before the answer did.
        """
        out = b"" if self.done else self._feed_rest()
        if self.done:
            return out
        if self._kind == "other":
            # For another kind of stream, the end is not known.
            if self._medium is None or self._medium in _MEDIA_ENDS:
                return out
        elif self.is_settled:
            self.done = True
            return out + DONE
        error = self.failure or truncated()
        error.completed_events = out
        raise error

    def _feed_rest(self) -> bytes:
        rest = self._release()
        line = rest.rstrip(b"\r\n")
        if not line or (self._kind == "other" and self._medium is None):
            return rest
        try:
            # The last event may lack its blank line and still be complete.
            return self._feed_blocks(line + b"\n\n")
        except ProxyError as exc:
            if exc.code == "upstream_bad_frame":
                # Half an event is dropped, and the stream counts as cut.
                return exc.completed_events
            raise


def stream_kind(endpoint: str) -> StreamKind:
    """Return the rules by which a stream of *endpoint* is complete."""
    if endpoint in ("chat/completions", "completions"):
        return "chat"
    return "responses" if endpoint == "responses" else "other"


def _without_data(block: bytes, lines: list[bytes]) -> bytes:
    """Return what remains of a block without data: comments and blank lines.

    SDKs would take anything else for an event, and try to parse its empty data.
    """
    said = [line for line in lines if line]
    if not all(line.startswith(b":") and not line.startswith(_UNSUPPORTED_FIELDS) for line in said):
        return KEEPALIVE if any(line.startswith(b":") for line in said) else b""
    return block
