"""Writes Google's answer: frames as events or in an array, or one body. Pure.

Google has no end marker: the last frame has the finish reason, and SDKs fail at anything that is
not a frame.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse (read 2026-11) and
recorded streams.
"""

from typing import Final, NamedTuple

import msgspec

from jarvis_proxy.canonical.answer import AnswerContext, AnswerSink
from jarvis_proxy.dialects.generate_content.frames import (
    Candidate,
    Content,
    Part,
    Response,
    usage_of,
)
from jarvis_proxy.dialects.generate_content.sink import CandidateSink
from jarvis_proxy.wire.chat_types import ChatUsage

_PIECE_BYTES: Final = 64
_TEXT: Final = "\0text"
_encode: Final = msgspec.json.Encoder().encode


class _TextFrame(NamedTuple):
    """The encoded frame around the text of a frame that holds only text."""

    head: bytes
    tail: bytes


class _Frames:
    """Encodes the frames of one stream."""

    __slots__ = ("_context", "_is_array", "_is_first")

    def __init__(self, context: AnswerContext, *, is_array: bool) -> None:
        self._context = context
        self._is_array = is_array
        self._is_first = True

    def join(self) -> bytes:
        """Return the bytes that precede the next frame."""
        if not self._is_array:
            return b""
        is_first, self._is_first = self._is_first, False
        return b"[" if is_first else b",\r\n"

    def frame(self, candidate: Candidate, usage: ChatUsage | None = None) -> bytes:
        """Return the next frame."""
        return self.join() + self._encoded([candidate], usage)

    def around_text(self, index: int, part: Part) -> _TextFrame:
        """Return the encoded frame around the text of *part*."""
        frame = self._encoded([Candidate(Content([part]), index=index)], None)
        head, _, tail = frame.partition(_encode(_TEXT))
        return _TextFrame(head, tail)

    def _encoded(self, candidates: list[Candidate], usage: ChatUsage | None) -> bytes:
        data = _encode(response(self._context, candidates, usage))
        return data if self._is_array else b"data: %b\r\n\r\n" % data


class _FrameSink(CandidateSink):
    """Writes a candidate's parts as frames to *out*, each between *head* and *tail*."""

    __slots__ = ("_frames", "_out", "_text", "_thought")

    def __init__(self, index: int, frames: _Frames, out: list[bytes], *, shows: bool) -> None:
        super().__init__(index, shows=shows)
        self._frames = frames
        self._out = out
        # Only the text differs between frames, so the rest is encoded once.
        self._text = frames.around_text(index, Part(text=_TEXT))
        self._thought = frames.around_text(index, Part(text=_TEXT, thought=True))

    def _say(self, text: str, *, thought: bool) -> None:
        self.emitted = True
        around = self._thought if thought else self._text
        self._out.append(self._frames.join() + around.head + _encode(text) + around.tail)

    def _add(self, part: Part) -> None:
        self.emitted = True
        self._out.append(self._frames.frame(Candidate(Content([part]), index=self._index)))


class _BodySink(CandidateSink):
    """Collects a candidate's parts; *kept* is about how many bytes they take."""

    __slots__ = ("_thinks", "_unjoined", "kept", "parts")

    def __init__(self, index: int, *, shows: bool) -> None:
        super().__init__(index, shows=shows)
        self.parts: list[Part] = []
        self.kept = 0
        self._unjoined: list[str] = []
        self._thinks = False

    def _say(self, text: str, *, thought: bool) -> None:
        if thought != self._thinks:
            self.close()
            self._thinks = thought
        self._unjoined.append(text)
        self.kept += len(text) + _PIECE_BYTES

    def _add(self, part: Part) -> None:
        self.close()
        self.parts.append(part)
        self.kept += _PIECE_BYTES + part.size

    def close(self) -> None:
        """Join the pieces of a text."""
        if self._unjoined:
            thought = True if self._thinks else msgspec.UNSET
            self.parts.append(Part(text="".join(self._unjoined), thought=thought))
            self._unjoined.clear()


class GenerateContentStream:
    """A streamed answer; implements ``Answer``. *shows*: thoughts are shown."""

    __slots__ = ("_frames", "_is_array", "_out", "_shows", "_sinks")

    def __init__(self, context: AnswerContext, *, is_array: bool, shows: bool) -> None:
        self._frames = _Frames(context, is_array=is_array)
        self._is_array = is_array
        self._shows = shows
        self._out: list[bytes] = []
        self._sinks: dict[int, _FrameSink] = {}

    @property
    def kept(self) -> int:
        """About how many bytes wait for the end of a call."""
        return sum(sink.held for sink in self._sinks.values())

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of a candidate."""
        if index not in self._sinks:
            self._sinks[index] = _FrameSink(index, self._frames, self._out, shows=self._shows)
        return self._sinks[index]

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """Write the last frame of each candidate; the very last one has the tokens."""
        # An empty answer still has one candidate.
        self.choice(0)
        sinks = [self._sinks[index] for index in sorted(self._sinks)]
        for sink in sinks:
            reported = usage if sink is sinks[-1] else None
            self._out.append(self._frames.frame(sink.last([sink.closing_part()]), reported))
        if self._is_array:
            self._out.append(b"]")

    def take(self) -> bytes:
        """Return the frames written since the last call, or ``b""``."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def body(self) -> bytes:
        """Return nothing: a stream has no body."""
        return b""


class GenerateContentBody:
    """A whole answer; implements ``Answer``. *shows*: thoughts are shown."""

    __slots__ = ("_context", "_shows", "_sinks", "_usage")

    def __init__(self, context: AnswerContext, *, shows: bool) -> None:
        self._context = context
        self._shows = shows
        self._sinks: dict[int, _BodySink] = {}
        self._usage: ChatUsage | None = None

    @property
    def kept(self) -> int:
        """About how many bytes the answer keeps until its end."""
        return sum(sink.kept + sink.held for sink in self._sinks.values())

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of a candidate."""
        if index not in self._sinks:
            self._sinks[index] = _BodySink(index, shows=self._shows)
        return self._sinks[index]

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """Note the token counts."""
        # An empty answer still has one candidate.
        self.choice(0)
        self._usage = usage

    def take(self) -> bytes:
        """Return nothing: this is no stream."""
        return b""

    def body(self) -> bytes:
        """Return the answer as JSON."""
        candidates = [_whole(self._sinks[index]) for index in sorted(self._sinks)]
        return _encode(response(self._context, candidates, self._usage))


def _whole(sink: _BodySink) -> Candidate:
    sink.close()
    closing = sink.closing_part()
    if not sink.parts or closing.thought_signature is not msgspec.UNSET:
        sink.parts.append(closing)
    return sink.last(sink.parts)


def response(
    context: AnswerContext, candidates: list[Candidate], usage: ChatUsage | None
) -> Response:
    """Return a frame, or a whole answer."""
    return Response(
        candidates,
        usage_metadata=msgspec.UNSET if usage is None else usage_of(usage),
        model_version=context.model,
        response_id=context.call_id,
    )
