"""Function calls to tool calls: names, arguments, ids, signatures."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.frames import FunctionCall
from jarvis_proxy.upstreams.gemini.reply.tool_calls import signed, to_function, to_tool_call
from jarvis_proxy.upstreams.gemini.signature_store import MemoryVault, Remembered
from jarvis_proxy.wire.chat_types import CustomPayload, FunctionPayload, ToolCall
from tests.upstreams.gemini.chat import asking, plan_for
from tests.upstreams.gemini.replies import NOW, a_context, a_plan


def arguments(raw: bytes) -> str:
    return to_function(a_plan(), "f", Raw(raw)).arguments


def name(native: str, renamed: dict[str, str] | None = None, declared: str = "") -> str:
    plan = a_plan(declared=declared.split(), renamed=renamed)
    return to_function(plan, native, Raw()).name


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "{}"),
        (b"null", "{}"),
        (b"{}", "{}"),
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

    assert json.loads(arguments(raw)) == args


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

    call = to_tool_call(context, FunctionCall("dv8szvqe", "f", Raw(b"{}")), "sig", 2)

    assert call == ToolCall(
        index=2,
        id="call_000000000000000000000000",
        function=FunctionPayload("f", "{}"),
        extra_content={"google": {"thought_signature": "sig"}},
    )
    assert isinstance(call.id, str)
    assert len(call.id) == 29


@pytest.mark.parametrize(
    ("native_id", "signature", "expected"),
    [
        ("n1", "sig", Remembered("sig", "n1")),
        (None, "sig", Remembered("sig", None)),
        ("n1", None, Remembered(None, "n1")),
        (None, None, None),
        ("", None, None),
    ],
)
def test_what_belongs_to_an_id_is_remembered(
    native_id: str | None, signature: str | None, expected: Remembered | None
) -> None:
    vault = MemoryVault()

    call = to_tool_call(a_context(vault=vault), FunctionCall(native_id, "f"), signature, 0)

    assert isinstance(call.id, str)
    assert vault.get(call.id, NOW) == expected
    assert vault.stats.entries == (expected is not None)


def test_a_custom_tool_gets_its_text_back() -> None:
    context = a_context(a_plan(custom_tools=["sql"], declared=["sql"]))

    text = to_tool_call(context, FunctionCall(None, "sql", Raw(b'{"input":"select 1"}')), None, 0)
    other = to_tool_call(context, FunctionCall(None, "sql", Raw(b'{"query":1}')), None, 1)

    assert (text.type, text.custom) == ("custom", CustomPayload("sql", "select 1"))
    assert text.function is UNSET
    assert other.custom == CustomPayload("sql", '{"query":1}')


def test_an_unsigned_call_carries_no_empty_field() -> None:
    assert signed(None) is UNSET
    assert signed("s") == {"google": {"thought_signature": "s"}}


def test_a1_a_chat_client_gets_the_namespace_beside_the_bare_name() -> None:
    """Whole way: declared in a namespace, called by its flat name, and back in the history."""
    member = {"type": "function", "name": "get_weather"}
    space = {"type": "namespace", "name": "mcp__wx", "tools": [member]}
    plan = plan_for(asking(tools=[space]))
    context = a_context(plan)

    function = FunctionCall(id="n1", name="mcp__wx__get_weather", args=Raw(b"{}"))
    call = to_tool_call(context, function, None, 0)
    assert call.function == FunctionPayload("get_weather", "{}", "mcp__wx")

    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [json.loads(msgspec.json.encode(call))]},
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
def test_a1_a_history_may_name_the_function_in_each_way(function: dict[str, object]) -> None:
    space = {"type": "namespace", "name": "wx", "tools": [{"type": "function", "name": "f"}]}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", **function}]},
        {"role": "tool", "tool_call_id": "a", "content": "21"},
    ]

    contents = json.loads(plan_for({"messages": messages, "tools": [space]}).body)["contents"]

    assert contents[1]["parts"][0]["functionCall"]["name"] == "wx__f"


def test_a1_a_custom_member_is_a_custom_call() -> None:
    space = {"type": "namespace", "name": "db", "tools": [{"type": "custom", "name": "sql"}]}
    context = a_context(plan_for(asking(tools=[space])))

    args = Raw(b'{"input":"SELECT 1"}')
    call = to_tool_call(context, FunctionCall(name="db__sql", args=args), None, 0)

    assert (call.type, call.custom) == ("custom", CustomPayload("sql", "SELECT 1", "db"))
