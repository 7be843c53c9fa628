"""Function calls to tool calls: names, arguments, ids, signatures."""

import json
from dataclasses import FrozenInstanceError

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.dialects.chat.open_call import tool_call
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.frames import FunctionCall
from jarvis_proxy.upstreams.gemini.reply.tool_calls import read_call
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, StoredSignature
from tests.upstreams.gemini.chat import asking, plan_for
from tests.upstreams.gemini.replies import NOW, a_context, a_plan


def arguments(raw: bytes) -> str:
    _, found = read_call(a_context(), FunctionCall(name="f", args=Raw(raw)), None)
    return found


def name(native: str, renamed: dict[str, str] | None = None, declared: str = "") -> str:
    context = a_context(a_plan(declared=declared.split(), renamed=renamed))
    start, _ = read_call(context, FunctionCall(name=native), None)
    return start.name


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"null", ""),
        (b"{}", ""),
        (b'{\n  "a": 1,\r\n  "b": [ true, null ]\n}', '{"a":1,"b":[true,null]}'),
        (b'{"b":1,"a":2}', '{"b":1,"a":2}'),
        (b'{"html":"\\u003cb\\u003e"}', '{"html":"<b>"}'),
        ('{"t":"zażółć 😀"}'.encode(), '{"t":"zażółć 😀"}'),
        (b'{"n":123456789012345678901234567890}', '{"n":123456789012345678901234567890}'),
        (b'{"n" : 1e999}', '{"n":1e999}'),
    ],
)
def test_arguments_are_compact_json_of_the_same_value(raw: bytes, expected: str) -> None:
    assert arguments(raw) == expected


@pytest.mark.parametrize("raw", [b'{"a":"\xff"}', b'{"a":"\xff","n":1e999}'])
def test_arguments_that_are_not_text_are_a_bad_frame(raw: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        arguments(raw)

    assert caught.value.code == "upstream_bad_frame"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), values, max_size=4))
def test_any_arguments_keep_their_value(args: dict[str, object]) -> None:
    raw = json.dumps(args, indent=2).encode()

    assert json.loads(arguments(raw) or "{}") == args


def test_names_come_back_as_the_client_gave_them() -> None:
    assert name("get_weather", declared="get_weather") == "get_weather"
    assert name("_7days", {"_7days": "7days"}, "7days") == "7days"
    assert name("unheard_of", declared="get_weather") == "unheard_of"


def test_the_models_inner_namespace_is_taken_off_only_where_a_tool_is_behind_it() -> None:
    assert name("default_api.get_weather", declared="get_weather") == "get_weather"
    assert name("default_api:get_weather", declared="get_weather") == "get_weather"
    assert name("default_api:_7days", {"_7days": "7days"}, "7days") == "7days"
    assert name("default_api.other", declared="get_weather") == "default_api.other"
    declared_so = "default_api.get_weather get_weather"
    assert name("default_api.get_weather", declared=declared_so) == "default_api.get_weather"


def test_a_tool_call_has_a_short_plain_id_whatever_the_models_own() -> None:
    context = a_context()

    call, _ = read_call(context, FunctionCall("dv8szvqe", "f", Raw(b"{}")), "sig")

    assert call == CallStart("call_000000000000000000000000", "f")
    assert len(call.id) == 29


@pytest.mark.parametrize(
    ("native_id", "signature", "expected"),
    [
        ("n1", "sig", StoredSignature("sig", "n1")),
        (None, "sig", StoredSignature("sig", None)),
        ("n1", None, StoredSignature(None, "n1")),
        (None, None, None),
        ("", None, None),
    ],
)
def test_what_belongs_to_an_id_is_remembered(
    native_id: str | None, signature: str | None, expected: StoredSignature | None
) -> None:
    store = MemorySignatureStore()

    call, _ = read_call(a_context(store=store), FunctionCall(native_id, "f"), signature)

    assert store.get(call.id, NOW) == expected
    assert store.stats.entries == (expected is not None)


def test_a_custom_tool_gets_its_text_back() -> None:
    context = a_context(a_plan(custom_tools=["sql"], declared=["sql"]))

    call, text = read_call(context, FunctionCall(None, "sql", Raw(b'{"input":"select 1"}')), None)
    _, other = read_call(context, FunctionCall(None, "sql", Raw(b'{"query":1}')), None)

    assert (call.kind, call.name, text) == ("custom", "sql", "select 1")
    assert other == '{"query":1}'


def test_a_call_that_comes_back_without_its_id_is_not_remembered() -> None:
    store = MemorySignatureStore()
    context = a_context(a_plan(legacy_functions=True), store)

    read_call(context, FunctionCall("n1", "f"), "sig")

    assert store.stats.entries == 0


def test_a_chat_client_gets_the_namespace_with_the_bare_name() -> None:
    """Whole way: declared in a namespace, called by its flat name, and back in the history."""
    member = {"type": "function", "name": "get_weather"}
    space = {"type": "namespace", "name": "mcp__wx", "tools": [member]}
    plan = plan_for(asking(tools=[space]))
    context = a_context(plan)

    function = FunctionCall(id="n1", name="mcp__wx__get_weather", args=Raw(b"{}"))
    call, _ = read_call(context, function, None)
    assert (call.name, call.namespace) == ("get_weather", "mcp__wx")

    history = [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "tool_calls": [json.loads(msgspec.json.encode(tool_call(call, None, None)))],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "21"},
    ]
    contents = json.loads(plan_for({"messages": history, "tools": [space]}).body)["contents"]
    assert contents[1]["parts"][0]["functionCall"]["name"] == "mcp__wx__get_weather"
    assert contents[2]["parts"][0]["functionResponse"]["name"] == "mcp__wx__get_weather"


@pytest.mark.parametrize(
    "function",
    [
        {"function": {"name": "f", "namespace": "wx", "arguments": "{}"}},
        {"function": {"name": "f", "arguments": "{}"}, "namespace": "wx"},
        {"function": {"name": "f", "arguments": "{}"}},
        {"function": {"name": "wx__f", "arguments": "{}"}},
        {"type": "custom", "custom": {"name": "f", "namespace": "wx", "input": "a"}},
        {"type": "custom", "custom": {"name": "f", "input": "a"}, "namespace": "wx"},
    ],
    ids=str,
)
def test_a_history_may_name_the_function_in_each_way(function: dict[str, object]) -> None:
    space = {"type": "namespace", "name": "wx", "tools": [{"type": "function", "name": "f"}]}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", **function}]},
        {"role": "tool", "tool_call_id": "a", "content": "21"},
    ]

    contents = json.loads(plan_for({"messages": messages, "tools": [space]}).body)["contents"]

    assert contents[1]["parts"][0]["functionCall"]["name"] == "wx__f"


def test_a_custom_member_is_a_custom_call() -> None:
    space = {"type": "namespace", "name": "db", "tools": [{"type": "custom", "name": "sql"}]}
    context = a_context(plan_for(asking(tools=[space])))

    args = Raw(b'{"input":"SELECT 1"}')
    call, text = read_call(context, FunctionCall(name="db__sql", args=args), None)

    assert (call.kind, call.name, call.namespace) == ("custom", "sql", "db")
    assert text == "SELECT 1"


def test_nothing_on_the_way_back_can_change_the_call() -> None:
    context = a_context()

    with pytest.raises(FrozenInstanceError):
        context.plan = a_plan(choice_count=2).sent  # type: ignore[misc]  # that is the point
