"""The tool call in progress: sends it whole in one chunk, or in pieces. Pure.

One client reads only the first call of a chunk, and no client needs pieces of a call that arrives
at once. So the first piece waits for the second one, or for the end of the call.
"""

from msgspec import UNSET

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.dialects.chat.options import signed
from jarvis_proxy.wire.chat_types import (
    ArgumentsPiece,
    CustomPayload,
    Delta,
    FunctionPayload,
    InputPiece,
    MessageToolCall,
    ToolCallPiece,
)


class OpenCall:
    """One tool call, from its head to its end. *index* is its position in the choice."""

    __slots__ = ("_call", "_first", "_index", "_is_legacy", "_is_sent", "_signature")

    def __init__(
        self, call: CallStart, index: int, signature: str | None, *, is_legacy: bool
    ) -> None:
        self._call = call
        self._index = index
        self._signature = signature
        self._is_legacy = is_legacy
        self._first: str | None = None
        self._is_sent = False

    def add(self, piece: str) -> list[Delta]:
        """Return the deltas that can be sent after a piece of the arguments."""
        if self._first is None:
            self._first = piece
            return []
        deltas = [] if self._is_sent else [self._head(self._first)]
        self._is_sent = True
        return [*deltas, self._piece(piece)]

    def end(self) -> list[Delta]:
        """Return the deltas that are left to send."""
        return [] if self._is_sent else [self._head(self._first)]

    def _head(self, arguments: str | None) -> Delta:
        if self._is_legacy:
            return Delta(function_call=FunctionPayload(self._call.name, arguments or "{}"))
        call = tool_call(self._call, arguments, self._signature)
        call.index = self._index
        return Delta(tool_calls=[call])

    def _piece(self, piece: str) -> Delta:
        if self._is_legacy:
            return Delta(function_call=ArgumentsPiece(piece))
        sent = ToolCallPiece(self._index)
        if self._call.kind == "custom":
            sent.custom = InputPiece(piece)
        else:
            sent.function = ArgumentsPiece(piece)
        return Delta(tool_calls=[sent])


def tool_call(call: CallStart, arguments: str | None, signature: str | None) -> MessageToolCall:
    """Return a call with *arguments* and *signature*; None leaves them out."""
    namespace = call.namespace or UNSET
    written = MessageToolCall(id=call.id, type=call.kind, extra_content=signed(signature))
    if call.kind == "custom":
        written.custom = CustomPayload(call.name, arguments or "", namespace)
    else:
        written.function = FunctionPayload(call.name, arguments or "{}", namespace)
    return written
