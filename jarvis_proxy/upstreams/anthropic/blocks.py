"""Converts content blocks of a Messages answer to events of a choice, in order. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/streaming (read 2026-11), and
recorded streams.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, CallStart
from jarvis_proxy.canonical.sealed_state import ANTHROPIC, SealedState
from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.upstreams.anthropic.errors import bad_frame
from jarvis_proxy.upstreams.json_values import Fields, fields_of, items_of
from jarvis_proxy.wire.chat_types import Annotation, URLCitation

_CONTENT: Final = ("text", "thinking", "partial_json", "signature")
_INPUT: Final = msgspec.json.Decoder(dict[str, object])


class BlockContext(msgspec.Struct, frozen=True, kw_only=True):
    """What block readers need besides the content.

    *tool* maps the upstream's name of a tool to the client's tool. *new_id* returns 24 letters and
    digits. *keeps_content*: the answer may have to be sent back unchanged.
    """

    tool: Callable[[str], CalledTool] = CalledTool
    new_id: Callable[[], str]
    keeps_content: bool = False


class BlockReader:
    """One content block: ``take`` gets its deltas, ``stop`` its end. This class shows nothing."""

    __slots__ = ("_cited", "_content", "_keep", "_start", "kept")

    def __init__(self, start: Fields, *, keep: bool) -> None:
        self._start = start
        self._keep = keep
        self._content: dict[str, list[str]] = {}
        self._cited: list[object] = []
        self.kept = 0
        """About how many bytes the block keeps."""

    def take(self, delta: Fields) -> None:
        """Read a delta."""
        if not self._keep:
            return
        for name in _CONTENT:
            if isinstance(piece := delta.get(name), str):
                self._content.setdefault(name, []).append(piece)
                self.kept += len(piece)
        if citation := fields_of(delta.get("citation")):
            self._cited.append(citation)

    def stop(self) -> None:
        """End the block."""

    def as_sent(self) -> Fields:
        """Return the whole block in the form for sending it back."""
        content = {name: "".join(pieces) for name, pieces in self._content.items()}
        block = dict(self._start)
        if partial := content.pop("partial_json", ""):
            block["input"] = _object(partial)
        for name, said in content.items():
            block[name] = f"{block.get(name) or ''}{said}"
        if self._cited:
            block["citations"] = [*items_of(block.get("citations")), *self._cited]
        return block


class TextBlockReader(BlockReader):
    """Visible text, and the web pages that it cites."""

    __slots__ = ("_citations", "_state")

    def __init__(self, start: Fields, state: "ChoiceState", *, keep: bool) -> None:
        super().__init__(start, keep=keep)
        self._state = state
        self._citations: list[tuple[str, str]] = []
        for citation in map(fields_of, items_of(start.get("citations"))):
            self._cite(citation)
        state.begin_text()
        state.say(_text(start, "text"))

    def take(self, delta: Fields) -> None:
        """Pass text on; keep citations until the end of the block whose text they concern."""
        super().take(delta)
        if delta.get("type") == "citations_delta":
            self._cite(fields_of(delta.get("citation")))
        else:
            self._state.say(_text(delta, "text"))

    def stop(self) -> None:
        """Annotate the block's text with its citations."""
        self._state.annotate(self._citations)

    def _cite(self, citation: Fields) -> None:
        if url := _text(citation, "url"):
            self._citations.append((url, _text(citation, "title")))


class ThinkingBlockReader(BlockReader):
    """Reasoning: shown in pieces, and sealed as a whole with its signature."""

    __slots__ = ("_said", "_signature", "_sink", "_state")

    def __init__(self, start: Fields, state: "ChoiceState", *, keep: bool) -> None:
        super().__init__(start, keep=keep)
        self._state = state
        self._sink = state.sink
        self._said: list[str] = []
        self._signature = _text(start, "signature")
        self._think(_text(start, "thinking"))

    def take(self, delta: Fields) -> None:
        """Show a piece; keep it and the signature for the seal."""
        super().take(delta)
        self._think(_text(delta, "thinking"))
        if signature := _text(delta, "signature"):
            self._signature = signature
            self.kept += len(signature)

    def stop(self) -> None:
        """Seal the block if it has a signature.

        Some gateways send the signature in a separate block after the text; the two are joined.
        """
        said = "".join(self._said)
        if not self._signature:
            self._state.unsigned = said
            return
        said, self._state.unsigned = said or self._state.unsigned, ""
        block = {"type": "thinking", "thinking": said, "signature": self._signature}
        self._state.seal(block)

    def _think(self, text: str) -> None:
        if text:
            # The signature covers all of the text.
            self._said.append(text)
            self.kept += len(text)
            self._sink.thought(text)


