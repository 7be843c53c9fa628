"""Converts chat messages to turns, with every tool result next to its call. Pure.

Clients send results late, twice, never, out of order, or under repeated or changed ids. Google
requires the results of a turn's calls right after it, one per call.
"""

import contextlib
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from jarvis_proxy.canonical.chat_request import ChatMessage, ToolCall
from jarvis_proxy.canonical.json_values import MAX_DEPTH, InvalidJSON, parse, within_depth
from jarvis_proxy.canonical.validation_errors import invalid, missing, unknown_value

ID_MARK: Final = "__thought__"
_NOT_ALNUM: Final = re.compile(r"[^A-Za-z0-9]")


@dataclass(slots=True)
class PriorToolCall:
    """A past call of the model. *result* is the answering message with its index, if any."""

    param: str
    id: str
    name: str
    args: dict[str, object]
    source: ToolCall | None
    namespace: str | None = None
    result: tuple[int, ChatMessage] | None = None


@dataclass(slots=True)
class UserTurn:
    """A message of the user."""

    index: int
    message: ChatMessage


@dataclass(slots=True)
class UnmatchedToolResult:
    """A tool message that answers no known call."""

    index: int
    message: ChatMessage


@dataclass(slots=True)
class ModelTurn:
    """A message of the model, with its tool calls."""

    index: int
    message: ChatMessage
    calls: list[PriorToolCall] = field(default_factory=list)


Turn: TypeAlias = UserTurn | UnmatchedToolResult | ModelTurn


def read_history(messages: list[ChatMessage]) -> tuple[list[Turn], list[tuple[int, ChatMessage]]]:
    """Return the turns of a conversation, and the system messages with their indices.

    Raises:
        ProxyError: 400, an unknown role, or a call without a name.
    """
    turns: list[Turn] = []
    system: list[tuple[int, ChatMessage]] = []
    open_calls = _PendingCalls()
    for index, message in enumerate(messages):
        match message.role:
            case "system" | "developer":
                system.append((index, message))
            case "user":
                turns.append(UserTurn(index, message))
            case "assistant":
                turn = ModelTurn(index, message, _calls(message, f"messages[{index}]"))
                open_calls.add(turn.calls)
                turns.append(turn)
            case "tool" | "function":
                call = open_calls.answered_by(message)
                if call is None:
                    turns.append(UnmatchedToolResult(index, message))
                else:
                    call.result = (index, message)
            case _:
                known = ("system", "assistant", "user", "function", "tool", "developer")
                raise unknown_value(f"messages[{index}].role", message.role, known)
    return _adopted(turns), system


def _adopted(turns: list[Turn]) -> list[Turn]:
    """Return *turns*; each unmatched result goes to the preceding call if only one is open.

    Clients lose and recreate ids. This runs after all other results are matched, so that such a
    result cannot take another's place.
    """
    kept: list[Turn] = []
    open_calls: list[PriorToolCall] = []
    for turn in turns:
        if isinstance(turn, UnmatchedToolResult):
            message = turn.message
            if len(open_calls) == 1 and message.tool_call_id and not message.name:
                open_calls.pop().result = (turn.index, turn.message)
                continue
        elif isinstance(turn, ModelTurn) and turn.calls:
            open_calls = [call for call in turn.calls if call.result is None]
        kept.append(turn)
    return kept


def arguments(value: object, param: str) -> dict[str, object]:
    """Return a call's arguments as the object that Google requires.

    Some clients encode the arguments twice; these are decoded twice. Invalid JSON, left by a broken
    stream, is kept under ``_raw_arguments``, because the conversation must remain usable.

    Raises:
        ProxyError: 400, arguments that are not text and nest deeper than 100 levels.
    """
    if isinstance(value, str):
        try:
            value = _twice(parse(value)) if value.strip() else {}
        except InvalidJSON:
            return {"_raw_arguments": value}
    if value is None:
        return {}
    if not within_depth(value):
        raise invalid(param, f"Invalid '{param}': nested deeper than {MAX_DEPTH} levels.")
    return value if isinstance(value, dict) else {"value": value}


def _twice(value: object) -> object:
    """Return the object that *value* encodes as JSON text; otherwise *value* itself."""
    if isinstance(value, str):
        with contextlib.suppress(InvalidJSON):
            inner = parse(value)
            return inner if isinstance(inner, dict) else value
    return value


def _calls(message: ChatMessage, param: str) -> list[PriorToolCall]:
    calls = [
        _call(call, f"{param}.tool_calls[{index}]")
        for index, call in enumerate(message.tool_calls or ())
    ]
    if not calls and message.function_call is not None:
        past, where = message.function_call, f"{param}.function_call"
        name = _name(past.name, f"{where}.name")
        calls = [
            PriorToolCall(where, "", name, arguments(past.arguments, f"{where}.arguments"), None)
        ]
    return calls


def _call(call: ToolCall, param: str) -> PriorToolCall:
    if call.custom is not None and call.function is None:
        name = _name(call.custom.name, f"{param}.custom.name")
        args: dict[str, object] = {"input": call.custom.input or ""}
        namespace = call.custom.namespace or call.namespace
        return PriorToolCall(param, call.id or "", name, args, call, namespace)
    if call.function is None:
        raise missing(f"{param}.function")
    name = _name(call.function.name, f"{param}.function.name")
    args = arguments(call.function.arguments, f"{param}.function.arguments")
    namespace = call.function.namespace or call.namespace
    return PriorToolCall(param, call.id or "", name, args, call, namespace)


def _name(name: str | None, param: str) -> str:
    if not name:
        raise missing(param)
    return name


class _PendingCalls:
    """The calls that wait for a result, found by id, by a cleaned id, or by name.

    If several match, the latest turn takes precedence, and within a turn the earliest call. So
    clients may number their calls from 1 in each turn.
    """

    __slots__ = ("_stacks",)

    def __init__(self) -> None:
        self._stacks: dict[tuple[str, str], list[deque[PriorToolCall]]] = {}

    def add(self, calls: list[PriorToolCall]) -> None:
        mine: dict[tuple[str, str], deque[PriorToolCall]] = {}
        for call in calls:
            for key in _keys(call.id, call.name):
                mine.setdefault(key, deque()).append(call)
        for key, waiting in mine.items():
            self._stacks.setdefault(key, []).append(waiting)

    def answered_by(self, message: ChatMessage) -> PriorToolCall | None:
        call_id, name = message.tool_call_id or "", message.name or ""
        if message.role == "function":
            return self._next(("name", name))
        keys = _keys(call_id, name)[:-1] if call_id or name else [("any", "")]
        return next((call for key in keys if (call := self._next(key)) is not None), None)

    def _next(self, key: tuple[str, str]) -> PriorToolCall | None:
        stack = self._stacks.get(key, [])
        while stack:
            while stack[-1] and stack[-1][0].result is not None:
                stack[-1].popleft()
            if stack[-1]:
                return stack[-1][0]
            stack.pop()
        return None


def _keys(call_id: str, name: str) -> list[tuple[str, str]]:
    keys = [("id", call_id)]
    if plain := alnum_id(strip_signature_suffix(call_id)):
        keys.append(("plain", plain))
    if name:
        keys.append(("name", name))
    keys.append(("any", ""))
    return keys


def strip_signature_suffix(call_id: str) -> str:
    """Return a tool call id without the signature that one gateway appends."""
    return call_id.partition(ID_MARK)[0]


def alnum_id(call_id: str) -> str:
    """Return the letters and digits of an id, as some clients send it back."""
    return _NOT_ALNUM.sub("", call_id)
