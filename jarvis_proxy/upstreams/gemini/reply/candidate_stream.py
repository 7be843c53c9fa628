"""One upstream answer, frame by frame, over its continuations; and what several share. Pure.

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
"""So many times an answer may go on in a further request; each sends the whole prompt again."""

_SHORT: Final = 64
"""Bytes of JSON; a block with counts and their details is longer."""


class MergedAnswer:
    """What the upstream answers of one call have in common: there is one for each choice.

    *model_version* is the first that any of them names.
    """

    __slots__ = ("choice_count", "empty_is_final", "model_version", "sinks", "was_empty")

    def __init__(self, choice_count: int) -> None:
        self.choice_count = choice_count
        self.model_version: str | None = None
        self.sinks: list[AnswerSink] = []
        self.was_empty = False
        """An attempt ended with nothing to say."""
        self.empty_is_final = False
        """The next one that does is taken as it is."""

    def begin(self) -> None:
        """Begin an attempt: forget what one that failed has left."""
        self.sinks.clear()
        self.empty_is_final = self.was_empty

    @property
    def emitted(self) -> bool:
        """The client has been sent something of a choice."""
        return any(sink.emitted for sink in self.sinks)


class CandidateStream:
    """Reads the frames of one upstream answer into the choices of *answer*.

    *number* is the place of its request among all of the call.
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
        self._past_usage: ChatUsage | None = None  # of the hops that are over
        self._hops = 0

    @property
    def usage(self) -> ChatUsage | None:
        """The tokens so far, or None where the upstream has not said."""
        if not self._usage:
            return self._past_usage
        usage = translate_usage(self._usage)
        return usage if self._past_usage is None else add_usage(self._past_usage, usage)

    @property
    def service_tier(self) -> str | None:
        """OpenAI's word for the tier that served the call."""
        return service_tier(self._usage)

    def take(self, frame: Frame) -> None:
        """Take one frame.

        Raises:
            ProxyError: the frame is an error, or not what a frame should be.
        """
        if len(frame.error) and bytes(frame.error) != b"null":
            raise error_in_answer(bytes(frame.error), model=self._context.call.model)
        merged = self._merged
        if self._id is None and frame.response_id:
            self._id = frame.response_id
        if merged.model_version is None and frame.model_version:
            merged.model_version = frame.model_version
        # Replaced, not added: each frame's block speaks of the whole answer so far, and only the
        # last is looked at. A short one may be without counts, as Vertex sends them: it says
        # nothing.
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
                    continue  # with a call for each choice, a call has but one
                reader = self._reader(index)
            reader.take(candidate)

    def finish_or_continue(self, *, streamed: bool) -> str | None:
        """End the answer, or return the token with which a further request continues it.

        *streamed*: the frames came one by one, so one without a finish reason is an answer cut
        off; a whole reply without one has at least its closing brace.

        Raises:
            ProxyError: 502 `empty_response`, `upstream_truncated`, `upstream_malformed_response`.
            A ``RetryableError`` is worth one silent retry. An ``EmptyAnswerError`` never comes a
            second time.
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
            return None  # then it ends here, as one that ran out of tokens
        self._hops += 1
        first.native = None
        # Within one request the counts go up; the next request begins at zero.
        self._past_usage, self._usage = self.usage, b""
        return token

    def _refuse_malformed(self, readers: list[CandidateReader]) -> None:
        """Raise where the answer ends in a call that the upstream could not make out.

        Text before it is no finished answer: it may be the call's own text.
        """
        natives = [reader.native or "" for reader in readers if not reader.has_tool_call]
        if len(natives) == len(readers) and all(map(is_malformed, natives)):
            raise malformed_reply(natives[0], retryable=not self._merged.emitted)

    def _refuse_empty(self, readers: list[CandidateReader]) -> None:
        """Raise, once, where the model ended without a word."""
        merged = self._merged
        if merged.empty_is_final or merged.emitted:
            return
        if all(reader.unusable and is_plain_end(reader.native or "") for reader in readers):
            merged.was_empty = True
            raise empty_answer()
