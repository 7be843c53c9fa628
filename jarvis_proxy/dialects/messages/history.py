"""Converts the messages of a Messages request to messages of the canonical request. Pure.

Each turn of the model becomes one message. A message for the result of each call follows directly,
in the order of the calls: the chat API allows nothing in between.
"""

from typing import Final

import msgspec

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import MessageOrigin
from jarvis_proxy.canonical.sealed_state import (
    ANTHROPIC,
    GEMINI,
    anthropic_blocks,
    has_owner,
    unseal,
)
from jarvis_proxy.dialects.messages.blocks import (
    USER_BLOCKS,
    JsonObject,
    Part,
    block_parts,
    plain,
    result_content,
)
from jarvis_proxy.dialects.messages.types import Block, Content, Message, is_given
from jarvis_proxy.dialects.messages.validation import refused, required, unknown_type
from jarvis_proxy.wire.messages_types import BILLING_HEADER

NO_RESULT: Final = "no result was provided for this tool call"

_MODEL_BLOCKS: Final = ("text", "thinking", "redacted_thinking", "tool_use")
_SERVERS: Final = ("container_upload", "compaction", "fallback", "tool_addition", "tool_removal")
_INPUT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)


def read_history(
    system: Content | None, messages: list[Message], ignored: IgnoredParams
) -> tuple[list[JsonObject], list[MessageOrigin]]:
    """Return the chat messages of a conversation, and the origin of each one.

    Results of Anthropic's own servers are left out and noted in *ignored*.

    Raises:
        ProxyError: 400 with the path, ``messages.2.content.0``.
    """
    reader = _Reader(ignored)
    if system:
        reader.say("system", _system_parts(system), "system")
    for index, message in enumerate(messages):
        reader.read(message, f"messages.{index}")
    return reader.close()


def tool_arguments(raw: msgspec.Raw) -> str:
    """Return a call's ``input`` as a JSON object; some clients send that JSON as a string."""
    if not is_given(raw):
        return "{}"
    text = bytes(raw).decode()
    if text.startswith('"'):
        text = _TEXT.decode(raw)
    try:
        _INPUT.decode(text)
    except (ValueError, RecursionError):
        return msgspec.json.encode({"value": _value(text, raw)}).decode()
    return text


