"""`jarvis-echo`: says the last user message again, in a form that every client takes."""

import json
import tracemalloc
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Prerequisites
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.dialects.responses.writer import write_message
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams import echo
from jarvis_proxy.upstreams.echo import EchoReply, EchoUpstream
from tests.dialects.responses.events import read, rebuild
from tests.upstreams.openai_streams import Outcome, play

CALL = Call(
    endpoint="chat/completions",
    model="jarvis-echo",
    target_model="jarvis-echo",
    stream=False,
    body=b'{"model":"jarvis-echo"}',
    id="abc",
    created=1_700_000_000,
    now=5.0,
    headers={"content-type": "application/json"},
)
reply = partial(echo.reply, write=write_message)
GREETING = "Hello from jarvis-echo: send a user message and it comes back."


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def asked(*messages: object, **fields: object) -> EchoReply:
    body = json.dumps({"model": "jarvis-echo", "messages": list(messages), **fields})
    return reply(body.encode(), reply_id="abc", created=1_700_000_000)


def whole(*messages: object) -> dict[str, Any]:
    (body,) = asked(*messages).pieces
    ChatCompletion.model_validate_json(body, strict=True)
    answer: dict[str, Any] = json.loads(body)
    return answer


def chunks(answer: EchoReply) -> list[dict[str, Any]]:
    *events, done = answer.pieces
    assert done == b"data: [DONE]\n\n"
    found = []
    for event in events:
        assert event.startswith(b"data: {")
        assert event.endswith(b"}\n\n")
        ChatCompletionChunk.model_validate_json(event[6:], strict=True)
        found.append(json.loads(event[6:]))
    return found


def said(answer: EchoReply) -> str:
    return "".join(
        choice["delta"].get("content", "")
        for chunk in chunks(answer)
        for choice in chunk["choices"]
    )


def test_whole_answer_has_every_required_field() -> None:
    assert whole({"role": "system", "content": "Be brief."}, user("Hi there!")) == {
        "id": "chatcmpl-abc",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "jarvis-echo",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi there!", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
    }


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([user("one"), user("two")], "two"),
        ([user("one"), {"role": "assistant", "content": "two"}], "one"),
        ([user("one"), user("")], "one"),
        ([user("one"), user(None)], "one"),
        ([user("one"), {"role": "user"}], "one"),
        ([user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], "a\nb"),
        ([user([{"type": "image_url", "image_url": {"url": "x"}}, {"text": "see"}])], "see"),
        ([user([{"text": 7}, "bare", None, {"text": "x"}])], "x"),
        ([user({"text": "no list"})], GREETING),
        ([user(7)], GREETING),
        ([user("  \n ")], "  \n "),
        ([{"role": "system", "content": "only"}], GREETING),
        ([{"content": "without a role"}], GREETING),
        ([], GREETING),
    ],
)
def test_last_user_text_comes_back(messages: list[object], text: str) -> None:
    assert whole(*messages)["choices"][0]["message"]["content"] == text
    assert said(asked(*messages, stream=True)) == text


def test_request_without_messages_is_greeted() -> None:
    (body,) = reply(b"{}", reply_id="x", created=1).pieces

    assert json.loads(body)["choices"][0]["message"]["content"] == GREETING


