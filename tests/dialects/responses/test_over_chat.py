"""Responses calls answered by a chat completions service: what other gateways get wrong.

The numbers are those of known bugs of gateways, each with what is right.
"""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange
from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.dialects.responses.request import ResponsesDialect
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream
from tests.dialects.responses.events import read, rebuild
from tests.support.strict_chat import RefusedError, check
from tests.upstreams.chat.interleaved import answers
from tests.upstreams.chat.streams import Json, call, chunk, sse, whole

TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
INNER: Json = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
NAMESPACE = {"type": "namespace", "name": "mcp__wx", "description": "Weather.", "tools": [INNER]}
USER = {"role": "user", "content": "Hi"}
ASSISTANT = {"type": "message", "role": "assistant", "content": "I look."}
RESULT = {"type": "function_call_output", "call_id": "a", "output": "21 °C"}
LOST = b'{"error":{"message":"The `reasoning_content` must be passed back to the API."}}'
SUMMARY = {"summary": "auto"}


def past_call(call_id: str = "a", name: str = "get_weather", **more: Any) -> Json:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}", **more}


def exchange(
    items: Any = "Hi", *, stream: bool = True, apis: str = "chat", **more: Any
) -> Exchange:
    """Return the exchange of a Responses call with a service that has *apis*."""
    counter = itertools.count()

    def new_id() -> str:
        return f"{next(counter):024}"

    upstream = CompatibleUpstream(
        "deepseek",
        "https://api.deepseek.com",
        dialects={"responses": ResponsesDialect(new_id)},
        new_id=new_id,
        apis=apis.split(","),
    )
    body = json.dumps({"model": "my-model", "input": items, "stream": stream, **more})
    made = Call(
        endpoint="responses",
        model="my-model",
        target_model="deepseek-chat",
        stream=stream,
        body=body.encode(),
        id="c" * 24,
        created=5,
        now=0.0,
    )
    return upstream.exchange(made, {}, upstream.needs(made).decoded)


def asked(made: Exchange) -> Json:
    """Return the body that goes to the service."""
    (request,) = made.requests
    body: Json = json.loads(request.body)
    return body


def sent(*items: Json, **more: Any) -> list[Json]:
    """Return the messages that are sent for *items*, which a strict service takes."""
    body = asked(exchange(list(items), **more))
    check(body, demands_reasoning=False)
    found: list[Json] = body["messages"]
    return found


def events(*chunks: Json, **more: Any) -> list[Json]:
    """Return the events that answer *chunks*."""
    translator = exchange(**more).stream_translator()
    out = translator.feed(sse(chunks))
    assert translator.done
    return read(out)


def body_of(message: Json, finish: str = "stop", **more: Any) -> Json:
    """Return the whole response for a whole message."""
    made = exchange(stream=False, **more)
    made.translate_reply(whole(message, finish))
    raw = made.answer()
    Response.model_validate_json(raw)
    found: Json = json.loads(raw)
    return found


# -- what the service is asked -------------------------------------------------------------------


def test_interrupted_call_has_a_result() -> None:
    found = sent(USER, past_call("a"), past_call("b"), RESULT, USER)

    assert [message["role"] for message in found] == ["user", "assistant", "tool", "tool", "user"]
    assert found[3]["content"] == '{"error":"no result was provided for this tool call"}'


def test_message_between_call_and_result_moves_in_front() -> None:
    found = sent(USER, past_call(namespace="mcp__wx"), ASSISTANT, RESULT, tools=[NAMESPACE])

    assert [message["role"] for message in found] == ["user", "assistant", "tool"]
    assert found[1]["content"] == "I look."
    assert found[1]["tool_calls"][0]["function"]["name"] == "mcp__wx__get_weather"


def test_tools_of_a_namespace_are_declared() -> None:
    made = exchange(tools=[NAMESPACE, {"type": "web_search"}])

    (tool,) = asked(made)["tools"]
    assert tool["function"]["name"] == "mcp__wx__get_weather"
    assert tool["function"]["description"] == "Weather."
    assert made.headers == (("x-jarvis-ignored", "tools[1]"),)


def test_every_tool_of_codex_is_declared_under_a_legal_name() -> None:
    tools: list[Json] = [
        {"type": "custom", "name": "exec"},
        {"type": "tool_search", "execution": "client"},
        {**NAMESPACE, "name": "n" * 70},
        {**TOOL, "name": "mcp__wx__get_weather"},
        NAMESPACE,
    ]
    body = asked(exchange(tools=tools))

    check(body)
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert len(set(names)) == len(names) == 5
    assert {"exec", "tool_search", "mcp__wx__get_weather"} < set(names)


def test_sealed_reasoning_goes_back() -> None:
    sealed = seal(SealedState("chat.deepseek", "Hm."))
    item: Json = {"type": "reasoning", "summary": [], "content": None, "encrypted_content": sealed}

    assert sent(USER, item, past_call(), RESULT)[1]["reasoning_content"] == "Hm."