def _value(text: str, raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return raw


def _system_parts(content: Content) -> list[Part]:
    """Return the system's texts without the line that is meant for Anthropic only."""
    if isinstance(content, str):
        if content.startswith(BILLING_HEADER):
            content = content.partition("\n")[2]
        return [({"type": "text", "text": content}, "system")] if content else []
    return [
        part
        for index, block in enumerate(content)
        if not (block.text or "").startswith(BILLING_HEADER)
        for part in _system_block(block, f"system.{index}")
    ]


def _system_block(block: Block, path: str) -> list[Part]:
    if block.type != "text":
        raise unknown_type(path, block.type, ("text",))
    return block_parts(block, path)


class _ModelTurn:
    """The texts and calls of the model until another role follows."""

    __slots__ = ("call_ids", "calls", "parts", "place", "seal", "thinking")

    def __init__(self, path: str) -> None:
        self.place = MessageOrigin(path)
        self.parts: list[Part] = []
        self.calls: list[JsonObject] = []
        self.call_ids: set[str] = set()
        self.thinking: list[JsonObject] = []
        self.seal: str | None = None
        """Gemini's signature for the next call."""

    def close(self) -> JsonObject | None:
        """Return the message, None if it is empty."""
        if not self.parts and not self.calls:
            return None
        content = plain(self.parts) if self.parts else None
        message: JsonObject = {"role": "assistant", "content": content}
        self.place.parts = [path for _, path in self.parts]
        if self.thinking:
            message["thinking_blocks"] = self.thinking
        if self.calls:
            message["tool_calls"] = self.calls
        if self.seal is not None:
            message["extra_content"] = _signed(self.seal)
        return message


class _Reader:
    __slots__ = ("_ignored", "_messages", "_others", "_places", "_results", "_turn")

    def __init__(self, ignored: IgnoredParams) -> None:
        self._ignored = ignored
        self._messages: list[JsonObject] = []
        self._places: list[MessageOrigin] = []
        self._turn: _ModelTurn | None = None
        self._results: dict[str, tuple[JsonObject, MessageOrigin]] = {}
        self._others: list[tuple[str, str, list[Part]]] = []
        """Messages of other roles since the model's turn."""

    def read(self, message: Message, path: str) -> None:
        """Add *message* at *path*."""
        content, inside = message.content, f"{path}.content"
        if isinstance(content, str):
            blocks = [(Block("text", text=content), inside)]
        else:
            blocks = [(block, f"{inside}.{index}") for index, block in enumerate(content)]
        match message.role:
            case "assistant":
                self._model(blocks, path)
            case "user" | "system":
                parts = [part for block, where in blocks for part in self._said(block, where)]
                self.say(message.role, parts, path)
            case _:
                words = "Input should be 'user', 'assistant' or 'system'"
                raise refused(f"{path}.role", words)

    def say(self, role: str, parts: list[Part], path: str) -> None:
        """Add parts of another role than the model."""
        if not parts:
            return
        if self._others and self._others[-1][0] == role == "user":
            self._others[-1][2].extend(parts)
        else:
            self._others.append((role, path, parts))

    def close(self) -> tuple[list[JsonObject], list[MessageOrigin]]:
        """Return all messages and their origins."""
        self._flush()
        return self._messages, self._places

    def _said(self, block: Block, path: str) -> list[Part]:
        if block.type == "tool_result":
            return self._result(block, path)
        if self._is_servers(block, path):
            return []
        if block.type not in USER_BLOCKS:
            raise unknown_type(path, block.type, (*USER_BLOCKS, "tool_result"))
        return block_parts(block, path)

    def _result(self, block: Block, path: str) -> list[Part]:
        """Keep the result of a call of the last turn; any other result becomes text."""
        call_id = required(block.tool_use_id, f"{path}.tool_use_id")
        content = result_content(block.content, f"{path}.content")
        if self._turn is None or call_id not in self._turn.call_ids:
            return _orphan(call_id, content, path)
        message: JsonObject = {"role": "tool", "tool_call_id": call_id, "content": content}
        place = MessageOrigin(path)
        if not isinstance(content, str):
            message["content"] = [part for part, _ in content]
            place.parts = [where for _, where in content]
        if block.is_error:
            message["is_error"] = True
        if is_given(block.cache_control):
            message["cache_control"] = block.cache_control
        self._results[call_id] = message, place
        return []

    def _is_servers(self, block: Block, path: str) -> bool:
        """Return whether *block* comes from Anthropic's servers; note it as ignored if so."""
        kind = block.type
        is_theirs = kind in _SERVERS or kind == "server_tool_use" or kind.startswith("mcp_")
        if is_theirs or kind.endswith("_tool_result"):
            self._ignored.add_or_reject(path)
            return True
        return False

    def _model(self, blocks: list[tuple[Block, str]], path: str) -> None:
        turn = self._turn
        if turn is None or self._others or self._results:
            self._flush()
            turn = self._turn = _ModelTurn(path)
        for block, where in blocks:
            match block.type:
                case "text":
                    turn.parts += block_parts(block, where)
                case "thinking" | "redacted_thinking":
                    _take_thinking(turn, block, where)
                case "tool_use":
                    _take_call(turn, block, where)
                case _:
                    if not self._is_servers(block, where):
                        raise unknown_type(where, block.type, _MODEL_BLOCKS)

    def _flush(self) -> None:
        """Write the model's turn, the results of its calls, then the other messages."""
        turn, self._turn = self._turn, None
        if turn is not None and (message := turn.close()) is not None:
            self._add(message, turn.place)
            if self._others or self._results:
                for call in turn.calls:
                    self._add(*self._results.get(call["id"]) or _no_result(call["id"], turn.place))
        for role, path, parts in self._others:
            place = MessageOrigin(path, [where for _, where in parts])
            self._add({"role": role, "content": plain(parts)}, place)
        self._results, self._others = {}, []

    def _add(self, message: JsonObject, place: MessageOrigin) -> None:
        self._messages.append(message)
        self._places.append(place)


def _orphan(call_id: str, content: str | list[Part], path: str) -> list[Part]:
    """Return a result without a call as text of the user."""
    about: JsonObject = {"type": "text", "text": f"Tool result ({call_id}):"}
    said = [({"type": "text", "text": content}, path)] if isinstance(content, str) else content
    return [(about, path), *said] if content else [(about, path)]


def _no_result(call_id: str, place: MessageOrigin) -> tuple[JsonObject, MessageOrigin]:
    content = msgspec.json.encode({"error": NO_RESULT}).decode()
    message = {"role": "tool", "tool_call_id": call_id, "content": content, "is_error": True}
    return message, MessageOrigin(place.path)


def _take_call(turn: _ModelTurn, block: Block, path: str) -> None:
    function = {
        "name": required(block.name, f"{path}.name"),
        "arguments": tool_arguments(block.input),
    }
    call_id = required(block.id, f"{path}.id")
    call: JsonObject = {"id": call_id, "type": "function", "function": function}
    if turn.seal is not None:
        call["extra_content"] = _signed(turn.seal)
        turn.seal = None
    if is_given(block.cache_control):
        call["cache_control"] = block.cache_control
    turn.calls.append(call)
    turn.call_ids.add(call_id)
    turn.place.calls.append(path)


def _take_thinking(turn: _ModelTurn, block: Block, path: str) -> None:
    """Sort opaque state by its owner; unusable state is dropped, and never becomes text."""
    if block.type == "redacted_thinking":
        data = required(block.data, f"{path}.data")
        turn.thinking.append({"type": "redacted_thinking", "data": data})
        return
    signature = block.signature or ""
    kept = {"type": "thinking", "thinking": block.thinking or "", "signature": signature}
    if not has_owner(signature):
        turn.thinking += [kept] if signature else []
        return
    state = unseal(signature)
    if state is None:
        return
    if state.owner == GEMINI:
        turn.seal = state.payload
    elif state.owner == ANTHROPIC:
        turn.thinking += anthropic_blocks(state)
    else:
        turn.thinking.append(kept)


def _signed(signature: str) -> JsonObject:
    return {"google": {"thought_signature": signature}}
