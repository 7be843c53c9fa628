"""Converts messages of the canonical request to system blocks and alternating turns. Pure.

Source: https://platform.claude.com/docs/en/api/messages, /agents-and-tools/tool-use and
/build-with-claude/extended-thinking (read 2026-11).
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from jarvis_proxy.canonical.chat_request import ChatMessage, each_part
from jarvis_proxy.canonical.history import (
    ModelTurn,
    PriorToolCall,
    UnmatchedToolResult,
    UserTurn,
    read_history,
    strip_signature_suffix,
)
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.sealed_state import anthropic_blocks, has_owner, unseal
from jarvis_proxy.upstreams.anthropic.request.content import (
    MARK,
    ContentWriter,
    marked,
    text_blocks,
)
from jarvis_proxy.upstreams.anthropic.request.tools import AnthropicTools
from jarvis_proxy.upstreams.json_values import Fields, fields_of, items_of

JsonObject = dict[str, Any]

MISSING: Final = "no result was provided for this tool call"
THINKING: Final = ("thinking", "redacted_thinking")
_OPENING: Final = "."
_GO_ON: Final = "Continue."
_SYSTEM: Final = ("system", "developer")

_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]")
"""Ids must match ^[a-zA-Z0-9_-]+$."""


@dataclass(slots=True)
class WrittenMessages:
    """The converted messages. *called* are the upstream's names of the tools in the history.

    *last_model* is the index of the assistant's last message in the canonical request.
    """

    system: list[JsonObject] = field(default_factory=list)
    turns: list[JsonObject] = field(default_factory=list)
    called: dict[str, None] = field(default_factory=dict)
    last_model: int = 0

    @property
    def ends_with_model(self) -> bool:
        """Whether the assistant's turn is last, so that the answer would continue it."""
        return bool(self.turns[-1]["role"] == "assistant")

    @property
    def may_think(self) -> bool:
        """Whether a budget is accepted: the turn before a last result must begin with thinking."""
        turns = self.turns
        if len(turns) < 2 or turns[-1]["content"][0]["type"] != "tool_result":
            return True
        return turns[-2]["content"][0]["type"] in THINKING

    def end_with_user(self) -> None:
        """Add a user's turn at the end."""
        self.turns.append({"role": "user", "content": text_blocks(_GO_ON)})

    def trim_end(self) -> None:
        """Strip trailing white space from the assistant's last turn, because Anthropic rejects it.

        Such a turn ends with text, because results follow calls.
        """
        last = self.turns[-1]["content"][-1]
        last["text"] = last["text"].rstrip()


def write_messages(
    messages: list[ChatMessage],
    content: ContentWriter,
    tools: AnthropicTools,
    notes: IgnoredParams,
    *,
    with_thinking: bool = True,
) -> WrittenMessages:
    """Return the conversation in Anthropic's form.

    Roles alternate, and the user begins. No block is empty. The results of a turn's calls come
    first in the next user's turn, in the order of the calls. *with_thinking*: the assistant's own
    thinking blocks are sent back.

    Raises:
        ProxyError: 400 with the message or part as param.
    """
    writer = _Writer(content, tools, notes, with_thinking=with_thinking)
    return writer.write(messages)


