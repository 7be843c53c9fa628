"""Upstreams that have a coding agent run two commands, one after the other or both at once.

They are as strict as the real services, and call the shell that the agent declares.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.support import anthropic_service, strict_chat, strict_gemini
from tests.support.anthropic_service import StrictAnthropic
from tests.support.strict_chat import Calls, StrictChat
from tests.support.strict_gemini import StrictGemini

Json = dict[str, Any]

WORDS: Final = ("one", "two")
_SHELLS: Final[Mapping[str, Json]] = {
    "exec_command": {"cmd": ""},
    "shell_command": {"command": ""},
    "Bash": {"command": "", "description": "say it"},
    "bash": {"command": "", "description": "say it"},
    "run_commands": {"commands": [""]},
    "run_shell_command": {"command": "", "description": "say it", "is_background": False},
}
"""The shells of the agents, with their arguments."""


class Plan:
    """Which commands are to be run; *token* makes their output one of this run."""

    def __init__(self, token: str, *, parallel: bool) -> None:
        self._token = token
        self._parallel = parallel

    def expected(self) -> list[str]:
        """Return what the commands print."""
        return [f"got-{word}-{self._token}" for word in WORDS]

    def calls(self, tools: Sequence[str], results: int) -> list[tuple[str, Json]]:
        """Return the calls of a shell among *tools*, after so many *results*."""
        shell = next((name for name in tools if name in _SHELLS), None)
        if shell is None or results >= len(WORDS):
            return []
        words = WORDS if self._parallel else WORDS[results : results + 1]
        return [(shell, self._arguments(shell, word)) for word in words]

    def _arguments(self, shell: str, word: str) -> Json:
        # The output is not in the request. Qwen Code loses that of a command that ends at once.
        command = f"printf 'got-%s-{self._token}\\n' {word}; sleep 0.5"
        given = _SHELLS[shell]
        return {
            name: command if value == "" else [command] if value == [""] else value
            for name, value in given.items()
        }


class GeminiForAgents(StrictGemini):
    """Google's API."""

    answer = strict_gemini.ANSWER

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan
        self.bodies: list[Json] = []

    def _calls(self, body: Json) -> list[tuple[str, Json]]:
        self.bodies.append(body)
        declared = [
            function["name"]
            for tool in body.get("tools", [])
            for function in tool.get("functionDeclarations", [])
        ]
        results = sum(
            "functionResponse" in part for content in body["contents"] for part in content["parts"]
        )
        return self._plan.calls(declared, results)


class ChatForAgents(StrictChat):
    """OpenAI's chat completions, of a service that has nothing else."""

    answer = strict_chat.ANSWER

    def __init__(self, plan: Plan, *, relayed: bool) -> None:
        super().__init__()
        self._plan = plan
        self._relayed = relayed
        self._numbers = itertools.count(1)

    def _calls(self, body: Json) -> list[tuple[str, Json]]:
        declared = [tool["function"]["name"] for tool in body.get("tools", [])]
        results = sum(message["role"] == "tool" for message in body["messages"])
        return self._plan.calls(declared, results)

    def _check(self, body: Json) -> None:
        if not self._relayed:  # else it comes as the client wrote it
            super()._check(body)

    def events(self, calls: Calls, *, usage: bool = True) -> list[bytes]:
        """Return the events of a stream, with ids of their own: agents tell calls by these."""
        mine = b'"call_%d_' % next(self._numbers)
        return [event.replace(b'"call_', mine) for event in super().events(calls, usage=usage)]


class AnthropicForAgents(StrictAnthropic):
    """Anthropic's Messages."""

    answer = anthropic_service.ANSWER

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self._plan = plan

    def _calls(self, body: Json) -> list[tuple[str, Json]]:
        declared = [tool["name"] for tool in body.get("tools", [])]
        return self._plan.calls(declared, json.dumps(body["messages"]).count('"tool_result"'))

    def _check(self, body: Json) -> None:
        if "metadata" not in body:  # Claude Code's own request is relayed as it came
            super()._check(body)
