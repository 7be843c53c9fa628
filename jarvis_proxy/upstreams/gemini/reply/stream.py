"""A Gemini stream, cut anywhere, to an OpenAI stream of chunks or of a response's events. Pure.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
(read 2026-11).
"""

from collections.abc import Callable
from typing import Final

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage, to_token_usage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.accumulator import Answer, Lane
from jarvis_proxy.upstreams.gemini.reply.candidate import Sink
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.errors import (
    bad_frame,
    bad_response,
    error_in_text,
    truncated,
)
from jarvis_proxy.upstreams.gemini.reply.frames import decode_frame, decode_frames
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, SSEDecoder, too_large

_LEADING: Final = b"\xef\xbb\xbf \t\r\n"
_DONE: Final = b"[DONE]"
_CLOSED: Final = ((b"[", b"]"), (b"{", b"}"))


class GeminiStreamTranslator:
    """Turns one lane's bytes into events; implements ``StreamTranslator``.

    *make_sink* gives the sink for a choice, which writes into the list given; *end* gives what
    follows when all lanes have ended; *kept* tells how many bytes the sinks keep until then.

    Holds back a partial event until the rest comes. A body that is JSON instead of events, as
    Gemini sends it without ``alt=sse`` and at times for an error, is held back whole. Gemini has
    no mark for the end: an answer is complete when the body ends and each choice has a finish
    reason.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_context",
        "_continue_with",
        "_decoder",
        "_end",
        "_kept",
        "_lane",
        "_out",
        "_started",
        "done",
        "failure",
        "next_request",
    )

    def __init__(
        self,
        context: ReplyContext,
        answer: Answer,
        lane: int = 0,
        *,
        make_sink: Callable[[int, list[bytes]], Sink],
        end: Callable[[], bytes],
        continue_with: Callable[[str], UpstreamRequest],
        kept: Callable[[], int] = lambda: 0,
    ) -> None:
        self.done = False
        self.next_request: UpstreamRequest | None = None
        self.failure: ProxyError | None = None
        self._context = context
        self._answer = answer
        self._continue_with = continue_with
        self._end = end
        self._kept = kept
        self._out: list[bytes] = []
        out = self._out
        self._lane = Lane(
            context, answer, lane, make_sink=lambda index: make_sink(index, out), streamed=True
        )
        self._decoder = SSEDecoder()
        self._started = False
        self._body: ByteBuffer | None = None

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens of this lane, as far as the upstream has counted them."""
        usage = self._lane.usage
        return None if usage is None else to_token_usage(usage)

    @property
    def held(self) -> int:
        """About how many bytes are kept."""
        body = 0 if self._body is None else self._body.size
        return self._decoder.held + body + self._kept()

    def feed(self, data: bytes) -> bytes:
        """Return the chunks that *data* completes, or ``b""``.

        Raises:
            ProxyError: the upstream reported an error, or 502 `upstream_bad_frame`,
                `upstream_frame_too_large`; ``completed_events`` has the chunks before.
        """
        if not self._started:
            data = data.lstrip(_LEADING)
            if not data:
                return b""
            self._started = True
            if data[0] in b"[{":
                self._body = ByteBuffer()
        if self._body is not None:
            self._hold(self._body, data)
            return b""
        try:
            for event in self._decoder.feed(data):
                self._take(event.data)
        except ProxyError as error:
            error.completed_events = self._flush()
            raise
        return self._flush()

    def feed_eof(self) -> bytes:
        """Return the last chunks; ``[DONE]`` only behind a complete answer.

        After it, ``next_request`` is the request that continues the answer, or None.

        Raises:
            ProxyError: the upstream reported an error in place of the end, or 502
                `upstream_truncated`, `empty_response`, `upstream_malformed_response`,
                `upstream_bad_frame`, `upstream_bad_response`.
        """
        try:
            self._take_rest()
            token = self._lane.close()
        except ProxyError as error:
            error.completed_events = self._flush()
            raise
        self.next_request = None if token is None else self._continue_with(token)
        if token is not None:
            self._restart()
        elif self._answer.complete:
            self._out.append(self._end())
            self.done = True
        return self._flush()

    def _restart(self) -> None:
        self._decoder = SSEDecoder()
        self._started = False
        self._body = None

    def _flush(self) -> bytes:
        out = self._out
        if self._answer.abandoned:
            out.clear()
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def _hold(self, body: ByteBuffer, data: bytes) -> None:
        body.add(data)
        if body.size > MAX_EVENT_BYTES:
            raise too_large()

    def _take(self, data: bytes) -> None:
        if data.startswith(b"{"):  # as nearly always
            self._lane.take(decode_frame(data))
        elif data != _DONE:  # not Google's; gateways that imitate it add it
            for frame in decode_frames(data):
                self._lane.take(frame)

    def _take_rest(self) -> None:
        """Take what the end of the body leaves: a body of JSON, half an event, a raw error."""
        if self._body is not None:
            self._take_body(self._body.join().rstrip())
            return
        event = self._decoder.close()
        if event is not None:
            self._take_unterminated(event.data)
        # Google breaks off with a pretty-printed error that is no event.
        stray = self._decoder.non_sse_lines.strip()
        if not stray:
            return
        error = error_in_text(stray, model=self._context.call.model)
        if error is not None:
            raise error
        if stray.startswith(b"<"):
            raise bad_response()
        if stray[0] in b"[{":
            raise bad_frame()

    def _take_body(self, body: bytes) -> None:
        if (body[:1], body[-1:]) not in _CLOSED:
            raise truncated()
        for frame in decode_frames(body):
            self._lane.take(frame)

    def _take_unterminated(self, data: bytes) -> None:
        """Take an event without its blank line if it is whole: then it was only cut there."""
        if data == _DONE:
            return
        try:
            frames = decode_frames(data)
        except ProxyError:
            raise truncated() from None
        for frame in frames:
            self._lane.take(frame)
