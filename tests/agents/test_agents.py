"""Coding agents on Gemini: whole tool loops from their requests, against a Gemini that is strict.

The requests in golden/ are written by hand, one for each feature. Those that the programs
themselves sent are replayed where the recordings are at hand.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.recordings import MISSING, WIRE
from tests.support.strict_gemini import StrictGemini, _with_usage

pytestmark = pytest.mark.slow

Json = dict[str, Any]
GOLDEN = Path(__file__).resolve().parent / "golden"
AGENTS = ("codex_*.json", "copilot_cli_*.json")
_ANTHROPICS = "/v1/messages"  # the same program through another API
_SHELLS = ("exec_command", "bash", "shell")


def golden() -> list[Any]:
    return [
        pytest.param(json.loads(p.read_text()), id=p.stem) for p in sorted(GOLDEN.glob("*.json"))
    ]


def recorded() -> list[Any]:
    """Return what the programs sent, but for what is no call of a model."""
    files = [path for pattern in AGENTS for path in sorted((WIRE / "agents").glob(pattern))]
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(reason=MISSING), id="no-recordings")]
    calls = [(path.stem, json.loads(path.read_text())) for path in files]
    return [
        pytest.param(call, id=name)
        for name, call in calls
        if call["method"] == "POST" and call["path"] != _ANTHROPICS
    ]


class AgentGemini(StrictGemini):
    """Calls *tools* one after the other, then says that all is done.

    Signatures that came with the first request are taken for its own.
    """

    def __init__(self, tools: list[str]) -> None:
        super().__init__()
        self.tools = tools
        self.declared: list[str] = []
        self.asked = 0

    def _frames(self, body: Json, model: str) -> list[Json]:
        declared = [
            function["name"]
            for tool in body["tools"]
            for function in tool.get("functionDeclarations", [])
        ]
        self.declared = declared
        if self.asked == len(self.tools):
            return _with_usage([[{"text": "All is "}], [{"text": "done."}]], model)
        name = self.tools[self.asked]
        assert name in declared
        self.asked += 1
        thought = {"text": "**Deciding**\n\nI think about it.", "thought": True}
        argument = "input" if name == "apply_patch" else "query"
        call = self._call(name, {argument: f"number {self.asked}"}, model, first=True)
        return _with_usage([[thought], [call]], model)

    def know(self, body: Json) -> None:
        """Take the signatures that a history brings for those that were issued."""
        signed: str | None = None
        for item in body.get("input", []):
            if item.get("type") == "reasoning":
                signed = (item.get("encrypted_content") or "").partition("gemini:")[2]
            elif item.get("type", "").endswith("_call") and signed:
                arguments = item["arguments"]
                args = json.loads(arguments) if isinstance(arguments, str) else arguments
                self.issued[signed] = json.dumps([item.get("name", "tool_search"), args])
                signed = None
        for message in body.get("messages", []):
            for call in message.get("tool_calls", []):
                signature = call["extra_content"]["google"]["thought_signature"]
                function = call["function"]
                args = json.loads(function["arguments"])
                self.issued[signature] = json.dumps([function["name"], args])


def called(body: Json) -> list[str]:
    """Return what the model is to call, one after the other, by its upstream's names."""
    names = []
    for tool in body["tools"]:
        if tool["type"] == "namespace":
            names.append(f"{tool['name']}__{tool['tools'][0]['name']}")
        else:
            names.append(tool.get("name") or tool.get("function", {}).get("name") or tool["type"])
    shell = next(name for name in names if name in _SHELLS)
    inside = [name for name in names if "__" in name]
    searching = [name for name in names if name == "tool_search"]
    patching = [name for name in names if name == "apply_patch"]
    return [shell, *(inside or [shell]), *searching, *patching]


def read_events(response: RawResponse) -> list[Json]:
    blocks = response.body.removesuffix(b"\n\n").split(b"\n\n")
    lines = [block.rpartition(b"data: ")[2] for block in blocks if b"data: " in block]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def answered(body: Json, response: RawResponse) -> tuple[list[Json], str]:
    """Return what the agent adds to its history for an answer, and the text that is final."""
    assert response.status == 200, response.body
    events = read_events(response)
    if "messages" in body:
        return _answered_chat(events)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]
    assert final["type"] == "response.completed"
    history: list[Json] = []
    text = ""
    known = known_names(body)
    for item in final["response"]["output"]:
        if item["type"] == "message":
            text += item["content"][0]["text"]
            history.append(item)
        elif item["type"] == "reasoning":
            history.append({**item, "content": None})  # as Codex gives it back
        else:
            name = (item.get("namespace"), item.get("name", "tool_search"))
            assert name in known, f"the agent knows no {name}"
            history += [item, _result(item)]
    return history, text