def test_stream_comes_word_by_word_with_one_finish_and_done() -> None:
    answer = asked(user("Hé  there,\nyou"), stream=True)
    choices = [chunk["choices"][0] for chunk in chunks(answer)]

    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "Hé  "},
        {"content": "there,\n"},
        {"content": "you"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["stop"]
    assert all(choice["index"] == 0 for choice in choices)
    assert {
        (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks(answer)
    } == {("chatcmpl-abc", "chat.completion.chunk", 1_700_000_000, "jarvis-echo")}
    assert answer.content_type == "text/event-stream; charset=utf-8"


def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for() -> None:
    """Clients that hold back chunks with usage would lose the answer if all of them had it."""
    options = {"include_usage": True}
    *others, last = chunks(asked(user("a b c"), stream=True, stream_options=options))

    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert all(chunk["usage"] is None for chunk in others)
    assert not any("usage" in chunk for chunk in chunks(asked(user("a b c"), stream=True)))


def test_stream_is_complete_by_the_rules_for_every_upstream() -> None:
    pieces = asked(user("a b"), stream=True, stream_options={"include_usage": True}).pieces

    assert play("chat", pieces) == Outcome(b"".join(pieces), None, True, TokenUsage(2, 2))


def test_answer_under_the_name_that_was_asked_for() -> None:
    (body,) = asked(user("x"), model="an-alias").pieces

    assert json.loads(body)["model"] == "an-alias"


def test_echo_refuses_very_many_values_before_it_decodes_them() -> None:
    body = b'{"model":"jarvis-echo","messages":[{"role":"user","content":[%b1]}]}' % (
        b"{}," * 300_000
    )
    tracemalloc.start()
    try:
        with pytest.raises(ProxyError) as caught:
            reply(body, reply_id="1", created=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.code == "context_length_exceeded"
    assert peak < 2 * len(body)


@pytest.mark.parametrize("endpoint", ["chat/completions", "responses"])
def test_echo_takes_no_more_memory_than_a_few_times_its_text(endpoint: str) -> None:
    text = "a " * 49_000
    body = {"model": "jarvis-echo", "messages": [user(text)], "input": text, "stream": True}
    answer = reply(json.dumps(body).encode(), reply_id="1", created=0, endpoint=endpoint)
    pieces = tuple(answer.pieces)

    assert sum(map(len, pieces)) < 12 * len(text)
    assert len(pieces) < 1100
    assert b"".join(pieces).count(b"a ") >= 49_000


@pytest.mark.parametrize(("words", "pace"), [(1, 0.03), (100, 0.03), (300, 0.01), (30_000, 0.003)])
def test_stream_is_paced_but_never_longer_than_three_seconds(words: int, pace: float) -> None:
    answer = asked(user("a " * words), stream=True)

    assert answer.pace == pytest.approx(pace)
    assert asked(user("a")).pace == 0


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":"hi"}',
        b'{"messages":{"role":"user"}}',
        b'{"messages":[1]}',
        b'{"messages":[{"role":7}]}',
        b'{"messages":null}',
        b"[]",
        b"{",
        b"",
        b'{"messages":[{"role":"\xff"}]}',
        b'{"messages":[{"content":' + b"[" * 100_000,
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_messages_in_another_form_are_a_400(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        reply(body, reply_id="x", created=1)

    assert (caught.value.status, caught.value.code) == (400, "invalid_type")
    assert caught.value.param == "messages"


@pytest.mark.parametrize("fits", [True, False])
def test_conversation_past_the_limit_is_a_400_as_of_other_models(fits: bool) -> None:
    """Every word becomes a chunk: a body of 64 MB would become gigabytes."""
    messages = [user("a " * 25_000), user("b" * 50_000 + ("" if fits else "b"))]

    if fits:
        assert said(asked(*messages, stream=True)) == "b" * 50_000
        return
    with pytest.raises(ProxyError) as caught:
        asked(*messages)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    assert caught.value.param == "messages"


def test_exchange_carries_id_and_time_to_the_reply() -> None:
    """The built-in model has neither a clock nor chance of its own."""
    upstream = EchoUpstream("jarvis")

    (request,) = upstream.exchange(CALL, {}).requests

    assert upstream.needs(CALL) == Prerequisites()
    assert request.path == "/chat/completions"
    assert request.body is CALL.body
    assert request.headers == {"x-jarvis-call": "abc", "x-jarvis-created": "1700000000"}


@pytest.mark.parametrize("endpoint", ["completions", "embeddings", "audio/speech"])
def test_other_endpoints_are_refused_with_the_right_address(endpoint: str) -> None:
    call = Call(
        endpoint=endpoint,
        model="m" * 100 + "\n",
        target_model="jarvis-echo",
        stream=False,
        body=b"{}",
        id="abc",
        created=1,
        now=1.0,
    )

    with pytest.raises(ProxyError) as caught:
        EchoUpstream("jarvis").exchange(call, {})

    assert (caught.value.status, caught.value.code) == (400, "unsupported_endpoint")
    assert caught.value.param == "model"
    assert "/v1/chat/completions or /v1/responses" in caught.value.message
    assert f"'{'m' * 64}'" in caught.value.message


def responded(given: object, **fields: object) -> EchoReply:
    body = json.dumps({"model": "jarvis-echo", "input": given, **fields})
    return reply(body.encode(), reply_id="abc", created=1_700_000_000, endpoint="responses")


@pytest.mark.parametrize(
    "given_",
    [
        "Hello there",
        [{"role": "user", "content": "Hello there"}],
        [
            {"role": "user", "content": "Before"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"role": "user", "content": [{"type": "input_text", "text": "Hello there"}]},
        ],
    ],
)
def test_a_response_says_the_last_input_again(given_: object) -> None:
    (body,) = responded(given_).pieces

    response = Response.model_validate_json(body)

    assert (response.id, response.output_text) == ("resp_abc", "Hello there")
    assert response.usage is not None
    assert response.usage.output_tokens == 2


def test_a_response_is_streamed_word_by_word() -> None:
    answer = responded("Hello there", stream=True)

    events = read(b"".join(answer.pieces))

    assert answer.content_type == "text/event-stream; charset=utf-8"
    assert answer.pace > 0
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    assert deltas == ["Hello ", "there"]
    assert rebuild(events) == events[-1]["response"]["output"]


@pytest.mark.parametrize("given_", [None, 5, ["a"], {"a": 1}])
def test_input_of_another_form_is_refused(given_: object) -> None:
    with pytest.raises(ProxyError) as caught:
        responded(given_)

    assert (caught.value.status, caught.value.code) == (400, "invalid_type")
    assert caught.value.param == "input"


def test_an_endless_input_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        responded("a" * 100_001)

    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")


@settings(deadline=None)
@given(st.text())
def test_any_text_comes_back_unchanged(text: str) -> None:
    expected = text or GREETING

    assert whole(user(text))["choices"][0]["message"]["content"] == expected
    assert said(asked(user(text), stream=True)) == expected


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_give_an_answer_or_a_400(body: bytes) -> None:
    try:
        status = 200 if reply(body, reply_id="x", created=1).pieces else 0
    except ProxyError as error:
        status = error.status

    assert status in (200, 400)
