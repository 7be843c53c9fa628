"""The checker refuses what Anthropic refuses, and takes what Anthropic has taken."""

import re
from typing import Any

import pytest

from tests.support.recordings import recordings
from tests.support.strict_anthropic import RefusedError, check
from tests.upstreams.anthropic.chat import NEWEST, THOUGHT, V40, V45, V46, Json, text

HELLO: Json = {"role": "user", "content": [text("hi")]}
USE: Json = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT: Json = {"type": "tool_result", "tool_use_id": "a", "content": "ok"}
TOOL: Json = {"name": "f", "input_schema": {"type": "object"}}
MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
THINKS: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
OTHER = {"type": "thinking", "thinking": "", "signature": "Other=="}


def said(*blocks: Json) -> Json:
    """Return an assistant's turn."""
    return {"role": "assistant", "content": list(blocks)}


def by_user(*blocks: Json) -> Json:
    """Return a user's turn."""
    return {"role": "user", "content": list(blocks)}


def body(*turns: Json, model: str = NEWEST, **fields: object) -> Json:
    """Return a request's body."""
    start: Json = {"model": model, "max_tokens": 4000, "messages": list(turns) or [HELLO]}
    return start | fields


GOOD = [
    body(),
    body(HELLO, said(THOUGHT, USE), by_user(RESULT, text("go on")), tools=[TOOL | MARK]),
    body(HELLO, said(text("The answer:")), model=V45),
    body(HELLO, said(THOUGHT, USE), by_user(RESULT), tools=[TOOL], model=V45, **THINKS),
    body(temperature=0.5, model=V46),
]


@pytest.mark.parametrize("good", GOOD)
def test_a_good_request_is_taken(good: Json) -> None:
    check(good, [THOUGHT])


BAD = {
    "unknown field": body(seed=1),
    "limit": body(max_tokens=10**6),
    "no turns": body(messages=[]),
    "assistant first": body(said(text("a")), HELLO),
    "roles": body(HELLO, HELLO),
    "empty turn": body(by_user()),
    "empty text": body(by_user(text(" "))),
    "empty system": body(system=[text("")]),
    "picture": body(by_user({"type": "image", "source": {"type": "base64", "media_type": "a/b"}})),
    "prefill": body(HELLO, said(text("a"))),
    "prefill with thinking": body(HELLO, said(text("a")), model=V45, **THINKS),
    "white space at the end": body(HELLO, said(text("a ")), model=V45),
    "no result": body(HELLO, said(USE), by_user(text("a")), tools=[TOOL]),
    "result in the wrong turn": body(by_user(RESULT), tools=[TOOL]),
    "result of no call": body(HELLO, said(text("a")), by_user(RESULT), tools=[TOOL]),
    "result behind text": body(HELLO, said(USE), by_user(text("a"), RESULT), tools=[TOOL]),
    "equal ids": body(HELLO, said(USE), by_user(RESULT), said(USE), by_user(RESULT), tools=[TOOL]),
    "illegal id": body(HELLO, said(USE | {"id": "a.b"}), by_user(RESULT | {"tool_use_id": "a.b"})),
    "input": body(HELLO, said(USE | {"input": "x"}), by_user(RESULT), tools=[TOOL]),
    "no tools": body(HELLO, said(USE), by_user(RESULT)),
    "names": body(tools=[TOOL, TOOL]),
    "name": body(tools=[TOOL | {"name": "a b"}]),
    "schema": body(tools=[{"name": "f", "input_schema": {}}]),
    "anyOf": body(tools=[{"name": "f", "input_schema": {"type": "object", "anyOf": []}}]),
    "open strict tool": body(tools=[TOOL | {"strict": True}]),
    "choice": body(tool_choice={"type": "auto"}),
    "chosen tool": body(tools=[TOOL], tool_choice={"type": "tool", "name": "g"}),
    "enabled": body(**THINKS),
    "adaptive": body(model=V45, thinking={"type": "adaptive"}),
    "budget": body(model=V45, thinking={"type": "enabled", "budget_tokens": 4000}),
    "small budget": body(model=V45, thinking={"type": "enabled", "budget_tokens": 1000}),
    "forced": body(model=V45, tools=[TOOL], tool_choice={"type": "any"}, **THINKS),
    "no thinking": body(HELLO, said(USE), by_user(RESULT), tools=[TOOL], model=V45, **THINKS),
    "foreign thinking": body(HELLO, said(OTHER, text("a")), HELLO),
    "changed thinking": body(HELLO, said(THOUGHT | {"thinking": "Hm"}, text("a")), HELLO),
    "thinking twice": body(HELLO, said(THOUGHT, THOUGHT, text("a")), HELLO),
    "thinking at the end": body(HELLO, said(text("a"), THOUGHT), HELLO),
    "sampling": body(temperature=0.5),
    "temperature": body(temperature=1.5, model=V46),
    "both samplers": body(temperature=0.5, top_p=0.5, model=V46),
    "sampling with thinking": body(temperature=0.5, model=V45, **THINKS),
    "effort": body(output_config={"effort": "huge"}),
    "format of an older model": body(
        model=V40, output_config={"format": {"type": "json_schema", "schema": {"type": "string"}}}
    ),
    "open format": body(
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}
    ),
    "marks": body(by_user(*[text("a") | MARK] * 4), **MARK),
    "stop": body(stop_sequences=[" "]),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_request_is_refused(bad: Json) -> None:
    with pytest.raises(RefusedError):
        check(bad, [THOUGHT])


# The proxy writes none of these; the checker knows only what the proxy may write.
_UNWRITTEN = re.compile(
    r"Extra inputs|roles must alternate|server_tool_use|container_upload|must be non-empty"
)


def _as_lists(recorded: Json) -> Json:
    """Return a body whose texts stand in lists, as the proxy writes them."""
    turns = [
        turn | {"content": [text(turn["content"])]} if isinstance(turn["content"], str) else turn
        for turn in recorded["messages"]
    ]
    system = recorded.get("system")
    texts = {"system": [text(system)]} if isinstance(system, str) else {}
    return recorded | {"messages": turns} | texts


def _taken() -> list[Any]:
    """Return the recorded requests that were answered, as far as the checker knows their turns."""
    return [param for param in recordings("anthropic") if _was_taken(param.values[0])]


def _was_taken(recording: Any) -> bool:
    if recording is None:
        return True
    recorded = recording["request"].get("body")
    is_request = recording["request"]["path"].split("?")[0].endswith("/messages")
    if recording["response"].get("status") != 200 or not is_request:
        return False
    return isinstance(recorded, dict) and all(t["role"] != "system" for t in recorded["messages"])


@pytest.mark.parametrize("recording", _taken())
def test_what_anthropic_took_is_taken(recording: Json) -> None:
    sent = _as_lists(recording["request"]["body"])
    blocks = [block for turn in sent["messages"] for block in turn["content"]]
    try:
        check(sent, [block for block in blocks if block["type"].endswith("thinking")])
    except RefusedError as error:
        if not _UNWRITTEN.search(str(error)):
            raise
