"""One choice's answer as the chunks of an OpenAI stream. Pure.

Source: https://platform.openai.com/docs/api-reference/chat-streaming (read 2026-11).
"""

from typing import Final

import msgspec
from msgspec import UNSET

from jarvis_proxy.upstreams.gemini.reply.accumulator import Answer
from jarvis_proxy.upstreams.gemini.reply.candidate import Finish
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.frames import Blob
from jarvis_proxy.upstreams.gemini.reply.media import Speech
from jarvis_proxy.wire.chat_types import (
    Audio,
    Chunk,
    ChunkChoice,
    Delta,
    FunctionPayload,
    Image,
    Logprobs,
    TokenLogprob,
    ToolCall,
)

_encode: Final = msgspec.json.Encoder().encode


class ChunkSink:
    """Writes one choice's answer as chunks into *out*; implements ``Sink``.

    The chunk with the role goes out with the first thing to show and not before: until then the
    answer can still become another one.
    """

    __slots__ = (
        "_answer",
        "_chunk",
        "_context",
        "_index",
        "_out",
        "_speech",
        "_tail",
        "_text_head",
        "_thought_head",
        "emitted",
    )

    def __init__(
        self, context: ReplyContext, answer: Answer, index: int, *, out: list[bytes]
    ) -> None:
        self.emitted = False
        self._context = context
        self._answer = answer
        self._index = index
        self._out = out
        self._speech: Speech | None = None
        self._chunk = new_chunk(context, answer)
        if context.plan.include_usage:
            self._chunk.usage = None  # as OpenAI does in every chunk but the last
        # Nearly every chunk is a piece of text or thought, and all but that piece is the same in
        # each: it is encoded once, here, and a frame then costs the encoding of one string and a
        # join. The place is unambiguous: inside of a JSON string these quotes would be escaped.
        self._text_head, self._tail = self._around(Delta(content=""), b'"content":')
        self._thought_head, _ = self._around(Delta(reasoning_content=""), b'"reasoning_content":')

    def text(self, text: str, /) -> None:
        """Take a piece of the content."""
        if not self.emitted:
            self._begin()
        self._out.append(self._text_head + _encode(text) + self._tail)

    def thought(self, text: str, /) -> None:
        """Take a piece of the reasoning: never beside content, which one client then drops."""
        if not self.emitted:
            self._begin()
        self._out.append(self._thought_head + _encode(text) + self._tail)

    def tool_call(self, call: ToolCall, /) -> None:
        """Take a tool call: one to a chunk, since one client reads only the first of each."""
        self._emit(Delta(tool_calls=[call]))

    def function_call(self, call: FunctionPayload, /) -> None:
        """Take the one call of a client that declared ``functions``."""
        self._emit(Delta(function_call=call))

    def image(self, image: Image, /) -> None:
        """Take a picture."""
        self._emit(Delta(images=[image]))

    def speech(self, blob: Blob, /) -> None:
        """Take a piece of sound.

        Raises:
            ProxyError: 502 `upstream_bad_frame`.
        """
        audio = Audio()
        if self._speech is None:
            self._speech = Speech(self._context.plan.audio_format)
            audio.id = f"audio_{self._context.new_id()}"
            audio.transcript = ""
        audio.data = self._speech.feed(blob)
        self._emit(Delta(audio=audio))

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Take the log probabilities of the tokens just given."""
        if not self.emitted:
            self._begin()
        self._write(ChunkChoice(self._index, Delta(), Logprobs(tokens)))

    def finish(self, finish: Finish, /) -> None:
        """End the choice: what is known only now, then the one chunk with a finish reason."""
        if not self.emitted:
            self._begin()
        if self._speech is not None:
            # The sound is kept nowhere, so its id has expired by the time that it is given.
            audio = Audio(expires_at=self._context.call.created)
            if rest := self._speech.close():
                audio.data = rest
            self._emit(Delta(audio=audio))
        if finish.annotations:
            self._emit(Delta(annotations=finish.annotations))
        self._chunk.service_tier = _tier(self._context, self._answer)
        choice = ChunkChoice(
            self._index,
            Delta(extra_content=finish.extra_content),
            finish_reason=finish.reason,
            native_finish_reason=finish.native or UNSET,
            finish_message=finish.message or UNSET,
            grounding_metadata=finish.grounding or UNSET,
            citations=finish.citations or UNSET,
        )
        self._write(choice)

    def _begin(self) -> None:
        self.emitted = True
        self._write(ChunkChoice(self._index, Delta(role="assistant", content="")))

    def _emit(self, delta: Delta) -> None:
        if not self.emitted:
            self._begin()
        self._write(ChunkChoice(self._index, delta))

    def _write(self, choice: ChunkChoice) -> None:
        self._out.append(self._event(choice))

    def _event(self, choice: ChunkChoice) -> bytes:
        self._chunk.choices = [choice]
        return event(self._chunk)

    def _around(self, delta: Delta, key: bytes) -> tuple[bytes, bytes]:
        """Return what stands before and after the empty string behind *key*."""
        head, _, tail = self._event(ChunkChoice(self._index, delta)).partition(key + b'""')
        return head + key, tail


def new_chunk(context: ReplyContext, answer: Answer) -> Chunk:
    """Return a chunk without choices, with what is the same in all chunks of *answer*."""
    call = context.call
    return Chunk(id=answer.chat_id(call.id), created=call.created, model=call.model, choices=[])


def usage_event(context: ReplyContext, answer: Answer) -> bytes:
    """Return the chunk without choices that tells the tokens of all lanes."""
    chunk = new_chunk(context, answer)
    chunk.service_tier = _tier(context, answer)
    chunk.usage = answer.usage
    return event(chunk)


def event(chunk: Chunk) -> bytes:
    """Return *chunk* as an SSE event."""
    return b"data: " + _encode(chunk) + b"\n\n"


def _tier(context: ReplyContext, answer: Answer) -> str | msgspec.UnsetType:
    """Return the tier that served the call, which only those hear of who asked for one."""
    asked = context.plan.service_tier_asked
    return answer.tier if asked and answer.tier is not None else UNSET
