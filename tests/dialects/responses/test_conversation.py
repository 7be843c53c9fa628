"""`previous_response_id` with RESPONSES_STATE=id: what is continued, and what an id holds."""

import json
import zlib
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.sealed_conversation import MAX_ITEMS, PREFIX, ConversationSeal
from jarvis_proxy.dialects.responses.answer import ResponseOptions
from jarvis_proxy.dialects.responses.conversation import (
    EarlierItems,
    answer_items,
    earlier_items,
    seal_item_ids,
    takes_last_id,
    with_referred,
)
from jarvis_proxy.dialects.responses.request import read_request
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.responses_types import (
    FunctionCallItem,
    MessageItem,
    OutputText,
    ReasoningItem,
)

Json = dict[str, Any]
SEAL = ConversationSeal(b"k")
USER: Json = {"role": "user", "content": "First"}
SAID: Json = {"type": "message", "role": "assistant", "content": "Second"}


def read(seal: ConversationSeal | None = SEAL, **fields: Any) -> tuple[CanonicalRequest, Any]:
    body = json.dumps({"input": "Third", **fields}).encode()
    options: ResponseOptions
    request, options = read_request(body, ModelFeatures(), seal=seal)
    return request, options.conversation


def messages(**fields: Any) -> list[Json]:
    request, _ = read(**fields)
    found: list[Json] = json.loads(request.body)["messages"]
    return [{k: v for k, v in m.items() if k in ("role", "content") and v} for m in found]


def sealed(items: Any) -> str:
    return SEAL.seal(zlib.compress(json.dumps(items).encode()))


def id_after(answer: list[Json], **fields: Any) -> str:
    _, conversation = read(**fields)
    found: str = conversation.response_id(json.dumps(answer).encode())
    return found


def refusal(previous: str, **fields: Any) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        read(previous_response_id=previous, **fields)
    return caught.value


def text(message: Json) -> Any:
    content = message["content"]
    return content if isinstance(content, str) else content[0]["text"]


def test_a_request_goes_on_from_the_conversation_of_its_id() -> None:
    previous = sealed([USER, SAID])

    found = messages(previous_response_id=previous, instructions="Be brief.")

    assert [(m["role"], text(m)) for m in found] == [
        ("system", "Be brief."),
        ("user", "First"),
        ("assistant", "Second"),
        ("user", "Third"),
    ]


@pytest.mark.parametrize("given", ["Third", [{"role": "user", "content": "Third"}]])
def test_the_next_id_holds_all_that_came_before(given: Any) -> None:
    previous = sealed([USER, SAID])
    second = id_after([SAID], previous_response_id=previous, input=given)

    opened = json.loads(SEAL.open(second) or b"")

    assert opened == [USER, SAID, {"role": "user", "content": "Third"}, SAID]
    assert previous.startswith(PREFIX)


def test_instructions_belong_to_one_request_only() -> None:
    previous = id_after([SAID], instructions="Canary")

    assert b"Canary" not in (SEAL.open(previous) or b"Canary")


@pytest.mark.parametrize("given", [[], "", [USER]])
def test_any_input_can_continue(given: Any) -> None:
    previous = sealed([USER, SAID])
    opened = json.loads(SEAL.open(id_after([], previous_response_id=previous, input=given)) or b"")

    assert opened[:2] == [USER, SAID]
    assert len(opened) == (2 if given == [] else 3)


def test_what_an_earlier_request_could_not_say_is_not_named_again() -> None:
    item = {"type": "web_search_call", "id": "ws_1"}
    request, _ = read(previous_response_id=sealed([item, USER]), input=[item, USER])

    assert request.ignored == ("input[0]",)


def test_an_error_about_the_input_counts_its_own_items_only() -> None:
    error = refusal(sealed([USER, SAID]), input=[USER, {"role": "none", "content": "x"}])

    assert error.param == "input[1].role"


def test_tools_that_were_loaded_earlier_stay_declared() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    loaded = {"type": "additional_tools", "role": "developer", "tools": tools}
    request, _ = read(previous_response_id=sealed([loaded, USER]))

    assert [t["function"]["name"] for t in json.loads(request.body)["tools"]] == ["f"]


def test_a_client_that_wants_nothing_stored_gets_no_conversation() -> None:
    assert read(store=False)[1] is None
    assert read(store=True)[1] is not None
    assert read(seal=None)[1] is None


