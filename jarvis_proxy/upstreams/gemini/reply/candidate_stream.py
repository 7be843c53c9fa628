"""Reads one upstream answer, frame by frame, over its continuations; and merges several. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from typing import Final

from jarvis_proxy.canonical.answer import Answer, AnswerSink
from jarvis_proxy.canonical.exchange import empty_answer, empty_reply, truncated
from jarvis_proxy.canonical.usage import add_usage
from jarvis_proxy.upstreams.gemini.reply.candidate import CandidateReader
from jarvis_proxy.upstreams.gemini.reply.errors import error_in_answer, malformed_reply
from jarvis_proxy.upstreams.gemini.reply.finish_reasons import (
    BLOCKED,
    CONTINUATION,
    is_malformed,
    is_plain_end,
)
from jarvis_proxy.upstreams.gemini.reply.frames import Frame
from jarvis_proxy.upstreams.gemini.reply.tool_calls import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.usage import service_tier, translate_usage
from jarvis_proxy.wire.chat_types import ChatUsage

MAX_CONTINUATIONS: Final = 16
"""Most continuations of an answer; each sends the whole prompt again."""

_SHORT: Final = 64
"""Bytes of JSON; a block with token counts and details is longer."""


class MergedAnswer:
    """The state shared by the upstream answers of one call, one for each choice.

    *model_version* is the first one that any answer names.
    """

    __slots__ = ("choice_count", "empty_is_final", "model_version", "sinks", "was_empty")

    def __init__(self, choice_count: int) -> None:
        self.choice_count = choice_count
        self.model_version: str | None = None
        self.sinks: list[AnswerSink] = []
        self.was_empty = False
        """Whether an attempt ended without content."""
        self.empty_is_final = False
        """Whether the next attempt without content is accepted."""

    def begin(self) -> None:
        """Begin an attempt: forget the state of a failed one."""
        self.sinks.clear()
        self.empty_is_final = self.was_empty

    @property
    def emitted(self) -> bool:
        """Whether anything of a choice was sent to the client."""
        return any(sink.emitted for sink in self.sinks)


class CandidateStream:
    """Reads the frames of one upstream answer into the choices of *answer*.

    *number* is the index of its request in the call.
    """

    __slots__ = (
        "_answer",
        "_block",
        "_block_message",
        "_context",
        "_hops",
        "_id",
        "_merged",
        "_number",
        "_past_usage",
        "_readers",
        "_usage",
    )

    def __init__(
        self,
        context: ReplyContext,
        merged: MergedAnswer,
        answer: Answer,
        number: int,
    ) -> None:
        self._context = context
        self._merged = merged
        self._answer = answer
        self._number = number
        self._id: str | None = None
        self._readers: dict[int, CandidateReader] = {}
        self._block = ""
        self._block_message: str | None = None
        self._usage = b""
        self._past_usage: ChatUsage | None = None
        """The tokens of earlier requests, which this one continues."""
        self._hops = 0

    @property
    def usage(self) -> ChatUsage | None:
        """The token counts so far, None if the upstream has reported none."""
        if not self._usage:
            return self._past_usage
        usage = translate_usage(self._usage)
        return usage if self._past_usage is None else add_usage(self._past_usage, usage)

    @property
    def service_tier(self) -> str | None:
        """OpenAI's name of the tier that served the call."""
        return service_tier(self._usage)

    def take(self, frame: Frame) -> None:
        """Read one frame.

        Raises:
            ProxyError: the frame is an error, or has an invalid form.
        """
        if len(frame.error) and bytes(frame.error) != b"null":
            raise error_in_answer(bytes(frame.error), model=self._context.call.model)
        merged = self._merged
        if self._id is None and frame.response_id:
            self._id = frame.response_id
        if merged.model_version is None and frame.model_version:
            merged.model_version = frame.model_version
        # Replace the block instead of adding to it: each one covers the whole answer so far, and
        # only the last one is decoded. A short block without counts, as Vertex sends it, is
        # ignored.
        usage = frame.usage_metadata
        if len(usage) > _SHORT or b"TokenCount" in bytes(usage):
            self._usage = usage
        feedback = frame.prompt_feedback
        if feedback is not None and feedback.block_reason:
            self._block = f"{BLOCKED}{feedback.block_reason}"
            self._block_message = feedback.block_reason_message
        for candidate in frame.candidates or ():
            index = candidate.index or 0
            reader = self._readers.get(index)
            if reader is None:
                if index and merged.choice_count > 1:
                    # With one request per choice, each request has only one choice.
                    continue
                reader = self._reader(index)
            reader.take(candidate)

    def finish_or_continue(self, *, streamed: bool) -> str | None:
        """End the answer, or return the token with which another request continues it.

        *streamed*: the frames arrived one by one, so a last one without a finish reason means that
        the answer was cut. A whole reply without one at least has its closing brace.

        Raises:
            ProxyError: 502 `empty_response`, `upstream_truncated`, `upstream_malformed_response`.
            A ``RetryableError`` is worth one silent retry. An ``EmptyAnswerError`` is raised only
            once per call.
        """
        if not self._readers:
            if not self._block:
                raise empty_reply()
            self._reader(0)
        readers = [self._readers[index] for index in sorted(self._readers)]
        for reader in readers:
            if self._block:
                reader.block(self._block, self._block_message)
            if reader.native is None and streamed:
                raise truncated()
        token = self._continuation()
        if token is not None:
            return token
        self._refuse_malformed(readers)
        self._refuse_empty(readers)
        for reader in readers:
            reader.finish(self._merged.model_version)
        return None

    def _reader(self, index: int) -> CandidateReader:
        sink = self._answer.choice(self._number if self._merged.choice_count > 1 else index)
        sink.begin(self._id, None)
        reader = self._readers[index] = CandidateReader(self._context, sink)
        self._merged.sinks.append(sink)
        return reader

    def _continuation(self) -> str | None:
        first = self._readers.get(0)
        if first is None or (first.native or "").upper() != CONTINUATION:
            return None
        token, first.continuation_token = first.continuation_token, None
        if not token or self._hops == MAX_CONTINUATIONS:
            # End the answer like one that ran out of tokens.
            return None
        self._hops += 1
        first.native = None
        # Counts grow within one request, and start at zero in the next one.
        self._past_usage, self._usage = self.usage, b""
        return token

    def _refuse_malformed(self, readers: list[CandidateReader]) -> None:
        """Raise an error if the answer ends in a call that the upstream could not parse.

        Text before it does not make the answer complete: it may be the call's own text.
        """
        natives = [reader.native or "" for reader in readers if not reader.has_tool_call]
        if len(natives) == len(readers) and all(map(is_malformed, natives)):
            raise malformed_reply(natives[0], retryable=not self._merged.emitted)

    def _refuse_empty(self, readers: list[CandidateReader]) -> None:
        """Raise an error, once, if the model ended without content."""
        merged = self._merged
        if merged.empty_is_final or merged.emitted:
            return
        if all(reader.unusable and is_plain_end(reader.native or "") for reader in readers):
            merged.was_empty = True
            raise empty_answer()