class _Writer:
    __slots__ = ("_content", "_found", "_ids", "_notes", "_past", "_tools", "_with_thinking")

    def __init__(
        self,
        content: ContentWriter,
        tools: AnthropicTools,
        notes: IgnoredParams,
        *,
        with_thinking: bool,
    ) -> None:
        self._content = content
        self._tools = tools
        self._notes = notes
        self._with_thinking = with_thinking
        self._ids = CallIds()
        self._found = WrittenMessages()
        self._past = 0

    def write(self, messages: list[ChatMessage]) -> WrittenMessages:
        first = next((i for i, m in enumerate(messages) if m.role not in _SYSTEM), len(messages))
        turns, system = read_history(messages)
        self._past = max((i for i, m in enumerate(messages) if m.role == "assistant"), default=0)
        for index, message in system[:first]:
            self._found.system += self._texts(message, index)
        later = [UserTurn(index, message) for index, message in system[first:]]
        for turn in sorted([*turns, *later], key=lambda turn: turn.index):
            match turn:
                case UserTurn():
                    self._user(turn)
                case UnmatchedToolResult():
                    self._add("user", self._orphan(turn))
                case _:
                    self._model(turn)
        found = self._found.turns
        if not found or found[0]["role"] == "assistant":
            found.insert(0, {"role": "user", "content": text_blocks(_OPENING)})
        return self._found

    def _add(self, role: str, blocks: list[JsonObject]) -> None:
        turns = self._found.turns
        if not blocks:
            return
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})

    def _texts(self, message: ChatMessage, index: int) -> list[JsonObject]:
        """Return the texts of a message that may contain only text."""
        blocks: list[JsonObject] = []
        for part, where in each_part(message.content, f"messages[{index}].content"):
            if part.type in ("text", "refusal", None):
                blocks += self._content.part(part, where)
            elif part.type not in THINKING:
                # Only the user's turns may contain anything but text.
                self._notes.add(where)
        return blocks

    def _user(self, turn: UserTurn) -> None:
        message, index = turn.message, turn.index
        if message.role in _SYSTEM:
            said = "\n".join(block["text"] for block in self._texts(message, index))
            self._add("user", text_blocks(f"<system>\n{said}\n</system>" if said else ""))
            return
        blocks = self._blocks(message, index)
        self._add("user", [_as_words(block) for block in blocks])

    def _blocks(self, message: ChatMessage, index: int) -> list[JsonObject]:
        param = f"messages[{index}].content"
        return self._content.blocks(message.content, param, past=index < self._past)

    def _orphan(self, turn: UnmatchedToolResult) -> list[JsonObject]:
        """Return a result without its call as text of the user."""
        self._notes.add_or_reject(f"messages[{turn.index}]")
        label = turn.message.tool_call_id or turn.message.name or "unknown"
        blocks = [_as_words(block) for block in self._blocks(turn.message, turn.index)]
        said = "\n".join(block["text"] for block in blocks if block["type"] == "text")
        rest = [block for block in blocks if block["type"] != "text"]
        return [*text_blocks(f"Tool result ({label}): {said}"), *rest]

    def _model(self, turn: ModelTurn) -> None:
        thinking = _own_thinking(turn.message) if self._with_thinking else []
        said = self._said(turn)
        uses = [self._call(call, turn) for call in turn.calls]
        # A turn must not end with thinking.
        if said or uses:
            self._found.last_model = turn.index
            self._add("assistant", [*thinking, *said, *(use for use, _ in uses)])
        self._add("user", [result for _, result in uses])

    def _said(self, turn: ModelTurn) -> list[JsonObject]:
        message = turn.message
        blocks = self._texts(message, turn.index)
        if message.refusal:
            blocks += text_blocks(message.refusal)
        if not blocks and message.audio is not None and message.audio.transcript:
            blocks += text_blocks(message.audio.transcript)
        return blocks

    def _call(self, call: PriorToolCall, turn: ModelTurn) -> tuple[JsonObject, JsonObject]:
        name = self._tools.upstream(call.name, call.namespace)
        self._found.called[name] = None
        call_id = self._ids.new(call.id)
        use = {"type": "tool_use", "id": call_id, "name": name, "input": call.args}
        mark = call.source.cache_control if call.source is not None else None
        return marked(use, mark), self._result(call, call_id, turn)

    def _result(self, call: PriorToolCall, call_id: str, turn: ModelTurn) -> JsonObject:
        block: JsonObject = {"type": "tool_result", "tool_use_id": call_id}
        if call.result is None:
            self._notes.add_or_reject(call.param)
            return block | {"content": MISSING, "is_error": True}
        index, message = call.result
        param = f"messages[{index}].content"
        inner = self._content.blocks(message.content, param, past=True)
        # What is marked within a result is cached with the whole of it, and the mark stands there.
        marks = [mark for one in inner if (mark := one.pop(MARK, None)) is not None]
        match inner:
            case []:
                pass
            case [{"type": "text", "text": text}]:
                block["content"] = text
            case _:
                block["content"] = inner
        if message.is_error is True:
            block["is_error"] = True
        return marked(block, message.cache_control or (marks[-1] if marks else None))


def _as_words(block: JsonObject) -> JsonObject:
    """Return a block for a user's turn, where tool references are allowed only in results."""
    if block["type"] != "tool_reference":
        return block
    return {"type": "text", "text": f"Tool {block['tool_name']} is available now."}


def _own_thinking(message: ChatMessage) -> list[JsonObject]:
    """Return Anthropic's own thinking blocks, in order and unchanged.

    This leaves out those of other services, and unsigned ones, which Anthropic rejects.
    """
    return [
        kept
        for block in map(fields_of, items_of(message.thinking_blocks))
        for own in _unsealed(block)
        if (kept := _kept(own)) is not None
    ]


def _unsealed(block: Fields) -> list[Fields]:
    signature = block.get("signature")
    if not isinstance(signature, str) or not has_owner(signature):
        return [block]
    state = unseal(signature)
    return [] if state is None else list(anthropic_blocks(state))


def _kept(block: Fields) -> JsonObject | None:
    match block:
        case {"type": "thinking", "thinking": str(), "signature": str(signature)} if signature:
            return {key: block[key] for key in ("type", "thinking", "signature")}
        case {"type": "redacted_thinking", "data": str(data)} if data:
            return {"type": "redacted_thinking", "data": data}
    return None


class CallIds:
    """Gives each call of a history a unique id that Anthropic accepts.

    The ids depend only on the history, so that the same history is always written alike and stays
    cached.
    """

    __slots__ = ("_calls", "_repeats", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._repeats: Counter[str] = Counter()
        self._calls = 0

    def new(self, call_id: str) -> str:
        """Return the id for the next call; *call_id* is the client's."""
        self._calls += 1
        base = _ILLEGAL.sub("_", strip_signature_suffix(call_id)) or f"toolu_{self._calls}"
        wanted = base
        while wanted in self._taken:
            self._repeats[base] += 1
            wanted = f"{base}_{self._repeats[base] + 1}"
        self._taken.add(wanted)
        return wanted
