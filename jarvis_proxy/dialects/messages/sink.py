"""Converts the events of a choice to content blocks, one open block at a time. Pure.

Source: https://docs.claude.com/en/api/messages-streaming (read 2026-11).
"""

from abc import ABC, abstractmethod
from typing import Any, Final, Literal, TypeAlias

import msgspec

from jarvis_proxy.canonical.answer import CallStart, DiscardingSink, Finish
from jarvis_proxy.canonical.sealed_state import (
    ANTHROPIC,
    GEMINI,
    SealedState,
    anthropic_blocks,
    seal,
)
from jarvis_proxy.wire.chat_types import ChatUsage, Image

JsonObject: TypeAlias = dict[str, Any]

_TEXT: Final = "text"
_THINKING: Final = "thinking"
_CALL: Final = "tool_use"
_LARGEST_IMAGE: Final = 64 * 1024
_BLANK: Final = " \t\r\n"
_NO_IMAGE: Final = "[An image was left out: this API has no place for one.]"


class BlockSink(DiscardingSink, ABC):
    """Receives the events of one choice; implements ``AnswerSink``. Subclasses write the blocks.

    The API has no fields for audio and log probabilities.

    *shows*: thoughts are shown. *sealed*: the client asked for thinking. Otherwise it gets no
    signature of Gemini's, which the proxy remembers by the call's id.
    """

    __slots__ = (
        "_began_json",
        "_held",
        "_kind",
        "_said",
        "_seal",
        "_sealed",
        "_shows",
        "_started",
        "emitted",
        "finished",
        "prompt",
        "searches",
    )

    def __init__(self, *, shows: bool, sealed: bool) -> None:
        self.emitted = False
        """Whether anything was sent to the client."""
        self.prompt: ChatUsage | None = None
        """The token counts that the upstream reported at the start."""
        self.searches = 0
        self.finished = Finish(reason="stop")
        self._shows = shows
        self._sealed = sealed
        self._kind = ""
        """The kind of the open block."""
        self._started = False
        self._said = False
        self._seal = ""
        """The seal for a block that has not begun."""
        self._held: list[str] = []
        """Arguments that do not begin with a brace."""
        self._began_json = False

    # -- events ------------------------------------------------------------------------------

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Note the prompt's token counts; the message has an id of the proxy's."""
        self.prompt = usage

    def text(self, text: str, /) -> None:
        """Receive a piece of the text."""
        if self._kind != _TEXT:
            self._said = True
            self._open({"type": _TEXT, "text": ""})
        self._piece(text)

    def thought(self, text: str, /) -> None:
        """Receive a piece of the thoughts."""
        if not self._shows:
            return
        if self._kind != _THINKING:
            self._open({"type": _THINKING, "thinking": "", "signature": ""})
        self._piece(text)

    def seal(self, state: SealedState, /) -> None:
        """Add *state* to the end of the open thinking block, or to a new one before the next block.

        No answer ends with it: Claude Code would show nothing, and Anthropic rejects such a
        history.
        """
        if state.owner == ANTHROPIC:
            for block in anthropic_blocks(state):
                self._native(block)
        elif self._sealed or state.owner != GEMINI:
            self._sign(seal(state))

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a tool call."""
        self._open({"type": _CALL, "id": call.id, "name": call.name, "input": {}})
        self._began_json = False

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the arguments; clients raise if they do not begin with a brace."""
        if not self._began_json and not self._held:
            piece = piece.lstrip(_BLANK)
            self._began_json = piece.startswith("{")
        if self._began_json and piece:
            self._piece(piece)
        elif piece:
            self._held.append(piece)

    def call_end(self, /) -> None:
        """End the call; arguments that are no object are wrapped in one."""
        if self._held:
            self._piece(as_object("".join(self._held)))
            self._held = []
        self._close()

    def image(self, image: Image, /) -> None:
        """Write a picture as text if it is small enough."""
        url = image.image_url.url
        self.text(f"![image]({url})" if len(url) < _LARGEST_IMAGE else _NO_IMAGE)

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Count the upstream's searches."""
        self.searches += count

    def finish(self, finish: Finish, /) -> None:
        """End the last block. A refusal without text gets its reason, an empty answer gets a text.

        Returns None, because no request names an earlier message.
        """
        self._close()
        self._seal = ""
        if finish.reason == "content_filter" and not self._said:
            self.text(finish.message or f"The answer was refused ({finish.native or 'no reason'}).")
        elif not self._started:
            self._open({"type": _TEXT, "text": ""})
        self._close()
        self.finished = finish

    # -- blocks ------------------------------------------------------------------------------

    def _native(self, block: JsonObject) -> None:
        """Write one of Anthropic's own blocks."""
        signature = block.get("signature")
        if block.get("type") == "redacted_thinking":
            self._open(block)
            self._close()
        elif isinstance(signature, str) and signature:
            self._sign(signature)

    def _sign(self, signature: str) -> None:
        if self._kind == _THINKING:
            self._signature(signature)
            self._close()
        else:
            self._write_sealed()
            self._seal = signature

    def _write_sealed(self) -> None:
        """Write the waiting seal, if any, in a block of its own."""
        signature, self._seal = self._seal, ""
        if signature:
            self._open({"type": _THINKING, "thinking": "", "signature": ""})
            self._signature(signature)
            self._close()

    def _open(self, block: JsonObject) -> None:
        self._close()
        if self._seal:
            self._write_sealed()
        self._kind = block["type"]
        self._started = True
        self._start(block)

    def _close(self) -> None:
        if self._kind:
            self._kind = ""
            self._stop()

    # -- what subclasses write ---------------------------------------------------------------

    @abstractmethod
    def _start(self, block: JsonObject) -> None:
        """Begin *block*, the block in its start event."""

    @abstractmethod
    def _piece(self, text: str) -> None:
        """Add to the open block's text, thinking or arguments."""

    @abstractmethod
    def _signature(self, signature: str) -> None:
        """Set the open block's signature."""

    @abstractmethod
    def _stop(self) -> None:
        """End the open block."""


def as_object(arguments: str) -> str:
    """Return *arguments*, which do not begin with a brace, as the JSON of an object."""
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return msgspec.json.encode({"_raw_arguments": arguments}).decode()
    return "{}" if value is None else msgspec.json.encode({"value": value}).decode()
