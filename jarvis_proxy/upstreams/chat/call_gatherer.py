"""Orders the tool calls of a chat stream, whose pieces may interleave. Pure.

The first call is passed on as it arrives. All others wait until the answer ends, so that no piece
ever follows the end of its call.

Source: https://platform.openai.com/docs/api-reference/chat-streaming (read 2026-11), and the
variants of compatible services: no index, no id, one index for all calls, objects as arguments.
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.json_values import Fields, dumps, fields_of, loads

_KINDS: Final = ("function", "custom")
_CALL_BYTES: Final = 200


class CallSink(Protocol):
    """Receives the calls: see ``AnswerSink``."""

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a call."""

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the call's arguments."""

    def call_end(self, /) -> None:
        """End the call."""


class _Call:
    """One call, as far as it has arrived."""

    __slots__ = ("first", "id", "index", "kind", "name", "pieces", "state")

    def __init__(self, index: int | None, order: int) -> None:
        self.index = order if index is None else index
        self.id = ""
        self.name = ""
        self.kind: Literal["function", "custom"] = "function"
        self.first = ""
        """The first character of the arguments that is not white space."""
        self.pieces: list[str] = []
        self.state: Literal["unknown", "passed", "held"] = "unknown"

    def add(self, piece: str) -> None:
        """Add a piece of the arguments."""
        self.pieces.append(piece)
        self.first = self.first or piece.lstrip()[:1]

    @property
    def text(self) -> str:
        """The arguments so far."""
        return "".join(self.pieces)


class CallGatherer:
    """Collects the calls of one choice and sends them to *sink*, strictly one after another.

    *tool* maps the upstream's name of a tool to the client's tool; *new_id* returns 24 letters and
    digits. *objects_only*: the client's API accepts only JSON objects as arguments.
    """

    __slots__ = (
        "_by_id",
        "_by_index",
        "_calls",
        "_ids",
        "_new_id",
        "_objects_only",
        "_sink",
        "_tool",
        "held",
    )

    def __init__(
        self,
        sink: CallSink,
        tool: Callable[[str], CalledTool],
        new_id: Callable[[], str],
        *,
        objects_only: bool = False,
    ) -> None:
        self._sink = sink
        self._tool = tool
        self._new_id = new_id
        self._objects_only = objects_only
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._ids: set[str] = set()
        self.held = 0

    def __bool__(self) -> bool:
        return bool(self._calls)

    def take(self, entry: Fields, position: int | None = None) -> None:
        """Read an entry of ``tool_calls``; *position* is its index in a whole message."""
        call = self._find(entry, position)
        self._note(call, entry)
        piece = _arguments(entry)
        if piece:
            call.add(piece)
            self.held += len(piece)
        if call is self._calls[0]:
            self._pass_on(call)

    def end(self, *, whole: bool, most: int | None = None) -> int:
        """Send all calls held back, in the upstream's order; return the number of calls.

        *whole*: the answer was not cut. If it was, a held call whose arguments are no JSON object
        is left out. At most *most* calls are sent.

        Raises:
            ProxyError: 502 `upstream_bad_response`, a call has no name.
        """
        sent = 0
        if self._calls and self._calls[0].state == "passed":
            self._sink.call_end()
            sent = 1
        rest = sorted(self._calls[sent:], key=lambda call: call.index)
        for call in rest if most is None else rest[: most - sent]:
            sent += self._send(call, whole=whole)
        return sent

    def _find(self, entry: Fields, position: int | None) -> _Call:
        index, call_id = entry.get("index"), entry.get("id")
        if position is not None:
            return self._add(position)
        if isinstance(index, int):
            call = self._by_index.get(index)
            if call is None or _is_another(call, entry):
                call = self._by_index[index] = self._add(index)
            return call
        if isinstance(call_id, str) and call_id:
            return self._by_id.get(call_id) or self._add(None)
        if self._calls and not _name(entry):
            return self._calls[-1]
        return self._add(None)

    def _add(self, index: int | None) -> _Call:
        call = _Call(index, len(self._calls))
        self._calls.append(call)
        self.held += _CALL_BYTES
        return call

    def _note(self, call: _Call, entry: Fields) -> None:
        """Note the fields of its call that *entry* is the first to contain."""
        call_id = entry.get("id")
        if isinstance(call_id, str) and call_id and not call.id:
            call.id = call_id
            self._by_id.setdefault(call_id, call)
        call.name = call.name or _name(entry)
        if entry.get("type") == "custom" or "custom" in entry:
            call.kind = "custom"

    def _pass_on(self, call: _Call) -> None:
        """Send the first call as it arrives, once it is known that it can be streamed."""
        if call.state == "unknown" and call.name and (call.first or call.kind == "custom"):
            tool = self._tool(call.name)
            passes = call.kind == "custom" or (call.first == "{" and not tool.wraps_text)
            call.state = "passed" if passes else "held"
            if passes:
                self._begin(call, tool, call.kind)
        if call.state == "passed" and call.pieces:
            text = call.text
            self._sink.call_piece(text)
            call.pieces.clear()
            self.held -= len(text)

    def _send(self, call: _Call, *, whole: bool) -> bool:
        """Send a call that was held back; return whether it was sent."""
        if not call.name:
            raise ProxyError(
                502, "The upstream called a tool without a name.", code="upstream_bad_response"
            )
        tool, text, kind = self._tool(call.name), call.text, call.kind
        value = _value(text) if kind == "function" and text.strip() else {}
        if not isinstance(value, dict) and not whole:
            return False
        if tool.wraps_text:
            inner = value.get("input") if isinstance(value, dict) else None
            kind, text = "custom", inner if isinstance(inner, str) else text
        elif not isinstance(value, dict) and self._objects_only:
            text = dumps({"_raw_arguments": text}).decode()
        elif kind == "function" and not text.strip():
            text = ""
        self._begin(call, tool, kind)
        if text:
            self._sink.call_piece(text)
        self._sink.call_end()
        return True

    def _begin(self, call: _Call, tool: CalledTool, kind: Literal["function", "custom"]) -> None:
        call_id = call.id
        if not call_id or call_id in self._ids:
            call_id = f"call_{self._new_id()}"
        self._ids.add(call_id)
        self._sink.call_begin(CallStart(call_id, tool.name, kind, tool.namespace))


def _is_another(call: _Call, entry: Fields) -> bool:
    """Return whether *entry* begins a new call under a used index: some services use only one."""
    call_id = entry.get("id")
    return bool(call.id and call_id and call_id != call.id and _name(entry))


def _inner(entry: Fields) -> Fields:
    return next((found for kind in _KINDS if (found := fields_of(entry.get(kind)))), {})


def _name(entry: Fields) -> str:
    name = _inner(entry).get("name")
    return name if isinstance(name, str) else ""


def _arguments(entry: Fields) -> str:
    inner = _inner(entry)
    value = inner.get("arguments")
    if value is None:
        value = inner.get("input")
    if value is None:
        return ""
    return value if isinstance(value, str) else dumps(value).decode()


def _value(text: str) -> object:
    try:
        return loads(text.encode("utf-8", "replace"))
    except ValueError:
        return None