def test_sealed_state_goes_into_the_id_without_include() -> None:
    assert read()[0].sealed
    assert not read(store=False)[0].sealed


@pytest.mark.parametrize(
    "previous",
    [
        "resp_0123456789abcdef01234567",
        ConversationSeal(b"another key").seal(zlib.compress(b"[]")),
        sealed({"no": "list"}),
        sealed(["no object"]),
        SEAL.seal(zlib.compress(b"[{")),
        SEAL.seal(zlib.compress(b'[{"a":"\xff"}]')),
        SEAL.seal(zlib.compress(b'[{"a":' + b"[" * 600 + b"]" * 600 + b"}]")),
    ],
    ids=["plain", "another key", "no list", "no object", "cut", "no utf-8", "deep"],
)
def test_an_id_without_a_conversation_of_this_key_is_refused(previous: str) -> None:
    error = refusal(previous)

    assert (error.status, error.code) == (400, "previous_response_not_found")
    assert error.param == "previous_response_id"
    assert "whole conversation" in error.message
    assert previous[8:] not in error.message


def test_an_id_of_too_many_values_is_refused() -> None:
    many = SEAL.seal(zlib.compress(b'[{"a":[' + b"1," * 600_000 + b"1]}]"))

    assert refusal(many).code == "array_above_max_length"


def test_items_of_both_are_counted_together() -> None:
    half = [USER] * 10_001

    assert refusal(sealed(half), input=half).code == "array_above_max_length"


def test_the_default_names_the_client_s_switch_and_the_setting() -> None:
    error = refusal(sealed([USER]), seal=None)

    assert (error.status, error.code) == (400, "unsupported_parameter")
    assert '"store": false' in error.message
    assert "RESPONSES_STATE=id" in error.message


def test_conversations_kept_by_openai_stay_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        read(conversation="conv_1")

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "conversation")


def test_a_call_that_was_cut_off_is_not_taken_along() -> None:
    said = MessageItem(id="msg_1", status="incomplete", content=[OutputText(text="So")])
    cut = FunctionCallItem(id="f", status="incomplete", arguments='{"a', call_id="c", name="f")
    whole = FunctionCallItem(id="g", status="completed", arguments="{}", call_id="d", name="f")

    kept = msgspec.json.decode(answer_items([said, cut, whole]))

    assert [item["id"] for item in kept] == ["msg_1", "g"]


def test_without_an_id_there_is_nothing_earlier() -> None:
    assert earlier_items(None, SEAL).items == []
    assert earlier_items("", SEAL).items == []
    assert earlier_items("resp_1", None).items == []
    assert EarlierItems(b'[{"a":1}]').items == [{"a": 1}]


@pytest.mark.parametrize(
    ("headers", "takes_last"),
    [
        ({}, False),
        ({"user-agent": "OpenAI/Python 3.54.0", "x-stainless-lang": "python"}, False),
        ({"user-agent": "ai/6.0.326 ai-sdk/openai/3.0.141"}, False),
        ({"user-agent": "foundry-hosting/agent-framework-python/1.23.0"}, True),
        ({"user-agent": "Agents/Python 0.9.0"}, True),
        ({"user-agent": "OpenAI/JS 6.49.0", "x-stainless-lang": "js"}, True),
        ({"originator": "codex_cli_rs"}, True),
    ],
    ids=str,
)
def test_which_clients_go_on_from_the_last_id(headers: dict[str, str], takes_last: bool) -> None:
    assert takes_last_id(headers) is takes_last


def test_a_key_that_takes_the_last_id_does_not_wait_but_for_schemas() -> None:
    live = ConversationSeal(b"k", takes_last_id=True)
    schema = {"format": {"type": "json_schema", "name": "a", "schema": {}}}

    def waits(seal: ConversationSeal | None, **more: Any) -> bool:
        body = json.dumps({"input": "Hi", **more}).encode()
        return read_request(body, ModelFeatures(), seal=seal)[1].waits

    assert waits(SEAL)
    assert not waits(live)
    assert waits(live, text=schema)
    assert not waits(None)
    assert not waits(SEAL, store=False)


MESSAGE: Json = {
    "type": "message",
    "id": "msg_plain",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Second"}],
}
REASONING: Json = {"type": "reasoning", "id": "rs_plain", "summary": []}


