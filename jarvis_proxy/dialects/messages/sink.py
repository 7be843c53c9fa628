"""The events of a choice as content blocks, of which one is open at a time. Pure.

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
    """Takes the events of one choice; implements ``AnswerSink``. Subclasses write the blocks.

    The API has no place for sound and log probabilities.

    *shows*: thoughts are shown. *sealed*: the client asked for thinking. Without that, it gets no
    signature of Gemini's, which the proxy remembers by the id of the call.
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
        """The client has been sent something."""
        self.prompt: ChatUsage | None = None
        """The tokens that the upstream reported first."""
        self.searches = 0
        self.finished = Finish(reason="stop")
        self._shows = shows
        self._sealed = sealed
        self._kind = ""  # of the open block
        self._started = False
        self._said = False
        self._seal = ""  # of a block that has not come
        self._held: list[str] = []  # arguments that do not begin as an object
        self._began_json = False

    # -- events ------------------------------------------------------------------------------

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Take the tokens of the prompt; the message has an id of the proxy."""
        self.prompt = usage

    def text(self, text: str, /) -> None:
        """Take a piece of the text."""
        if self._kind != _TEXT:
            self._said = True
            self._open({"type": _TEXT, "text": ""})
        self._piece(text)

    def thought(self, text: str, /) -> None:
        """Take a piece of the thoughts."""
        if not self._shows:
            return
        if self._kind != _THINKING:
            self._open({"type": _THINKING, "thinking": "", "signature": ""})
        self._piece(text)

    def seal(self, state: SealedState, /) -> None:
        """Put *state* at the end of the open thinking block, else into one before the next block.

        No answer ends in it: Claude Code would show nothing, and Anthropic refuses such a history.
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
        """Take a piece of the arguments; clients raise at what cannot begin an object."""
        if not self._began_json and not self._held:
            piece = piece.lstrip(_BLANK)
            self._began_json = piece.startswith("{")
        if self._began_json and piece:
            self._piece(piece)
        elif piece:
            self._held.append(piece)

    def call_end(self, /) -> None:
        """End the call; arguments that are no object become one."""
        if self._held:
            self._piece(as_object("".join(self._held)))
            self._held = []
        self._close()

    def image(self, image: Image, /) -> None:
        """Take a picture as text, if it is small enough."""
        url = image.image_url.url
        self.text(f"![image]({url})" if len(url) < _LARGEST_IMAGE else _NO_IMAGE)

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Take how often the upstream searched."""
        self.searches += count

    def finish(self, finish: Finish, /) -> None:
        """End the last block. A refusal says why, where no text did; an empty answer has a text.

        No request ever names an earlier message.
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
        """Take a block of Anthropic's own."""
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
        """Write the seal that waits, if any, in a block of its own."""
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
        """Begin *block*, as its start says it."""

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
    """Return *arguments*, which begin with no brace, as the JSON of an object."""
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return msgspec.json.encode({"_raw_arguments": arguments}).decode()
    return "{}" if value is None else msgspec.json.encode({"value": value}).decode()
