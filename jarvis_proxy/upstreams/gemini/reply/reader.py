"""Reads a Gemini answer, whole or as a stream that is split anywhere, into canonical events. Pure.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
(read 2026-11).
"""

from collections.abc import Callable
from typing import Final

from jarvis_proxy.canonical.answer import Answer
from jarvis_proxy.canonical.exchange import (
    UpstreamRequest,
    bad_frame,
    bad_response,
    empty_reply,
    truncated,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.candidate_stream import CandidateStream, MergedAnswer
from jarvis_proxy.upstreams.gemini.reply.errors import error_in_text
from jarvis_proxy.upstreams.gemini.reply.frames import decode_frame, decode_frames
from jarvis_proxy.upstreams.gemini.reply.tool_calls import ReplyContext
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, SSEDecoder, too_large

_LEADING: Final = b"\xef\xbb\xbf \t\r\n"
_DONE: Final = b"[DONE]"
_CLOSED: Final = ((b"[", b"]"), (b"{", b"}"))


class GeminiReader:
    """Reads the bytes of one body into an answer; implements ``AnswerReader``.

    *index* is the index of the body's request in the call. *continue_with* makes the request that
    continues from a token.

    The reader holds back a partial event until the rest arrives. It holds back a whole body that is
    JSON instead of events, as Gemini sends it without ``alt=sse`` and sometimes for an error.
    Gemini has no end marker: an answer is complete when the body ends and each choice has a finish
    reason.
    """

    __slots__ = (
        "_body",
        "_context",
        "_continue_with",
        "_decoder",
        "_started",
        "_stream",
        "next_request",
    )

    done: bool = False

    def __init__(
        self,
        context: ReplyContext,
        merged: MergedAnswer,
        answer: Answer,
        index: int = 0,
        *,
        continue_with: Callable[[str], UpstreamRequest],
    ) -> None:
        self.next_request: UpstreamRequest | None = None
        self._context = context
        self._continue_with = continue_with
        self._stream = CandidateStream(context, merged, answer, index)
        self._decoder = SSEDecoder()
        self._started = False
        self._body: ByteBuffer | None = None

    @property
    def usage(self) -> ChatUsage | None:
        """The token counts that the upstream has reported so far."""
        return self._stream.usage

    @property
    def is_settled(self) -> bool:
        """False, because only the end of the body shows that nothing follows."""
        return False

    @property
    def service_tier(self) -> str | None:
        """The tier that served the call, in OpenAI's terms."""
        return self._stream.service_tier

    @property
    def held(self) -> int:
        """About how many bytes the reader keeps."""
        body = 0 if self._body is None else self._body.size
        return self._decoder.held + body

    def feed(self, data: bytes, /) -> None:
        """Read a piece of a streamed body.

        Raises:
            ProxyError: the upstream reported an error, or 502 `upstream_bad_frame`,
                `upstream_frame_too_large`.
        """
        if not self._started:
            data = data.lstrip(_LEADING)
            if not data:
                return
            self._started = True
            if data[0] in b"[{":
                self._body = ByteBuffer()
        if self._body is not None:
            self._hold(self._body, data)
            return
        for event in self._decoder.feed(data):
            self._take(event.data)

    def feed_eof(self) -> None:
        """Handle the end of the body, which ends the answer if no ``next_request`` follows.

        Raises:
            ProxyError: the upstream reported an error in place of the end, or 502
                `upstream_truncated`, `empty_response`, `upstream_malformed_response`,
                `upstream_bad_frame`, `upstream_bad_response`.
        """
        self._take_rest()
        self._finish(streamed=True)
        if self.next_request is not None:
            self._restart()

    def read_whole(self, body: bytes, /) -> None:
        """Read a whole body; ``next_request`` continues it.

        Raises:
            ProxyError: the body is an error; or 502 `empty_response`, `upstream_bad_frame`,
                `upstream_bad_response`, `upstream_malformed_response`.
        """
        body = body.strip()
        if not body:
            raise empty_reply()
        if body[0] not in b"[{":
            raise bad_response()
        for frame in decode_frames(body):
            self._stream.take(frame)
        self._finish(streamed=False)

    def _finish(self, *, streamed: bool) -> None:
        token = self._stream.finish_or_continue(streamed=streamed)
        self.next_request = None if token is None else self._continue_with(token)

    def _restart(self) -> None:
        self._decoder = SSEDecoder()
        self._started = False
        self._body = None

    def _hold(self, body: ByteBuffer, data: bytes) -> None:
        body.add(data)
        if body.size > MAX_EVENT_BYTES:
            raise too_large()

    def _take(self, data: bytes) -> None:
        # This is nearly always the case.
        if data.startswith(b"{"):
            self._stream.take(decode_frame(data))
        elif data != _DONE:
            # Not Google's; gateways that imitate it add it.
            for frame in decode_frames(data):
                self._stream.take(frame)

    def _take_rest(self) -> None:
        """Read what the body's end leaves: a JSON body, half an event, a raw error."""
        if self._body is not None:
            self._take_body(self._body.join().rstrip())
            return
        event = self._decoder.close()
        if event is not None:
            self._take_unterminated(event.data)
        # Google ends a failed stream with a pretty-printed error that is no event.
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
            self._stream.take(frame)

    def _take_unterminated(self, data: bytes) -> None:
        """Read an event without its blank line if it is complete: only the line was cut."""
        if data == _DONE:
            return
        try:
            frames = decode_frames(data)
        except ProxyError:
            raise truncated() from None
        for frame in frames:
            self._stream.take(frame)
