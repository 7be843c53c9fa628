"""Any history becomes a request that Anthropic takes, for any model."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.recovery import RequestFallbacks
from tests.support.strict_anthropic import check
from tests.upstreams.anthropic.chat import PDF, PNG, V35, V40, V45, V46, Json, function, plan_for

pytestmark = pytest.mark.slow

MODELS = [V35, V40, "claude-opus-4-1", V45, V46, "claude-opus-4-7", "claude-fable-5", "other"]

_WORDS = st.sampled_from(["a", "b ", " c\n", "", " ", "\n", "Größe", "<system>", "{}", "\ud83d"])
_IDS = st.sampled_from(["c1", "c2", "c3", "", "a.b", "a_b", "toolu_1", "c1_2", "c1__thought__QQ=="])
_NAMES = st.sampled_from(["f", "g", "get weather", "x" * 70, "ß"])
_MARKS = st.sampled_from([{}, {}, {"cache_control": {"type": "ephemeral"}}])
_ARGUMENTS = st.sampled_from(["", "{}", '{"a":1}', "[1]", "1", '{"a', None, {"a": [1]}, " "])
_FOREIGN = st.sampled_from(
    [
        {"type": "thinking", "thinking": "x", "signature": ""},
        {"type": "thinking", "thinking": "x"},
        {"type": "thinking", "thinking": "x", "signature": "gemini:AAAA"},
        {"type": "thinking", "thinking": "x", "signature": "chat.deepseek:AAAA"},
        {"type": "text", "text": "x"},
        "x",
        None,
    ]
)


def _part(said: str, mark: Json) -> Json:
    return {"type": "text", "text": said} | mark


_PARTS = st.one_of(
    st.builds(_part, _WORDS, _MARKS),
    st.just({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}),
    st.just({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}),
    st.just({"type": "tool_reference", "tool_name": "f"}),
)
_CONTENT = st.one_of(st.none(), _WORDS, st.lists(_PARTS, max_size=3))
_TEXTS = st.one_of(st.none(), _WORDS, st.lists(st.builds(_part, _WORDS, _MARKS), max_size=3))


@st.composite
def _assistants(draw: st.DrawFn) -> Json:
    names, ids = st.lists(st.tuples(_NAMES, _IDS, _ARGUMENTS, _MARKS), max_size=3), []
    for name, call_id, arguments, mark in draw(names):
        inner = {"name": name, "arguments": arguments}
        ids.append({"id": call_id, "type": "function", "function": inner} | mark)
    own = draw(st.lists(st.sampled_from(["", "Hm.", "Größe\n", "redacted"]), max_size=2))
    return {
        "role": "assistant",
        "content": draw(_TEXTS),
        "tool_calls": ids or None,
        "own": own,
        "foreign": draw(st.lists(_FOREIGN, max_size=2)),
    }


def _plain(role: str) -> Any:
    return st.builds(lambda content: {"role": role, "content": content}, _CONTENT)


_RESULTS = st.builds(
    lambda content, call_id, mark, failed: (
        {
            "role": "tool",
            "content": content,
            "tool_call_id": call_id,
            "is_error": failed,
        }
        | mark
    ),
    _CONTENT,
    _IDS,
    _MARKS,
    st.booleans(),
)
_SYSTEM = st.builds(lambda content: {"role": "system", "content": content}, _TEXTS)
_HISTORIES = st.lists(
    st.one_of(_plain("user"), _assistants(), _assistants(), _RESULTS, _RESULTS, _SYSTEM),
    min_size=1,
    max_size=12,
)
_SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string", "minLength": 1}, {"enum": ["a"]}, {}, True]),
    lambda inner: st.one_of(
        st.builds(
            lambda one, other, opened: {
                "type": "object",
                "properties": {"a": one, "b": other},
                **opened,
            },
            inner,
            inner,
            st.sampled_from([{}, {"additionalProperties": False}, {"required": ["a"]}]),
        ),
        st.builds(lambda one: {"type": "array", "items": one}, inner),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
    ),
    max_leaves=5,
)
_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "reasoning_effort": st.sampled_from(["none", "low", "high", "max"]),
        "thinking": st.sampled_from(
            [
                {"type": "enabled", "budget_tokens": 3000},
                {"type": "adaptive"},
                {"type": "disabled"},
            ]
        ),
        "max_tokens": st.sampled_from([1, 500, 1024, 1025, 2000, 3000, 3001, 200_000]),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "top_k": st.integers(-1, 50),
        "stop": st.lists(_WORDS.filter(lambda word: word != "\ud83d"), max_size=3),
        "tool_choice": st.sampled_from(["auto", "none", "required", "validated"]),
        "parallel_tool_calls": st.booleans(),
        "cache_control": st.just({"type": "ephemeral"}),
        "response_format": st.builds(
            lambda schema: {"type": "json_schema", "json_schema": {"schema": schema}}, _SCHEMAS
        ),
        "service_tier": st.sampled_from(["auto", "default", "flex"]),
    },
)


def _tool(name: str, schema: object, strict: bool, mark: Json) -> Json:
    parameters = schema if isinstance(schema, dict) else {}
    return function(name, parameters, strict=strict) | mark


_TOOLS = st.lists(
    st.builds(_tool, _NAMES, _SCHEMAS, st.booleans(), _MARKS),
    max_size=3,
    unique_by=lambda tool: tool["function"]["name"],
)


def issue(messages: list[Json]) -> list[Json]:
    """Give each message thinking blocks of its own; return those that Anthropic issued."""
    issued: list[Json] = []
    for message in messages:
        blocks: list[object] = []
        for said in message.pop("own", []):
            number = len(issued)
            if said == "redacted":
                issued.append({"type": "redacted_thinking", "data": f"data{number}=="})
            else:
                signature = f"Sig/{number}+=="
                block = {"type": "thinking", "thinking": said, "signature": signature}
                issued.append(block)
            blocks.append(issued[-1])
        blocks += message.pop("foreign", [])
        if blocks:
            message["thinking_blocks"] = blocks
    return issued


@settings(max_examples=300, deadline=None)
@given(_HISTORIES, _OPTIONS, _TOOLS, st.sampled_from(MODELS))
def test_anthropic_takes_every_request_that_is_written(
    messages: list[Json], options: Json, tools: list[Json], model: str
) -> None:
    issued = issue(messages)
    body = {"messages": messages, **options, **({"tools": tools} if tools else {})}

    check(json.loads(plan_for(body, model).body), issued)


_RELAXATIONS = st.builds(
    RequestFallbacks,
    no_past_thinking=st.booleans(),
    thinking=st.sampled_from(["as asked", "off"]),
    high_effort=st.booleans(),
    without=st.sets(st.sampled_from(["temperature", "top_k", "effort"])).map(frozenset),
    free_schemas=st.booleans(),
    no_cache=st.booleans(),
    user_last=st.booleans(),
    max_tokens=st.one_of(st.none(), st.integers(1, 5000)),
)


@settings(max_examples=150, deadline=None)
@given(_HISTORIES, _OPTIONS, _TOOLS, st.sampled_from(MODELS), _RELAXATIONS)
def test_anthropic_takes_every_relaxed_request(
    messages: list[Json], options: Json, tools: list[Json], model: str, fallbacks: RequestFallbacks
) -> None:
    issued = issue(messages)
    body = {"messages": messages, **options, "tools": tools}
    sent = json.loads(plan_for(body, model, fallbacks=fallbacks).body)

    check(sent, issued)
    if fallbacks.no_cache:
        assert "cache_control" not in json.dumps(sent)


@settings(max_examples=100, deadline=None)
@given(_HISTORIES, _OPTIONS, _TOOLS)
def test_the_same_request_is_written_twice_alike(
    messages: list[Json], options: Json, tools: list[Json]
) -> None:
    issue(messages)
    body = {"messages": messages, **options, "tools": tools}

    assert plan_for(body).body == plan_for(body).body


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_FIELDS = ["messages", "tools", "tool_choice", "response_format", "thinking", "stop", "reasoning"]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON))
def test_any_body_gives_a_request_or_an_error(body: Json) -> None:
    with contextlib.suppress(ProxyError):
        check(json.loads(plan_for({"messages": [{"role": "user", "content": "hi"}], **body}).body))