DEEP = zlib.compress(b'[{"type":"message","a":' + b"[" * 600 + b"]" * 600 + b"}]")


def item_id(item: Any, prefix: str, seal: ConversationSeal = SEAL) -> str:
    return seal.seal(zlib.compress(json.dumps([item]).encode()), prefix)


def reference(item: Any, prefix: str = "msg_s1_", seal: ConversationSeal = SEAL) -> Json:
    return {"type": "item_reference", "id": item_id(item, prefix, seal)}


def resolved(*items: Any) -> Any:
    found = with_referred(Raw(json.dumps(items).encode()), SEAL)
    return None if found is None else json.loads(found)


def test_a_reference_becomes_the_item_that_its_id_carries() -> None:
    items = [USER, reference(REASONING, "rs_s1_"), reference(MESSAGE), USER]

    assert resolved(*items) == [USER, REASONING, MESSAGE, USER]
    assert [text(m) for m in messages(input=items)] == ["First", "Second", "First"]


def test_an_item_that_comes_whole_gets_its_plain_id_back() -> None:
    """Upstreams remember state under that id."""
    whole = {**MESSAGE, "id": item_id(MESSAGE, "msg_s1_")}

    assert resolved(whole) == [MESSAGE]


@pytest.mark.parametrize(
    "item",
    [
        reference(MESSAGE, seal=ConversationSeal(b"another key")),
        reference(REASONING),
        reference({"type": "function_call", "id": "fc_1"}),
        reference("no object"),
        {"type": "item_reference", "id": "msg_s1_AAAA"},
        {"type": "item_reference", "id": "msg_s1_"},
        {"type": "item_reference", "id": ["msg_s1_"]},
        "msg_s1_",
        {"type": "item_reference", "id": SEAL.seal(zlib.compress(b"[]"), "msg_s1_")},
        {"type": "item_reference", "id": SEAL.seal(DEEP, "msg_s1_")},
    ],
    ids=lambda item: str(item)[:60],
)
def test_a_reference_that_carries_no_item_of_this_key_stays_one(item: Any) -> None:
    assert resolved(USER, item) == [USER, item]


def test_a_reference_that_stays_one_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        read(input=[USER, {"type": "item_reference", "id": "msg_s1_AAAA"}])

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "input[1]")
    assert "RESPONSES_STATE=id" in caught.value.message


@pytest.mark.parametrize("given", ["msg_s1_ and rs_s1_", '"msg_s1_'])
def test_a_text_that_looks_like_an_id_is_a_text(given: str) -> None:
    assert with_referred(Raw(json.dumps(given).encode()), SEAL) is None
    assert with_referred(Raw(json.dumps([USER]).encode()), SEAL) is None


def test_items_together_must_not_be_too_large() -> None:
    large = {**MESSAGE, "content": "x" * 1_500_000}
    with pytest.raises(ProxyError) as caught:
        resolved(*[reference(large)] * 3)

    assert (caught.value.code, caught.value.param) == ("array_above_max_length", "input")


def test_the_conversation_holds_items_and_no_references() -> None:
    opened = json.loads(SEAL.open(id_after([], input=[USER, reference(MESSAGE)])) or b"")

    assert opened == [USER, MESSAGE]


def test_messages_and_reasoning_get_ids_that_carry_them() -> None:
    _, conversation = read()
    said = MessageItem(id="msg_1", status="completed", content=[OutputText(text="So")])
    thought = ReasoningItem(id="rs_1")
    call = FunctionCallItem(id="fc_1", status="completed", arguments="{}", call_id="c", name="f")

    renamed = seal_item_ids([thought, said, call], conversation)

    assert renamed == {"rs_1": thought.id, "msg_1": said.id}
    assert call.id == "fc_1"
    assert json.loads(SEAL.open(said.id, "msg_s1_") or b"")[0]["id"] == "msg_1"
    assert json.loads(SEAL.open(thought.id, "rs_s1_") or b"")[0]["type"] == "reasoning"


def test_an_item_that_is_too_large_keeps_its_plain_id() -> None:
    _, conversation = read()
    said = MessageItem(id="msg_1", status="completed", content=[OutputText(text="a" * MAX_ITEMS)])

    assert seal_item_ids([said], conversation) == {}
    assert said.id == "msg_1"
