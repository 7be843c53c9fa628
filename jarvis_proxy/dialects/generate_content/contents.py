"""Converts Google's contents to messages of the canonical request. Pure.

Each turn of the model becomes one message. A message for the result of each call follows directly,
in the order of the calls: the chat API allows nothing in between.

Source: https://ai.google.dev/api/caching#Content (read 2026-11).
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.canonical.history import arguments
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.request import MessageOrigin
from jarvis_proxy.canonical.sealed_state import (
    ANTHROPIC,
    GEMINI,
    SealedState,
    anthropic_blocks,
    from_google_signature,
    seal,
)
from jarvis_proxy.canonical.validation_errors import invalid, required
from jarvis_proxy.dialects.generate_content.parts import (
    PartAt,
    result_parts,
    said_parts,
    text_part,
)
from jarvis_proxy.dialects.generate_content.types import (
    Content,
    FunctionCall,
    FunctionResponse,
    JsonObject,
    Part,
)

NO_RESULT: Final = "no result was provided for this tool call"

_ROLES: Final = ("user", "model", "function")
_ID_LENGTH: Final = 24


def read_contents(
    system: Content | list[Part | str] | str | None,
    contents: list[Content | str] | Content | str,
    ignored: IgnoredParams,
) -> tuple[list[JsonObject], list[MessageOrigin]]:
    """Return the chat messages of a conversation, and the origin of each one.

    Results of Google's own tools are left out and noted in *ignored*.

    Raises:
        ProxyError: 400 with the path, ``contents[2].parts[0]``.
    """
    reader = _Reader(ignored)
    if system is not None:
        reader.say("system", _system_parts(system), "systemInstruction")
    for index, content in enumerate(contents if isinstance(contents, list) else [contents]):
        said = Content([content]) if isinstance(content, str) else content
        reader.read(said, f"contents[{index}]")
    return reader.close()


def parts_of(content: Content) -> list[Part]:
    """Return the parts of a content in any of its forms."""
    parts = content.parts or []
    return [
        Part(text=part) if isinstance(part, str) else part
        for part in (parts if isinstance(parts, list) else [parts])
    ]


def _system_parts(system: Content | list[Part | str] | str) -> list[PartAt]:
    where = "systemInstruction.parts"
    if isinstance(system, str):
        return text_part(system, "systemInstruction")
    parts = parts_of(Content(system) if isinstance(system, list) else system)
    found: list[PartAt] = []
    for index, part in enumerate(parts):
        if part.text is None:
            raise invalid(f"{where}[{index}]", f"'{where}[{index}]' must be a text.")
        found += text_part(part.text, f"{where}[{index}]")
    return found


@dataclass(slots=True)
class _Call:
    """A call in the model's turn. Its id is the client's, or a hash of the call."""

    chat: JsonObject
    name: str
    path: str
    has_own_id: bool
    result: tuple[JsonObject, MessageOrigin] | None = None


class _ModelTurn:
    """The texts and calls of the model until another role follows."""

    __slots__ = ("calls", "parts", "path", "signature", "thinking")

    def __init__(self, path: str) -> None:
        self.path = path
        self.parts: list[PartAt] = []
        self.calls: list[_Call] = []
        self.thinking: list[JsonObject] = []
        self.signature: str | None = None
        """Gemini's signature for the message."""

    def take(self, part: Part, path: str) -> bool:
        """Add a part; return False if a chat message has no field for it."""
        state = from_google_signature(part.thought_signature or "")
        if state is not None:
            self._take_state(state)
        if part.thought:
            return True
        if part.function_call is not None:
            self._take_call(part.function_call, f"{path}.functionCall")
            return True
        if part.inline_data is not None or part.file_data is not None:
            # Only Google's upstreams accept the model's own pictures.
            return False
        self.parts += said_parts(part, path)
        return part.tool_call is None and part.tool_response is None

    def _take_state(self, state: SealedState) -> None:
        if state.owner == GEMINI:
            self.signature = state.payload
        elif state.owner == ANTHROPIC:
            self.thinking += anthropic_blocks(state)
        else:
            sealed = {"type": "thinking", "thinking": "", "signature": seal(state)}
            self.thinking.append(sealed)

    def _take_call(self, call: FunctionCall, path: str) -> None:
        name = required(call.name or None, f"{path}.name")
        text = compact(arguments(call.args, f"{path}.args"))
        call_id = call.id or _made_id(f"{path}\n{name}\n{text}")
        function = {"name": name, "arguments": text}
        chat: JsonObject = {"id": call_id, "type": "function", "function": function}
        self.calls.append(_Call(chat, name, path, has_own_id=bool(call.id)))

    def answered_by(self, result: FunctionResponse) -> _Call | None:
        """Return the call that waits for *result*: by id if both have one, else by name."""
        waiting = [call for call in self.calls if call.result is None]
        by_id = (call for call in waiting if call.has_own_id and call.chat["id"] == result.id)
        by_name = (
            call
            for call in waiting
            if call.name == result.name and not (call.has_own_id and result.id)
        )
        return next(by_id, None) or next(by_name, None)

    def close(self) -> tuple[JsonObject, MessageOrigin] | None:
        """Return the message, None if it is empty."""
        if not self.parts and not self.calls:
            return None
        content = _plain(self.parts) if self.parts else None
        message: JsonObject = {"role": "assistant", "content": content}
        if self.thinking:
            message["thinking_blocks"] = self.thinking
        if self.signature is not None:
            message["extra_content"] = {"google": {"thought_signature": self.signature}}
        if self.calls:
            message["tool_calls"] = [call.chat for call in self.calls]
        calls = [call.path for call in self.calls]
        return message, MessageOrigin(self.path, [path for _, path in self.parts], calls)


