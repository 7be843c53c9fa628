"""Maps params of the canonical request to those of the Messages request. Pure.

Anthropic writes ``messages.2.content.0`` for chat's ``messages[2].content[0]``.
"""

import re
from typing import Final

from jarvis_proxy.canonical.request import MessageOrigin

_INDEX: Final = re.compile(r"\[(\d+)\]")
_ITEM: Final = re.compile(r"(messages|tools)\[(\d+)\](.*)\Z", re.DOTALL)
_INNER: Final = re.compile(r"\.(content|tool_calls)\[(\d+)\](.*)\Z", re.DOTALL)
# A longer name must precede the name that it begins with.
_IN_CALL: Final = (("function.arguments", "input"), ("function", ""))
_IN_MESSAGE: Final = (("tool_call_id", "tool_use_id"),)
_IN_PART: Final = (
    ("image_url.url", "source.url"),
    ("image_url", "source"),
    ("file.file_data", "source.data"),
    ("file.file_url", "source.url"),
    ("file", "source"),
)
_IN_TOOL: Final = (("function.parameters", "input_schema"), ("function", ""))
_TOP: Final = (
    ("response_format.json_schema", "output_config.format"),
    ("response_format", "output_config.format"),
    ("max_completion_tokens", "max_tokens"),
    ("reasoning_effort", "output_config.effort"),
    ("include_thoughts", "thinking.display"),
    ("stop", "stop_sequences"),
    ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    ("tool_choice.function", "tool_choice"),
)


class MessagesParams:
    """The ``ParamMap`` of one request. *tools* are the paths of the chat request's tools."""

    __slots__ = ("_messages", "_tools")

    def __init__(self, messages: list[MessageOrigin], tools: list[str]) -> None:
        self._messages = messages
        self._tools = tools

    def param(self, chat_param: str, /) -> str:
        """Return the client's own path for *chat_param*."""
        found = _ITEM.match(chat_param)
        if found is None:
            return _renamed(_dotted(chat_param), _TOP)
        number, rest = int(found[2]), found[3]
        if found[1] == "tools":
            return _joined(_at(self._tools, number, "tools"), _renamed(_below(rest), _IN_TOOL))
        if number >= len(self._messages):
            return _joined(f"messages.{number}", _below(rest))
        origin = self._messages[number]
        inner = _INNER.match(rest)
        if inner is None:
            return _joined(origin.path, _renamed(_below(rest), _IN_MESSAGE))
        if inner[1] == "content":
            path = _at(origin.parts, int(inner[2]), origin.path)
            return _joined(path, _renamed(_below(inner[3]), _IN_PART))
        path = _at(origin.calls, int(inner[2]), origin.path)
        return _joined(path, _renamed(_below(inner[3]), _IN_CALL))


def _dotted(path: str) -> str:
    return _INDEX.sub(r".\1", path)


def _below(rest: str) -> str:
    return _dotted(rest).removeprefix(".")


def _at(paths: list[str], number: int, otherwise: str) -> str:
    return paths[number] if number < len(paths) else otherwise


def _joined(path: str, below: str) -> str:
    return f"{path}.{below}" if below else path


def _renamed(name: str, names: tuple[tuple[str, str], ...]) -> str:
    for theirs, ours in names:
        if name == theirs or name.startswith(f"{theirs}."):
            return _joined(ours, name[len(theirs) + 1 :]).removeprefix(".")
    return name
