"""Maps params of the canonical request to those of Google's request, in its spelling. Pure."""

import re
from typing import Final

from jarvis_proxy.canonical.request import MessageOrigin

_MESSAGE: Final = re.compile(r"messages\[(\d+)\](?:\.(content|tool_calls)\[(\d+)\])?")
_TOOL: Final = re.compile(r"tools\[(\d+)\](?:\.function)?(.*)\Z", re.DOTALL)
_CONFIG: Final = "generationConfig."
# A longer name must precede the name that it begins with.
_NAMES: Final = (
    ("response_format.json_schema.schema", f"{_CONFIG}responseSchema"),
    ("response_format", f"{_CONFIG}responseMimeType"),
    ("max_completion_tokens", f"{_CONFIG}maxOutputTokens"),
    ("reasoning_effort", f"{_CONFIG}thinkingConfig.thinkingLevel"),
    ("thinking.budget_tokens", f"{_CONFIG}thinkingConfig.thinkingBudget"),
    ("thinking", f"{_CONFIG}thinkingConfig"),
    ("include_thoughts", f"{_CONFIG}thinkingConfig.includeThoughts"),
    ("temperature", f"{_CONFIG}temperature"),
    ("top_p", f"{_CONFIG}topP"),
    ("top_k", f"{_CONFIG}topK"),
    ("top_logprobs", f"{_CONFIG}logprobs"),
    ("logprobs", f"{_CONFIG}responseLogprobs"),
    ("presence_penalty", f"{_CONFIG}presencePenalty"),
    ("frequency_penalty", f"{_CONFIG}frequencyPenalty"),
    ("stop", f"{_CONFIG}stopSequences"),
    ("seed", f"{_CONFIG}seed"),
    ("n", f"{_CONFIG}candidateCount"),
    ("tool_choice", "toolConfig.functionCallingConfig"),
    ("messages", "contents"),
)


class GenerateContentParams:
    """The ``ParamMap`` of one request. *tools* are the paths of the chat request's tools."""

    __slots__ = ("_messages", "_tools")

    def __init__(self, messages: list[MessageOrigin], tools: list[str]) -> None:
        self._messages = messages
        self._tools = tools

    def param(self, chat_param: str, /) -> str:
        """Return the client's own path for *chat_param*."""
        if (found := _MESSAGE.match(chat_param)) is not None:
            return self._in_message(int(found[1]), found[2], found[3])
        if (found := _TOOL.match(chat_param)) is not None:
            number = int(found[1])
            tool = self._tools[number] if number < len(self._tools) else f"tools[{number}]"
            return tool + found[2]
        for theirs, ours in _NAMES:
            if chat_param == theirs or chat_param.startswith((f"{theirs}.", f"{theirs}[")):
                return ours + chat_param[len(theirs) :]
        return chat_param

    def _in_message(self, number: int, kind: str | None, inner: str | None) -> str:
        """Return the path of a message, or of a part or call in it, but of nothing below."""
        if number >= len(self._messages):
            return "contents"
        origin = self._messages[number]
        paths = origin.calls if kind == "tool_calls" else origin.parts
        if inner is None or int(inner) >= len(paths):
            return origin.path
        return paths[int(inner)]
