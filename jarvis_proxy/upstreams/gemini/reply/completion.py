"""Whole Gemini replies to a ChatCompletion. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11).
"""

from collections.abc import Callable

from msgspec import UNSET

from jarvis_proxy.upstreams.gemini.reply.accumulator import Answer, Lane
from jarvis_proxy.upstreams.gemini.reply.candidate import Finish, Sink
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.errors import bad_response, empty_reply
from jarvis_proxy.upstreams.gemini.reply.frames import Blob, decode_frames
from jarvis_proxy.upstreams.gemini.reply.media import whole_speech
from jarvis_proxy.wire.chat_types import (
    Audio,
    ChatCompletion,
    Choice,
    FunctionPayload,
    Image,
    Logprobs,
    Message,
    TokenLogprob,
    ToolCall,
    Usage,
)


class MessageSink:
    """Gathers one choice's answer into a message; implements ``Sink``."""

    __slots__ = (
        "_blobs",
        "_call",
        "_calls",
        "_content",
        "_context",
        "_images",
        "_index",
        "_logprobs",
        "_reasoning",
        "choice",
        "emitted",
    )

    def __init__(self, context: ReplyContext, index: int) -> None:
        self.emitted = False  # never: the client hears of it when all of it is there
        self.choice: Choice | None = None
        """The whole choice, once it has ended."""
        self._context = context
        self._index = index
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        self._call: FunctionPayload | None = None
        self._images: list[Image] = []
        self._blobs: list[Blob] = []
        self._logprobs: list[TokenLogprob] = []

    def text(self, text: str, /) -> None:
        """Take a piece of the content; nothing is put between pieces."""
        self._content.append(text)

    def thought(self, text: str, /) -> None:
        """Take a piece of the reasoning."""
        self._reasoning.append(text)

    def tool_call(self, call: ToolCall, /) -> None:
        """Take a tool call; only in streams it carries its index."""
        call.index = UNSET
        self._calls.append(call)

    def function_call(self, call: FunctionPayload, /) -> None:
        """Take the one call of a client that declared ``functions``."""
        self._call = call

    def image(self, image: Image, /) -> None:
        """Take a picture."""
        self._images.append(image)

    def speech(self, blob: Blob, /) -> None:
        """Take a piece of sound."""
        self._blobs.append(blob)

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Take the log probabilities of the tokens just given."""
        self._logprobs += tokens

    def finish(self, finish: Finish, /) -> None:
        """End the choice.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, its sound is not base64.
        """
        message = self._message()
        message.annotations = finish.annotations
        message.extra_content = finish.extra_content
        self.choice = Choice(
            self._index,
            message,
            Logprobs(self._logprobs) if self._logprobs else None,
            finish.reason,
            native_finish_reason=finish.native or UNSET,
            finish_message=finish.message or UNSET,
            grounding_metadata=finish.grounding or UNSET,
            citations=finish.citations or UNSET,
        )

    def _message(self) -> Message:
        content = "".join(self._content)
        called = bool(self._calls) or self._call is not None
        message = Message(content=None if called and not content else content)
        if self._reasoning:
            message.reasoning_content = "".join(self._reasoning)
        if self._calls:
            message.tool_calls = self._calls
        if self._call is not None:
            message.function_call = self._call
        if self._images:
            message.images = self._images
        if self._blobs:
            message.audio = self._audio()
        return message

    def _audio(self) -> Audio:
        context = self._context
        return Audio(
            f"audio_{context.new_id()}",
            whole_speech(self._blobs, context.plan.audio_format),
            # The sound is kept nowhere, so its id has expired by the time that it is given.
            context.call.created,
            "",
        )


class LaneReply:
    """One lane's whole reply, its continuations appended.

    *make_sink* is for answers that are no messages: then there are no choices.
    """

    __slots__ = ("_context", "_lane", "_sinks")

    def __init__(
        self,
        context: ReplyContext,
        answer: Answer,
        number: int,
        make_sink: Callable[[int], Sink] | None = None,
    ) -> None:
        self._context = context
        self._sinks: dict[int, MessageSink] = {}
        self._lane = Lane(
            context, answer, number, make_sink=make_sink or self._sink, streamed=False
        )

    def take(self, body: bytes) -> str | None:
        """Take a whole body; return the token with which a further request continues it, or None.

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
            self._lane.take(frame)
        return self._lane.close()

    @property
    def usage(self) -> Usage | None:
        """The tokens so far, or None where the upstream has not said."""
        return self._lane.usage

    def choices(self) -> list[Choice]:
        """Return the lane's choices that have ended, in order."""
        sinks = (self._sinks[index] for index in sorted(self._sinks))
        return [sink.choice for sink in sinks if sink.choice is not None]

    def _sink(self, index: int) -> MessageSink:
        sink = self._sinks[index] = MessageSink(self._context, index)
        return sink


def build_completion(
    context: ReplyContext, answer: Answer, lanes: list[LaneReply]
) -> ChatCompletion:
    """Return the answer that all *lanes* together make."""
    call = context.call
    completion = ChatCompletion(
        id=answer.chat_id(call.id),
        created=call.created,
        model=call.model,
        choices=[choice for lane in lanes for choice in lane.choices()],
        usage=answer.usage,
    )
    if context.plan.service_tier_asked and answer.tier is not None:
        completion.service_tier = answer.tier
    if answer.model_version is not None:
        completion.model_version = answer.model_version
    return completion
