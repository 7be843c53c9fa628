"""Builds a message from each choice's events, and a ChatCompletion from all choices. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11).
"""

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState, anthropic_blocks
from jarvis_proxy.dialects.chat.open_call import tool_call
from jarvis_proxy.dialects.chat.options import ChatHead, finish_reason, signed
from jarvis_proxy.dialects.chat.speech import encode_speech
from jarvis_proxy.wire.chat_types import (
    AssistantMessage,
    Audio,
    ChatCompletion,
    ChatUsage,
    CompletionChoice,
    FunctionPayload,
    Image,
    Logprobs,
    MessageToolCall,
    TokenLogprob,
)


class MessageSink:
    """Collects one choice's answer into a message; implements ``AnswerSink``."""

    __slots__ = (
        "_arguments",
        "_blocks",
        "_call",
        "_calls",
        "_content",
        "_function",
        "_head",
        "_images",
        "_index",
        "_logprobs",
        "_reasoning",
        "_signature",
        "_sound",
        "choice",
        "emitted",
        "model_version",
    )

    def __init__(self, head: ChatHead, index: int) -> None:
        # Nothing is sent before the whole message is complete.
        self.emitted = False
        self.choice: CompletionChoice | None = None
        """The whole choice, once it has ended."""
        self.model_version: str | None = None
        """The upstream's name of the model that answered, once the choice has ended."""
        self._head = head
        self._index = index
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._blocks: list[dict[str, Any]] = []
        self._call: CallStart
        self._arguments: list[str] = []
        self._calls: list[MessageToolCall] = []
        self._function: FunctionPayload | UnsetType = UNSET
        self._signature: str | None = None
        self._images: list[Image] = []
        self._sound: list[tuple[str, str]] = []
        self._logprobs: list[TokenLogprob] = []

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Note the upstream's id."""
        self._head.name(upstream_id)

    def text(self, text: str, /) -> None:
        """Add a piece of the content; pieces are joined without a separator."""
        self._content.append(text)

    def thought(self, text: str, /) -> None:
        """Receive a piece of the reasoning."""
        self._reasoning.append(text)

    def seal(self, state: SealedState, /) -> None:
        """Keep a signature for the next part, or add Anthropic's blocks unchanged."""
        if state.signs_next:
            self._signature = state.payload
        else:
            self._blocks += anthropic_blocks(state)

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a tool call."""
        self._call = call
        self._arguments.clear()

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the open call's arguments."""
        self._arguments.append(piece)

    def call_end(self, /) -> None:
        """End the open call."""
        arguments = "".join(self._arguments)
        self._function = self._function or FunctionPayload(self._call.name, arguments or "{}")
        self._calls.append(tool_call(self._call, arguments, self._signature))
        self._signature = None

    def sketch(self, image: Image, /) -> None:
        """Do nothing: the chat API has no field for it."""

    def image(self, image: Image, /) -> None:
        """Receive a picture."""
        self._images.append(image)

    def speech(self, mime_type: str, data: str, /) -> None:
        """Receive a piece of audio."""
        self._sound.append((mime_type, data))

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Receive the log probabilities of the preceding tokens."""
        self._logprobs += tokens

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Do nothing: the chat API has no field for it."""

    def finish(self, finish: Finish, /) -> None:
        """End the choice.

        Raises:
            ProxyError: 502 `upstream_bad_frame`, the audio is not base64.
        """
        message = self._message()
        message.annotations = list(finish.annotations)
        message.extra_content = signed(self._signature)
        self.model_version = finish.model_version
        self.choice = CompletionChoice(
            self._index,
            message,
            Logprobs(self._logprobs) if self._logprobs else None,
            finish_reason(finish, self._head.options),
            native_finish_reason=finish.native or UNSET,
            finish_message=finish.message or UNSET,
            grounding_metadata=finish.grounding or UNSET,
            citations=list(finish.citations) or UNSET,
        )

    def _message(self) -> AssistantMessage:
        content = "".join(self._content)
        message = AssistantMessage(content=None if self._calls and not content else content)
        if self._reasoning:
            message.reasoning_content = "".join(self._reasoning)
        if self._blocks:
            message.thinking_blocks = self._blocks
        if self._head.options.legacy_functions:
            message.function_call = self._function
        elif self._calls:
            message.tool_calls = self._calls
        if self._images:
            message.images = self._images
        if self._sound:
            message.audio = self._audio()
        return message

    def _audio(self) -> Audio:
        context = self._head.context
        return Audio(
            f"audio_{context.new_id()}",
            encode_speech(self._sound, self._head.options.audio_format),
            # The audio is not stored, so its id has already expired.
            context.created,
            "",
        )


def completion(head: ChatHead, sinks: Iterable[MessageSink], usage: ChatUsage) -> ChatCompletion:
    """Return the completion with the choices of all *sinks* that have ended."""
    ended = [sink for sink in sinks if sink.choice is not None]
    versions = (sink.model_version for sink in ended)
    return ChatCompletion(
        id=head.id,
        created=head.context.created,
        model=head.context.model,
        choices=[sink.choice for sink in ended if sink.choice is not None],
        usage=usage,
        service_tier=head.tier,
        model_version=next(filter(None, versions), UNSET),
    )
