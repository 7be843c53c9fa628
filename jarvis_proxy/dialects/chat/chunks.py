"""Writes one choice's answer as chunks of an OpenAI stream. Pure.

Source: https://platform.openai.com/docs/api-reference/chat-streaming (read 2026-11).
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState, anthropic_blocks
from jarvis_proxy.dialects.chat.open_call import OpenCall
from jarvis_proxy.dialects.chat.options import ChatHead, finish_reason, signed
from jarvis_proxy.dialects.chat.speech import SpeechEncoder
from jarvis_proxy.wire.chat_types import (
    Audio,
    ChatUsage,
    Chunk,
    ChunkChoice,
    Delta,
    Image,
    Logprobs,
    TokenLogprob,
)

_encode: Final = msgspec.json.Encoder().encode


class ChunkSink:
    """Writes one choice's answer as chunks into *out*; implements ``AnswerSink``.

    The chunk with the role is sent only with the first content: until then, the proxy can still
    repeat the request elsewhere.
    """

    __slots__ = (
        "_call",
        "_calls",
        "_chunk",
        "_head",
        "_index",
        "_out",
        "_signature",
        "_speech",
        "_tail",
        "_text_head",
        "_thought_head",
        "emitted",
    )

    def __init__(self, head: ChatHead, index: int, out: list[bytes]) -> None:
        self.emitted = False
        self._head = head
        self._index = index
        self._out = out
        self._calls = 0
        self._call: OpenCall | None = None
        self._signature: str | None = None
        self._speech: SpeechEncoder | None = None
        self._chunk: Chunk
        self._text_head = self._thought_head = self._tail = b""

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Note the upstream's id."""
        self._head.name(upstream_id)

    def text(self, text: str, /) -> None:
        """Receive a piece of the content."""
        if not self.emitted:
            self._begin()
        self._out.append(self._text_head + _encode(text) + self._tail)

    def thought(self, text: str, /) -> None:
        """Write a piece of the reasoning, never with content: one client drops reasoning then."""
        if not self.emitted:
            self._begin()
        self._out.append(self._thought_head + _encode(text) + self._tail)

    def seal(self, state: SealedState, /) -> None:
        """Keep a signature for the next part, or write Anthropic's blocks unchanged."""
        if state.signs_next:
            self._signature = state.payload
        elif blocks := anthropic_blocks(state):
            self._emit(Delta(thinking_blocks=blocks))

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a tool call. A client that declared ``functions`` gets only the first one."""
        is_legacy = self._head.options.legacy_functions
        if not is_legacy or self._calls == 0:
            self._call = OpenCall(call, self._calls, self._signature, is_legacy=is_legacy)
        self._signature = None
        self._calls += 1

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the open call's arguments."""
        if self._call is not None:
            for delta in self._call.add(piece):
                self._emit(delta)

    def call_end(self, /) -> None:
        """End the open call."""
        if self._call is not None:
            for delta in self._call.end():
                self._emit(delta)
        self._call = None

    def sketch(self, image: Image, /) -> None:
        """Do nothing: the chat API has no field for it."""

    def image(self, image: Image, /) -> None:
        """Receive a picture."""
        self._emit(Delta(images=[image]))

    def speech(self, mime_type: str, data: str, /) -> None:
        """Receive a piece of audio.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, the data is not base64.
        """
        audio = Audio()
        if self._speech is None:
            self._speech = SpeechEncoder(self._head.options.audio_format)
            audio.id = f"audio_{self._head.context.new_id()}"
            audio.transcript = ""
        audio.data = self._speech.feed(mime_type, data)
        self._emit(Delta(audio=audio))

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Receive the log probabilities of the preceding tokens."""
        if not self.emitted:
            self._begin()
        self._write(ChunkChoice(self._index, Delta(), Logprobs(tokens)))

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Do nothing: the chat API has no field for it."""

    def finish(self, finish: Finish, /) -> None:
        """End the choice: write what is known only now, then the chunk with the finish reason."""
        if not self.emitted:
            self._begin()
        if self._speech is not None:
            # The audio is not stored, so its id has already expired.
            audio = Audio(expires_at=self._head.context.created)
            if rest := self._speech.close():
                audio.data = rest
            self._emit(Delta(audio=audio))
        if finish.annotations:
            self._emit(Delta(annotations=list(finish.annotations)))
        choice = ChunkChoice(
            self._index,
            Delta(extra_content=signed(self._signature)),
            finish_reason=finish_reason(finish, self._head.options),
            native_finish_reason=finish.native or UNSET,
            finish_message=finish.message or UNSET,
            grounding_metadata=finish.grounding or UNSET,
            citations=list(finish.citations) or UNSET,
        )
        self._write(choice)

    def _begin(self) -> None:
        self.emitted = True
        self._chunk = new_chunk(self._head)
        if self._head.options.include_usage:
            # OpenAI sends null in every chunk but the last.
            self._chunk.usage = None
        # Nearly every chunk is a piece of text or of a thought, and only that piece differs. The
        # rest is encoded once, here. A chunk then costs the encoding of one string and a join. The
        # position is unambiguous, because quotes inside a JSON string would be escaped.
        self._text_head, self._tail = self._around(Delta(content=""), b'"content":')
        self._thought_head, _ = self._around(Delta(reasoning_content=""), b'"reasoning_content":')
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
        """Return the encoded chunk before and after the empty string that follows *key*."""
        head, _, tail = self._event(ChunkChoice(self._index, delta)).partition(key + b'""')
        return head + key, tail


def new_chunk(head: ChatHead) -> Chunk:
    """Return a chunk without choices, with the fields that all chunks of an answer share."""
    context = head.context
    return Chunk(id=head.id, created=context.created, model=context.model, choices=[])


def usage_event(head: ChatHead, usage: ChatUsage) -> bytes:
    """Return the chunk without choices that reports the tokens of all choices together."""
    chunk = new_chunk(head)
    chunk.service_tier = head.tier
    chunk.usage = usage
    return event(chunk)


def event(chunk: Chunk) -> bytes:
    """Return *chunk* as an SSE event."""
    return b"data: " + _encode(chunk) + b"\n\n"