class RedactedBlockReader(BlockReader):
    """Reasoning that only the upstream can read."""

    __slots__ = ("_state",)

    def __init__(self, start: Fields, state: "ChoiceState", *, keep: bool) -> None:
        super().__init__(start, keep=keep)
        self._state = state

    def stop(self) -> None:
        """Seal the block."""
        if data := _text(self._start, "data"):
            self._state.seal({"type": "redacted_thinking", "data": data})


class ToolBlockReader(BlockReader):
    """A call of one of the client's tools."""

    __slots__ = ("_held", "_is_custom", "_sink", "_streamed")

    def __init__(
        self, start: Fields, state: "ChoiceState", context: BlockContext, *, keep: bool
    ) -> None:
        super().__init__(start, keep=keep)
        if not (name := _text(start, "name")):
            raise bad_frame("calls a tool without a name")
        tool = context.tool(name)
        call_id = _text(start, "id") or f"call_{context.new_id()}"
        self._sink = state.sink
        self._is_custom = tool.wraps_text
        self._held: list[str] = []
        self._streamed = False
        kind: Literal["function", "custom"] = "custom" if tool.wraps_text else "function"
        self._sink.call_begin(CallStart(call_id, tool.name, kind, tool.namespace))
        # A call by code at the upstream may already have its result.
        caller = fields_of(start.get("caller")).get("type")
        state.has_call |= caller in (None, "direct")

    def take(self, delta: Fields) -> None:
        """Pass a piece of the input on. A custom tool's input waits until its JSON is complete."""
        super().take(delta)
        if not (piece := _text(delta, "partial_json")):
            return
        self._streamed = True
        if self._is_custom:
            self._held.append(piece)
            self.kept += len(piece)
        else:
            self._sink.call_piece(piece)

    def stop(self) -> None:
        """End the call; its input may have arrived whole, in the start of the block."""
        given = self._start.get("input")
        if not self._streamed and given not in (None, {}, ""):
            whole = given if isinstance(given, str) else msgspec.json.encode(given).decode()
            self._held.append(whole)
        if piece := "".join(self._held):
            self._sink.call_piece(_free_text(piece) if self._is_custom else piece)
        self._sink.call_end()


class ChoiceState:
    """State that the blocks of one answer share: its choice, and data for its end."""

    __slots__ = ("_said", "_start", "annotations", "has_call", "sink", "unsigned")

    def __init__(self, sink: AnswerSink) -> None:
        self.sink = sink
        self.has_call = False
        """Whether the model itself called a tool."""
        self.unsigned = ""
        """The text of the previous thinking block, if it had no signature."""
        self.annotations: list[Annotation] = []
        self._said = 0
        self._start = 0

    def begin_text(self) -> None:
        """Note the position at which a block's text begins."""
        self._start = self._said

    def say(self, text: str) -> None:
        """Pass visible text on."""
        if text:
            self._said += len(text)
            self.sink.text(text)

    def annotate(self, citations: list[tuple[str, str]]) -> None:
        """Attach *citations*, URLs with titles, to the block's text."""
        for url, title in dict.fromkeys(citations):
            cited = URLCitation(self._said, self._start, title, url)
            self.annotations.append(Annotation(url_citation=cited))

    def seal(self, block: Fields) -> None:
        """Pass a thinking block on, for the client to send back."""
        self.sink.seal(SealedState(ANTHROPIC, msgspec.json.encode([block]).decode()))


def new_block(start: Fields, state: ChoiceState, context: BlockContext) -> BlockReader:
    """Return the reader of the block that begins with *start*.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, a call has no name.
    """
    keep, kind = context.keeps_content, start.get("type")
    if kind != "thinking":
        state.unsigned = ""
    match kind:
        case "text":
            return TextBlockReader(start, state, keep=keep)
        case "thinking":
            return ThinkingBlockReader(start, state, keep=keep)
        case "redacted_thinking":
            return RedactedBlockReader(start, state, keep=keep)
        case "tool_use":
            return ToolBlockReader(start, state, context, keep=keep)
        case _:
            return BlockReader(start, keep=keep)


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _object(text: str) -> dict[str, object]:
    try:
        return _INPUT.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {"_raw_arguments": text}


def _free_text(piece: str) -> str:
    """Return the text in a custom tool's JSON; JSON of another form is returned unchanged."""
    said = _object(piece).get("input")
    return said if isinstance(said, str) else piece
