"""Converts messages of the canonical request to the form that strict chat services require. Pure.

There is one system message, at the start. Each message with tool calls is directly followed by one
result per call, in the same order.

Source: https://api-docs.deepseek.com/guides/function_calling and /guides/thinking_mode (read
2026-11).
"""

from typing import Any, Final, NamedTuple

from jarvis_proxy.canonical.chat_request import ChatMessage
from jarvis_proxy.canonical.history import (
    ModelTurn,
    PriorToolCall,
    UnmatchedToolResult,
    UserTurn,
    read_history,
)
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.sealed_state import unseal
from jarvis_proxy.upstreams.chat.content import ContentWriter, collapsed, media_of, texts_of
from jarvis_proxy.upstreams.chat.tools import ChatTools
from jarvis_proxy.upstreams.json_values import fields_of, items_of

JsonObject = dict[str, Any]

_SYSTEM: Final = ("system", "developer")
_NO_RESULT: Final = '{"error":"no result was provided for this tool call"}'
_NOTHING: Final = "."
_LOOKED_AT: Final = 100


class WrittenMessage(NamedTuple):
    """A message to send, and the index of its canonical message."""

    message: JsonObject
    origin: int


class MessageWriter:
    """Writes the messages of one request. *owner* is the owner of reasoning to send back."""

    __slots__ = ("_content", "_native_custom", "_notes", "_out", "_owner", "_past", "_tools")

    def __init__(
        self,
        content: ContentWriter,
        tools: ChatTools,
        notes: IgnoredParams,
        *,
        owner: str | None,
        native_custom: bool,
    ) -> None:
        self._content = content
        self._tools = tools
        self._notes = notes
        self._owner = owner
        self._native_custom = native_custom
        self._out: list[WrittenMessage] = []
        # What precedes this message cannot be changed any more.
        self._past = 0

    def write(self, messages: list[ChatMessage], instructions: str = "") -> list[WrittenMessage]:
        """Return the messages, with *instructions* appended to the system message.

        Raises:
            ProxyError: 400, an unknown role, a call without a name, or in the user's last turn
                content that the upstream cannot take.
        """
        self._past = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=0)
        turns, system = read_history(messages)
        first = next((i for i, m in enumerate(messages) if m.role not in _SYSTEM), len(messages))
        self._system([message for index, message in system if index < first], instructions)
        later = [UserTurn(index, message) for index, message in system if index >= first]
        for turn in sorted([*turns, *later], key=lambda turn: turn.index):
            match turn:
                case ModelTurn():
                    self._assistant(turn)
                case UnmatchedToolResult():
                    self._user(turn.index, turn.message, is_result=True)
                case _:
                    self._user(turn.index, turn.message)
        if not self._out:  # nothing was said at all, and empty texts are refused
            self._add({"role": "user", "content": _NOTHING}, len(messages) - 1)
        return self._out

    def _system(self, messages: list[ChatMessage], instructions: str) -> None:
        said = [text for index, m in enumerate(messages) for text in self._texts(m, index)]
        if instructions:
            said.append(instructions)
        if said:
            self._add({"role": "system", "content": "\n\n".join(said)}, 0)

    def _user(self, index: int, message: ChatMessage, *, is_result: bool = False) -> None:
        param = f"messages[{index}].content"
        is_past = is_result or index < self._past
        parts = self._content.parts(message.content, param, past=is_past)
        # This result belongs to no known call.
        if is_result:
            label = message.tool_call_id or message.name or "unknown"
            said = "\n".join(texts_of(parts))
            parts = [{"type": "text", "text": f"Tool result ({label}): {said}"}, *media_of(parts)]
        if parts:
            self._add({"role": "user", "content": collapsed(parts)}, index)

    def _assistant(self, turn: ModelTurn) -> None:
        said, calls = self._said(turn), self._calls(turn)
        if not said and not calls:
            return
        written: JsonObject = {"role": "assistant", "content": "\n".join(said) if said else None}
        if reasoning := self._reasoning(turn.message):
            written["reasoning_content"] = reasoning
        if calls:
            written["tool_calls"] = calls
        self._add(written, turn.index)
        media: list[JsonObject] = []
        for call, sent in zip(turn.calls, calls, strict=True):
            media += self._result(call, sent["id"], turn.index)
        if media:
            self._add({"role": "user", "content": media}, turn.index)

    def _said(self, turn: ModelTurn) -> list[str]:
        message = turn.message
        said = self._texts(message, turn.index)
        if message.refusal:
            said.append(message.refusal)
        if not said and message.audio is not None and message.audio.transcript:
            said.append(message.audio.transcript)
        return said

    def _result(self, call: PriorToolCall, call_id: str, index: int) -> list[JsonObject]:
        """Write a call's result; return its media, for a message after all results."""
        text, media = _NO_RESULT, []
        if call.result is not None:
            index, message = call.result
            param = f"messages[{index}].content"
            parts = self._content.parts(message.content, param, past=True)
            text = "\n".join(texts_of(parts))
            if files := media_of(parts):
                label = f"[content of tool result {call_id}]"
                media = [{"type": "text", "text": label}, *files]
                text = text or label
            if message.is_error and "error" not in text[:_LOOKED_AT].lower():
                text = f"Error: {text}"
        self._add({"role": "tool", "tool_call_id": call_id, "content": text}, index)
        return media

    def _calls(self, turn: ModelTurn) -> list[JsonObject]:
        """Return the calls of a turn; duplicate and empty ids become unique."""
        found: list[JsonObject] = []
        taken: set[str] = set()
        for number, call in enumerate(turn.calls):
            call_id = call.id
            if not call_id or call_id in taken:
                call_id = f"{call_id or 'call'}_{turn.index}_{number}"
            taken.add(call_id)
            name = self._tools.upstream(call.name, call.namespace)
            found.append({"id": call_id, **self._called(call, name)})
        return found

    def _called(self, call: PriorToolCall, name: str) -> JsonObject:
        custom = None if call.source is None else call.source.custom
        if custom is not None and self._native_custom:
            return {"type": "custom", "custom": {"name": name, "input": custom.input or ""}}
        return {"type": "function", "function": {"name": name, "arguments": _arguments(call)}}

    def _texts(self, message: ChatMessage, index: int) -> list[str]:
        param = f"messages[{index}].content"
        parts = self._content.parts(message.content, param, past=True)
        if media_of(parts):
            # Only the user's messages may contain another form.
            self._notes.add(param)
        return texts_of(parts)

    def _reasoning(self, message: ChatMessage) -> str:
        """Return the upstream's own reasoning, which it requires back."""
        if self._owner is None:
            return ""
        found: list[str] = []
        is_others = False
        for block in map(fields_of, items_of(message.thinking_blocks)):
            signature = block.get("signature")
            state = unseal(signature) if isinstance(signature, str) else None
            if state is not None and state.owner == self._owner:
                found.append(state.payload)
            else:
                is_others = True
        bare = message.reasoning_content
        if not found and not is_others and isinstance(bare, str):
            return bare
        return "".join(found)

    def _add(self, message: JsonObject, origin: int) -> None:
        self._out.append(WrittenMessage(message, origin))


def _arguments(call: PriorToolCall) -> str:
    """Return a call's arguments as a JSON object, unchanged if they already are one."""
    function = None if call.source is None else call.source.function
    given = None if function is None else function.arguments
    is_object = isinstance(given, str) and given.lstrip().startswith("{")
    if isinstance(given, str) and is_object and call.args.get("_raw_arguments") != given:
        return given
    return compact(call.args)