def test_several_reasoning_items_are_joined_in_order() -> None:
    items = [
        {"type": "reasoning", "encrypted_content": seal(SealedState("chat.deepseek", said))}
        for said in ("One. ", "Two.")
    ]

    assert sent(USER, *items, past_call(), RESULT)[1]["reasoning_content"] == "One. Two."


def test_no_text_is_made_up_for_lost_reasoning() -> None:
    better = exchange([USER, past_call(), RESULT]).recover(400, LOST)

    assert better is not None
    body = asked(better)
    assert body["thinking"] == {"type": "disabled"}
    assert not any("reasoning_content" in message for message in body["messages"])
    check(body)


def test_each_call_after_a_compaction_is_asked_again() -> None:
    for _ in range(2):
        made = exchange([USER, past_call(), RESULT])
        with pytest.raises(RefusedError, match="reasoning_content"):
            check(asked(made))
        better = made.recover(400, LOST)
        assert better is not None
        check(asked(better))


@pytest.mark.parametrize(
    "sealed",
    [
        "chat.deepseek:AAAA",
        seal(SealedState("chat.deepseek", "Hm."))[:-4],
        seal(SealedState("chat.zhipu", "Hm.")),
        "gAAAAABo",
        "chat.deepseek:",
    ],
)
def test_altered_or_foreign_seal_is_no_seal(sealed: str) -> None:
    item: Json = {"type": "reasoning", "summary": [], "encrypted_content": sealed}

    assert "reasoning_content" not in sent(USER, item, past_call(), RESULT)[1]


def test_service_with_responses_of_its_own_is_relayed_untouched() -> None:
    made = exchange(apis="chat,responses", reasoning={"effort": "high"})

    assert made.raw
    assert made.requests[0].path == "/responses"
    assert asked(made)["reasoning"] == {"effort": "high"}


def test_stored_state_is_refused_with_what_to_do() -> None:
    with pytest.raises(ProxyError) as caught:
        exchange(previous_response_id="resp_1")

    assert (caught.value.status, caught.value.param) == (400, "previous_response_id")
    assert "whole conversation" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"max_tool_calls": 3}, ["max_tool_calls"]),
        ({"truncation": "auto"}, ["truncation"]),
        (
            {"tools": [{"type": "web_search"}, TOOL, {"type": "mcp"}, {"type": "computer"}]},
            ["tools[0]", "tools[2]", "tools[3]"],
        ),
        ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, ["tool_choice"]),
        ({"items": [USER, {"type": "compaction"}, {"type": "mcp_call"}]}, ["input[1]", "input[2]"]),
        ({"items": [USER, {"type": "what_comes_next_month"}]}, ["input[1]"]),
        (
            {
                "store": False,
                "metadata": {"a": "b"},
                "prompt_cache_key": "k",
                "client_metadata": {},
                "user": "u",
                "safety_identifier": "s",
                "service_tier": "flex",
                "stream_options": {},
                "text": {"verbosity": "low"},
                "include": ["reasoning.encrypted_content"],
            },
            [],
        ),
    ],
)
def test_what_is_lost_is_named_and_nothing_else(fields: Json, names: list[str]) -> None:
    made = exchange(fields.pop("items", "Hi"), **fields)

    check(asked(made))
    assert dict(made.headers).get("x-jarvis-ignored", "") == ", ".join(names)


# -- what the client gets ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["mcp__wx__get_weather", "mcp__wx.get_weather", "get_weather", "mcp__wx/get_weather"]
)
def test_however_the_model_spells_a_tool_the_client_gets_its_name(name: str) -> None:
    chunks = call(0, "a", name, "{}"), chunk(finish="tool_calls")
    items = rebuild(events(*chunks, tools=[NAMESPACE]))

    assert [(item["name"], item["namespace"]) for item in items] == [("get_weather", "mcp__wx")]


def test_streamed_and_whole_calls_are_the_same() -> None:
    entry = {"id": "a", "function": {"name": "mcp__wx__get_weather", "arguments": '{"a":1}'}}
    made = body_of({"tool_calls": [entry]}, "tool_calls", tools=[NAMESPACE])
    chunks = call(0, "a", "mcp__wx__get_weather", '{"a":1}'), chunk(finish="tool_calls")
    streamed = events(*chunks, tools=[NAMESPACE])[-1]["response"]

    for response in (made, streamed):
        (item,) = response["output"]
        assert (item["name"], item["namespace"], item["call_id"]) == ("get_weather", "mcp__wx", "a")
    assert made.keys() == streamed.keys()


