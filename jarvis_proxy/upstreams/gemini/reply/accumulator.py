"""One upstream answer, frame by frame, over its continuations; and what lanes share. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from collections.abc import Callable
from typing import Final

from jarvis_proxy.canonical.usage import add_usage
from jarvis_proxy.upstreams.gemini.reply.candidate import CandidateReader, Sink
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.errors import (
    empty_answer,
    empty_reply,
    error_in_answer,
    malformed_reply,
    truncated,
)
from jarvis_proxy.upstreams.gemini.reply.finish_reasons import (
    BLOCKED,
    CONTINUATION,
    is_malformed,
    is_plain_end,
)
from jarvis_proxy.upstreams.gemini.reply.frames import Frame
from jarvis_proxy.upstreams.gemini.reply.usage import service_tier, translate_usage
from jarvis_proxy.wire.chat_types import Usage

MAX_HOPS: Final = 16
"""So many times an answer may go on in a further request; each sends the whole prompt again."""

_SHORT: Final = 64
"""Bytes of JSON; a block with counts and their details is longer."""


class Answer:
    """What the lanes of one downstream answer have in common.

    *id* and *model_version* are the first that any lane's upstream names; *usages* are those of
    the lanes that have ended, *tier* that of the last of them.
    """

    __slots__ = (
        "abandoned",
        "empty_is_final",
        "id",
        "lanes",
        "model_version",
        "sinks",
        "tier",
        "usages",
        "was_empty",
    )

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.id: str | None = None
        self.model_version: str | None = None
        self.tier: str | None = None
        self.usages: dict[int, Usage] = {}
        self.sinks: list[Sink] = []
        self.abandoned = False
        """It will be asked for again: nothing more of this one may be sent."""
        self.was_empty = False
        """An attempt ended with nothing to say."""
        self.empty_is_final = False
        """The next one that does is taken as it is."""

    def begin(self) -> None:
        """Begin an attempt: forget what one that failed has left."""
        self.usages.clear()
        self.sinks.clear()
        self.abandoned = False
        self.empty_is_final = self.was_empty

    @property
    def emitted(self) -> bool:
        """The client has been sent something of a lane."""
        return any(sink.emitted for sink in self.sinks)

    @property
    def complete(self) -> bool:
        """Every lane has ended."""
        return len(self.usages) == self.lanes

    @property
    def usage(self) -> Usage:
        """The tokens of all lanes that have ended."""
        total = Usage()
        for usage in self.usages.values():
            total = add_usage(total, usage)
        return total

    def chat_id(self, fallback: str) -> str:
        """Return the answer's id, from now on the same one for every lane and chunk."""
        if self.id is None:
            self.id = fallback
        return self.id if self.id.startswith("chatcmpl-") else f"chatcmpl-{self.id}"


class Lane:
    """Reads one upstream's answer into a sink per choice.

    *streamed*: the frames come one by one, so one without a finish reason is an answer cut off;
    a whole reply without one has at least its closing brace.
    """

    __slots__ = (
        "_answer",
        "_block",
        "_block_message",
        "_context",
        "_hops",
        "_make_sink",
        "_number",
        "_past_usage",
        "_readers",
        "_streamed",
        "_usage",
    )

    def __init__(
        self,
        context: ReplyContext,
        answer: Answer,
        number: int,
        *,
        make_sink: Callable[[int], Sink],
        streamed: bool,
    ) -> None:
        self._context = context
        self._answer = answer
        self._number = number
        self._make_sink = make_sink
        self._streamed = streamed
        self._readers: dict[int, CandidateReader] = {}
        self._block = ""
        self._block_message: str | None = None
        self._usage = b""
        self._past_usage: Usage | None = None  # of the hops that are over
        self._hops = 0

    @property
    def usage(self) -> Usage | None:
        """The tokens so far, or None where the upstream has not said."""
        if not self._usage:
            return self._past_usage
        usage = translate_usage(self._usage)
        return usage if self._past_usage is None else add_usage(self._past_usage, usage)

    def take(self, frame: Frame) -> None:
        """Take one frame.

        Raises:
            ProxyError: the frame is an error, or not what a frame should be.
        """
        if len(frame.error) and bytes(frame.error) != b"null":
            raise error_in_answer(bytes(frame.error), model=self._context.call.model)
        answer = self._answer
        if answer.id is None and frame.response_id:
            answer.id = frame.response_id
        if answer.model_version is None and frame.model_version:
            answer.model_version = frame.model_version
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
                if index and answer.lanes > 1:
                    continue  # with a call for each choice, a call has but one
                reader = self._reader(index)
            reader.take(candidate)

    def close(self) -> str | None:
        """End the answer, or return the token with which a further request continues it.

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
            if reader.native is None and self._streamed:
                raise truncated()
        token = self._continuation()
        if token is not None:
            return token
        self._refuse_malformed(readers)
        self._refuse_empty(readers)
        for reader in readers:
            reader.finish()
        self._answer.usages[self._number] = self.usage or Usage()
        self._answer.tier = service_tier(self._usage)
        return None

    def _reader(self, index: int) -> CandidateReader:
        choice = self._number if self._answer.lanes > 1 else index
        reader = CandidateReader(self._context, self._make_sink(choice))
        self._readers[index] = reader
        self._answer.sinks.append(reader.sink)
        return reader

    def _continuation(self) -> str | None:
        first = self._readers.get(0)
        if first is None or (first.native or "").upper() != CONTINUATION:
            return None
        token, first.continuation_token = first.continuation_token, None
        if not token or self._hops == MAX_HOPS:
            return None  # then it ends here, as one that ran out of tokens
        self._hops += 1
        first.native = None
        # Inside of a hop the counts run on; the next hop begins anew.
        self._past_usage, self._usage = self.usage, b""
        return token

    def _refuse_malformed(self, readers: list[CandidateReader]) -> None:
        """Raise where the answer ends in a call that the upstream could not make out.

        Text before it is no finished answer: it may be the call's own text.
        """
        natives = [reader.native or "" for reader in readers if not reader.called]
        if len(natives) == len(readers) and all(map(is_malformed, natives)):
            answer = self._answer
            answer.abandoned = not answer.emitted
            raise malformed_reply(natives[0], retryable=answer.abandoned)

    def _refuse_empty(self, readers: list[CandidateReader]) -> None:
        """Raise, once, where the model ended without a word."""
        answer = self._answer
        if answer.empty_is_final or answer.emitted:
            return
        if all(reader.unusable and is_plain_end(reader.native or "") for reader in readers):
            answer.was_empty = answer.abandoned = True
            raise empty_answer()
