"""What a conversation brings along from Gemini and from Anthropic, on its way to a chat service."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange
from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.upstreams.chat.foreign_state import (
    relay_chat,
    without_foreign_items,
    without_foreign_state,
)
from jarvis_proxy.upstreams.chat.target import chat_target
from jarvis_proxy.upstreams.openai import OpenAIUpstream

Json = dict[str, Any]
DEEPSEEK = "https://api.deepseek.com"
OPENAI = "https://api.openai.com/v1"
UNKNOWN = "http://127.0.0.1:8000/v1"
GOOGLES = '"extra_content":{"google":{"thought_signature":"AbC="}}'
BLOCKS = '"thinking_blocks":[{"type":"thinking","thinking":"Hm","signature":"S"}]'
DEMAND = b'{"error":{"message":"The `reasoning_content` must be passed back to the API."}}'


def assistant(fields: str) -> bytes:
    """Return a request whose assistant's message has *fields*, JSON in an odd but valid form."""
    return (
        b'{"x": 1.0, "messages":[{"role":"user","content":"\\u00fc"},'
        b'{"role":"assistant",%b}],"big":12345678901234567890}' % fields.encode()
    )


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        (f'"content":"a",{BLOCKS}', '"content":"a"'),
        (f'"content":"a","reasoning_content":"Hm",{BLOCKS}', '"content":"a"'),
        (f'"content":"a",{GOOGLES}', '"content":"a"'),
        (
            f'"tool_calls":[{{"id":"1",{GOOGLES}}},{{"id":"2"}},{{"id":"3",{GOOGLES}}}]',
            '"tool_calls":[{"id":"1"},{"id":"2"},{"id":"3"}]',
        ),
        (
            '"extra_content":{"google":{"thought_signature":"A"},"mine":1.0}',
            '"extra_content":{"mine":1.0}',
        ),
        (f'"extra_content":{{"mine":1.0}},{BLOCKS}', '"extra_content":{"mine":1.0}'),
    ],
)
def test_state_of_others_is_cut_and_nothing_else(fields: str, left: str) -> None:
    body = without_foreign_state(assistant(fields))

    whole = assistant(left).replace(b'{"x": 1.0, "mess', b'{"x":1.0,"mess')
    assert body == whole


@pytest.mark.parametrize(
    "body",
    [
        assistant('"content":"a","reasoning_content":"its own"'),
        b'{"messages":[{"role":"user","thinking_blocks":1}] }',
        b'{"messages":[{"role":"assistant","content":"of \\"thinking_blocks\\""}] }',
        assistant('"content":"a","extra_content":{"mine": {"thought_signature": 1}}'),
        b'{"messages": 7, "thinking_blocks": 1}',
        b'{"messages":[{"role":"assistant","thinking_blocks"',
        b'["thinking_blocks"]',
    ],
)
def test_other_bodies_keep_their_bytes(body: bytes) -> None:
    assert without_foreign_state(body) is body


def test_messages_without_state_keep_their_bytes() -> None:
    said = '"content": "b",  "reasoning_content":"its own"}'
    body = without_foreign_state(
        assistant(f'"content":"a",{BLOCKS}}},{{"role":"assistant",{said}'[:-1])
    )

    assert b"thinking" not in body
    assert said.encode() in body


def test_halves_of_surrogate_pairs_stay() -> None:
    body = without_foreign_state(assistant(f'"content":"\\ud83d",{BLOCKS}'))

    assert b'"content":"\\ud83d"}' in body
    assert b"thinking" not in body


def a_call(body: bytes, *, model: str = "m", target: str = "m") -> Call:
    return Call(
        endpoint="chat/completions",
        model=model,
        target_model=target,
        stream=False,
        body=body,
        id="b" * 24,
        created=1,
        now=0.0,
    )


def relayed(url: str, body: bytes) -> Exchange:
    return relay_chat(OpenAIUpstream("up"), chat_target("up", url, ""), a_call(body))


def sent(exchange: Exchange | None) -> bytes:
    assert exchange is not None
    (request,) = exchange.requests
    return request.body


MOVED = assistant(f'"content":"a",{BLOCKS}')


@pytest.mark.parametrize("url", [DEEPSEEK, OPENAI])
def test_services_without_such_fields_never_get_them(url: str) -> None:
    exchange = relayed(url, MOVED)

    assert b"thinking" not in sent(exchange)
    assert exchange.weight == len(sent(exchange))
    assert exchange.recover(400, b'{"error":{"message":"No."}}') is None


def test_openai_gets_no_reasoning_of_other_services() -> None:
    body = assistant('"content":"a","reasoning_content":"of DeepSeek"')

    assert sent(relayed(OPENAI, body)) == assistant('"content":"a"').replace(b": 1.0, ", b":1.0,")
    assert sent(relayed(DEEPSEEK, body)) is body


def test_a_service_that_may_have_given_them_gets_the_request_as_it_came() -> None:
    exchange = relayed(UNKNOWN, MOVED)

    assert sent(exchange) is MOVED
    assert exchange.recover(500, b"{}") is None
    again = exchange.recover(422, b'{"error":{"message":"unknown field"}}')
    assert sent(again) == without_foreign_state(MOVED)


@pytest.mark.parametrize("url", [DEEPSEEK, UNKNOWN])
def test_calls_that_it_never_thought_about_are_sent_without_thinking(url: str) -> None:
    moved = MOVED.replace(b'"x": 1.0', b'"reasoning_effort":"high"')
    exchange: Exchange | None = relayed(url, moved)
    if url == UNKNOWN:
        assert exchange is not None
        exchange = exchange.recover(400, DEMAND)
    assert exchange is not None
    last = exchange.recover(400, DEMAND)

    body = json.loads(sent(last))
    assert body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in body
    assert last is not None
    assert last.recover(400, DEMAND) is None


def test_a_conversation_that_did_not_move_is_not_changed_to_please_a_service() -> None:
    body = assistant('"content":null,"tool_calls":[{"id":"1"}]')
    exchange = relayed(DEEPSEEK, body)

    assert sent(exchange) is body
    assert exchange.recover(400, DEMAND) is None


def test_an_alias_holds_for_the_changed_request_too() -> None:
    call = a_call(MOVED.replace(b"{", b'{"model":"alias",', 1), model="alias", target="m")
    exchange = relay_chat(OpenAIUpstream("up"), chat_target("up", OPENAI, ""), call)

    body = json.loads(sent(exchange))
    assert (body["model"], next(iter(body))) == ("m", "model")


def reasoning(text: str) -> Json:
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text}


def test_sealed_items_of_others_are_cut_out_of_a_response() -> None:
    seals = [seal(SealedState(owner, "AbC=")) for owner in ("gemini", "anthropic", "chat.other")]
    message: Json = {"role": "user", "content": 'of "gemini:"'}
    items = [message, *map(reasoning, seals), reasoning("gAAAA-of-openai")]
    body = without_foreign_items(json.dumps({"input": items, "x": 1.5}).encode())

    assert json.loads(body) == {"input": [message, items[-1]], "x": 1.5}


@pytest.mark.parametrize(
    "body",
    [
        b'{"input": "say \\"gemini:x\\"" }',
        b'{"input": "\\"gemini:", "x":"gemini:"}',
        b'{"input":[{"type":"message","encrypted_content":"gemini:x"}] }',
        b'{"input":[{"type":"reasoning","encrypted_content":"of OpenAI"}] }',
    ],
)
def test_other_responses_keep_their_bytes(body: bytes) -> None:
    assert without_foreign_items(body) is body