class _Reader:
    __slots__ = ("_ignored", "_messages", "_others", "_places", "_turn")

    def __init__(self, ignored: IgnoredParams) -> None:
        self._ignored = ignored
        self._messages: list[JsonObject] = []
        self._places: list[MessageOrigin] = []
        self._turn: _ModelTurn | None = None
        self._others: list[tuple[str, list[PartAt]]] = []
        """Messages of other roles since the model's turn."""

    def read(self, content: Content, path: str) -> None:
        """Add *content* at *path*."""
        role = (content.role or "user").lower()
        if role not in _ROLES:
            raise invalid(f"{path}.role", f"Use a valid role in '{path}.role': user, model.")
        for index, part in enumerate(parts_of(content)):
            where = f"{path}.parts[{index}]"
            if role == "model":
                self._model(part, where)
            elif part.function_response is not None:
                self._result(part.function_response, f"{where}.functionResponse")
            else:
                self.say("user", said_parts(part, where), path)

    def say(self, role: str, parts: list[PartAt], path: str) -> None:
        """Add parts of another role than the model."""
        if not parts:
            return
        if self._others:
            self._others[-1][1].extend(parts)
        elif role == "system":
            self._add({"role": role, "content": _plain(parts)}, _place(path, parts))
        else:
            self._others.append((path, parts))

    def close(self) -> tuple[list[JsonObject], list[MessageOrigin]]:
        """Return all messages and their origins."""
        self._flush()
        return self._messages, self._places

    def _model(self, part: Part, path: str) -> None:
        turn = self._turn
        if turn is None or self._others or any(call.result for call in turn.calls):
            self._flush()
            turn = self._turn = _ModelTurn(path.rpartition(".parts")[0])
        if not turn.take(part, path):
            self._ignored.add_or_reject(path)

    def _result(self, result: FunctionResponse, path: str) -> None:
        """Keep the result of a call of the last turn; any other result becomes text."""
        call = None if self._turn is None else self._turn.answered_by(result)
        parts, is_error = result_parts(result, path)
        if call is None:
            about = text_part(f"Tool result ({result.name or result.id or 'unknown'}):", path)
            self.say("user", about + parts, path)
            return
        message: JsonObject = {"role": "tool", "tool_call_id": call.chat["id"]}
        message["content"] = _plain(parts)
        if is_error:
            message["is_error"] = True
        call.result = message, _place(path, parts)

    def _flush(self) -> None:
        """Write the model's turn, the results of its calls, then the other messages."""
        turn, self._turn = self._turn, None
        if turn is not None and (closed := turn.close()) is not None:
            self._add(*closed)
            if self._others or any(call.result for call in turn.calls):
                for call in turn.calls:
                    self._add(*call.result or _no_result(call))
        for path, parts in self._others:
            self._add({"role": "user", "content": _plain(parts)}, _place(path, parts))
        self._others = []

    def _add(self, message: JsonObject, place: MessageOrigin) -> None:
        self._messages.append(message)
        self._places.append(place)


def _plain(parts: list[PartAt]) -> str | list[JsonObject]:
    """Return *parts* as a message's content: a single text becomes a string."""
    if len(parts) == 1 and parts[0][0]["type"] == "text":
        return str(parts[0][0]["text"])
    return [part for part, _ in parts]


def _place(path: str, parts: list[PartAt]) -> MessageOrigin:
    return MessageOrigin(path, [where for _, where in parts])


def _made_id(said: str) -> str:
    """Return an id for a call without one; it is the same whenever the call is repeated."""
    return f"call_{hashlib.sha256(said.encode()).hexdigest()[:_ID_LENGTH]}"


def _no_result(call: _Call) -> tuple[JsonObject, MessageOrigin]:
    content = compact({"error": NO_RESULT})
    message = {"role": "tool", "tool_call_id": call.chat["id"], "content": content}
    return {**message, "is_error": True}, MessageOrigin(call.path)