def test_thoughts_are_a_reasoning_item_before_what_they_led_to() -> None:
    chunks = (
        chunk({"reasoning_content": "Hm."}),
        call(0, "a", "get_weather", "{}"),
        chunk(finish="tool_calls"),
    )
    items = rebuild(events(*chunks, tools=[TOOL], reasoning=SUMMARY))

    assert [item["type"] for item in items] == ["reasoning", "function_call"]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Hm."}]


ANSWER = (
    chunk({"content": "Hel"}),
    chunk({"content": "lo"}),
    call(0, "a", "get_weather", '{"a"'),
    call(0, None, None, ":1}"),
    chunk(finish="tool_calls"),
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
)


def test_last_event_has_the_whole_response() -> None:
    response = events(*ANSWER, tools=[TOOL])[-1]["response"]

    assert (response["id"], response["model"]) == ("resp_" + "c" * 24, "my-model")
    assert [item["type"] for item in response["output"]] == ["message", "function_call"]


def test_every_item_is_added_before_its_pieces() -> None:
    found = events(*ANSWER, tools=[TOOL])

    added: set[str] = set()
    for event in found[2:-1]:
        if event["type"] == "response.output_item.added":
            added.add(event["item"]["id"])
        else:
            assert event.get("item_id", event.get("item", {}).get("id")) in added


def test_calls_are_sent_in_events_of_their_own() -> None:
    kinds = [event["type"] for event in events(*ANSWER, tools=[TOOL])]

    assert kinds.count("response.function_call_arguments.delta") == 2
    assert kinds.count("response.function_call_arguments.done") == 1
    assert rebuild(events(*ANSWER, tools=[TOOL]))[1]["arguments"] == '{"a":1}'


def test_stream_begins_with_the_response() -> None:
    first, second, *_ = events(*ANSWER, tools=[TOOL])

    assert (first["type"], second["type"]) == ("response.created", "response.in_progress")
    assert first["response"]["status"] == "in_progress"


def test_no_event_lacks_what_strict_clients_read() -> None:
    found = events(*ANSWER, tools=[TOOL])

    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    for event in (found[0], found[-1]):
        assert event["response"]["text"]["format"] == {"type": "text"}
        assert event["response"]["parallel_tool_calls"] is True
    usage = found[-1]["response"]["usage"]
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (9, 3, 12)


def test_arguments_may_come_in_any_split() -> None:
    one = call(0, "a", "get_weather", '{"a":1}'), chunk(finish="tool_calls")
    many = (
        call(0, "a", "get_weather", ""),
        *(call(0, None, None, letter) for letter in '{"a":1}'),
        chunk(finish="tool_calls"),
    )

    found = [rebuild(events(*chunks, tools=[TOOL]))[0]["arguments"] for chunks in (one, many)]
    assert found == ['{"a":1}'] * 2


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_end_without_content_says_how_it_ended(
    finish: str, status: str, reason: str | None
) -> None:
    response = events(chunk(finish=finish))[-1]["response"]

    assert response["status"] == status
    assert response["incomplete_details"] == (reason and {"reason": reason})
    kinds = [item["type"] for item in response["output"]]
    assert kinds == (["message"] if status == "completed" else [])


def test_text_behind_a_call_is_a_message_behind_all_calls() -> None:
    chunks = (
        call(0, "a", "get_weather", "{}"),
        chunk({"content": "After."}),
        call(1, "b", "get_weather", "{}"),
        chunk(finish="tool_calls"),
    )
    items = rebuild(events(*chunks, tools=[TOOL]))

    assert [item["type"] for item in items] == ["function_call", "function_call", "message"]


def test_search_for_tools_is_an_item_of_its_own() -> None:
    chunks = call(0, "a", "tool_search", '{"query":"wx"}'), chunk(finish="tool_calls")
    (item,) = events(*chunks, tools=[{"type": "tool_search", "execution": "client"}])[-1][
        "response"
    ]["output"]

    assert (item["type"], item["execution"], item["call_id"]) == ("tool_search_call", "client", "a")
    assert item["arguments"] == {"query": "wx"}


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(answers(), st.booleans())
def test_any_interleaving_gives_items_one_after_the_other(
    made: tuple[list[Json], list[tuple[str, str]], str, str], shows: bool
) -> None:
    chunks, calls, text, thoughts = made
    more = {"reasoning": SUMMARY} if shows else {}
    found = events(*chunks, **more, include=["reasoning.encrypted_content"])

    items = rebuild(found)
    assert items == found[-1]["response"]["output"]
    expected = {
        item["call_id"]: (item["name"], item["arguments"])
        for item in items
        if item["type"] == "function_call"
    }
    assert expected == {f"call_{number}": one for number, one in enumerate(calls)}
    messages = [item for item in items if item["type"] == "message"]
    assert "".join(message["content"][0]["text"] for message in messages) == text
    shown = [part["text"] for i in items if i["type"] == "reasoning" for part in i["summary"]]
    assert "".join(shown) == (thoughts if shows else "")
