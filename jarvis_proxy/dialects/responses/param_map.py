"""Maps params of the chat request to those of the Responses request. Pure."""

import re
from typing import Final

from jarvis_proxy.canonical.request import MessageOrigin

_MESSAGE: Final = re.compile(r"messages\[(\d+)\](.*)\Z", re.DOTALL)
_PART: Final = re.compile(r"\.content\[(\d+)\](.*)\Z", re.DOTALL)
_CALL: Final = re.compile(r"\.tool_calls\[(\d+)\](?:\.function|\.custom)?(.*)\Z", re.DOTALL)
_TOOL: Final = re.compile(r"tools\[(\d+)\](?:\.(?:function|custom)(?=[.\[]|\Z))?(.*)\Z", re.DOTALL)
# A longer name must precede the name that it begins with.
_NAMES: Final = (
    ("response_format.json_schema.schema", "text.format.schema"),
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
    ("max_completion_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("include_thoughts", "reasoning.summary"),
    ("verbosity", "text.verbosity"),
    ("logprobs", "include"),
    ("messages", "input"),
)


class ResponsesParams:
    """Maps params of the chat request to those of the Responses request; a ``ParamMap``.

    *tools* are the params of the chat request's tools if they differ.
    """

    __slots__ = ("_messages", "_tools")

    def __init__(self, messages: list[MessageOrigin], tools: list[str] | None = None) -> None:
        self._messages = messages
        self._tools = tools or []

    def param(self, chat_param: str) -> str:
        """Return the client's name for *chat_param*."""
        if found := _MESSAGE.match(chat_param):
            return self._in_message(int(found[1]), found[2])
        if found := _TOOL.match(chat_param):
            number = int(found[1])
            tool = self._tools[number] if number < len(self._tools) else f"tools[{number}]"
            return tool + found[2]
        for theirs, ours in _NAMES:
            if chat_param == theirs or chat_param.startswith(f"{theirs}."):
                return ours + chat_param[len(theirs) :]
        return chat_param

    def _in_message(self, number: int, rest: str) -> str:
        if number >= len(self._messages):
            return f"input{rest}"
        origin = self._messages[number]
        for pattern, params in ((_PART, origin.parts), (_CALL, origin.calls)):
            if (found := pattern.match(rest)) and int(found[1]) < len(params):
                return params[int(found[1])] + found[2]
        return origin.path + rest