def known_names(body: Json) -> set[tuple[str | None, str]]:
    """Return the namespace and name of each tool, as the agent looks them up."""
    brought = [tool for item in body["input"] for tool in item.get("tools") or []]
    names: set[tuple[str | None, str]] = set()
    for tool in [*body["tools"], *brought]:
        if tool["type"] == "namespace":
            names |= {(tool["name"], member["name"]) for member in tool["tools"]}
        else:
            names.add((None, tool.get("name", tool["type"])))
    return names


def _result(item: Json) -> Json:
    if item["type"] == "tool_search_call":
        assert (item["execution"], isinstance(item["arguments"], dict)) == ("client", True)
        found = {"type": "function", "name": "found_tool", "parameters": {"type": "object"}}
        more = {"type": "tool_search_output", "execution": "client", "tools": [found]}
        return {**more, "call_id": item["call_id"], "status": "completed"}
    output = [{"type": "input_text", "text": "It worked."}]
    return {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": output}


def _answered_chat(events: list[Json]) -> tuple[list[Json], str]:
    text = ""
    calls: list[Json] = []
    for delta in (choice["delta"] for event in events for choice in event["choices"]):
        text += delta.get("content") or ""
        calls += delta.get("tool_calls", [])
    if not calls:
        return [], text
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "It worked."} for c in calls]
    return [{"role": "assistant", "content": None, "tool_calls": calls}, *results], text


async def play(call: Json, model: str) -> tuple[AgentGemini, str, list[Mapping[str, str]]]:
    """Play the agent from *call* on until its model calls nothing more."""
    body = {**call["body"], "model": model}
    gemini = AgentGemini(called(body))
    gemini.know(body)
    upstream = gemini.running()
    headers = {n: v for n, v in call["headers"].items() if n.lower() not in _OWN}
    history = "messages" if "messages" in body else "input"
    text = ""
    heads: list[Mapping[str, str]] = []
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        for _ in range(len(gemini.tools) + 1):
            response = await fetch(proxy.port, call["path"], body, {**headers, **BEARER})
            more, text = answered(body, response)
            heads.append(response.headers)
            body = {**body, history: [*body[history], *more]}
    return gemini, text, heads


_OWN = ("authorization", "content-length", "host", "accept-encoding")


@pytest.mark.parametrize("model", ["gemini-3-flash", "gemini-3.8-flash", "gemini-2.5-pro"])
@pytest.mark.parametrize("call", golden())
async def test_an_agents_loop_passes_a_strict_gemini(call: Json, model: str) -> None:
    gemini, text, _ = await play(call, model)

    assert gemini.refusals == []
    assert (gemini.asked, text) == (len(gemini.tools), "All is done.")
    if not model.startswith("gemini-2"):
        assert gemini.real_signatures >= sum(range(len(gemini.tools) + 1))


@pytest.mark.parametrize("call", recorded())
async def test_what_the_programs_send_passes_a_strict_gemini(call: Json) -> None:
    gemini, text, heads = await play(call, "gemini-3-flash")

    assert gemini.refusals == []
    assert (gemini.asked, text) == (len(gemini.tools), "All is done.")
    assert gemini.real_signatures >= sum(range(len(gemini.tools) + 1))
    assert "input[" not in heads[0].get("x-jarvis-ignored", "")


async def test_what_a_search_found_can_be_called() -> None:
    call = json.loads((GOLDEN / "codex_after_tool_search.json").read_text())
    gemini = AgentGemini(["mcp__wx__get_weather", "read_notes"])
    gemini.know(call["body"])
    upstream = gemini.running()
    body = call["body"]
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        for _ in range(2):
            response = await fetch(proxy.port, call["path"], body, {**call["headers"], **BEARER})
            body = {**body, "input": [*body["input"], *answered(body, response)[0]]}

    assert gemini.refusals == []
    calls = [item for item in body["input"] if item.get("type") == "function_call"]
    assert [(item.get("namespace"), item["name"]) for item in calls] == [
        ("mcp__wx", "get_weather"),
        (None, "read_notes"),
    ]


async def test_what_a_moved_session_loses_is_named() -> None:
    call = json.loads((GOLDEN / "codex_moved_session.json").read_text())
    _, _, heads = await play(call, "gemini-3-flash")

    left_out = {name for name in heads[0]["x-jarvis-ignored"].split(", ") if "input[" in name}
    kinds = [item["type"] for item in call["body"]["input"]]
    lost = ("compaction", "agent_message", "context_compaction", "compaction_trigger")
    assert left_out == {f"input[{kinds.index(kind)}]" for kind in lost}
