"""Gemini as an upstream: addresses, headers, recoveries."""

import json
from collections import Counter
from collections.abc import Mapping

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.base import (
    Call,
    Exchange,
    Needs,
    StreamTranslator,
    TokenUsage,
    Upstream,
)
from jarvis_proxy.upstreams.gemini.embeddings import EmbeddingsExchange
from jarvis_proxy.upstreams.gemini.request import ChatPlan, Relaxation
from jarvis_proxy.upstreams.gemini.signatures import MemoryVault, Remembered
from jarvis_proxy.upstreams.gemini.upstream import GeminiChatExchange, GeminiUpstream
from tests.upstreams.gemini.replies import (
    NOW,
    a_call,
    a_frame,
    a_function_call,
    a_plan,
    a_usage,
    an_exchange,
    ids,
)


def an_upstream(vault: MemoryVault | None = None) -> GeminiUpstream:
    return GeminiUpstream("gemini", vault=vault or MemoryVault(), new_id=ids())


def a_chat(
    text: str = "Hi", *, target: str = "gemini-3.5-flash", stream: bool = False, **more: object
) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return replaced(a_call(stream=stream, target=target), body=json.dumps(body).encode())


def replaced(call: Call, *, body: bytes = b"", endpoint: str = "chat/completions") -> Call:
    return Call(
        endpoint=endpoint,
        model=call.model,
        target_model=call.target_model,
        stream=call.stream,
        body=body,
        id=call.id,
        created=call.created,
        now=call.now,
    )


def refusal(call: Call) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        an_upstream().exchange(call, {})
    return caught.value


# -- there -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "path"),
    [
        (False, "/models/gemini-3.5-flash:generateContent"),
        (True, "/models/gemini-3.5-flash:streamGenerateContent?alt=sse"),
    ],
)
def test_a_chat_goes_to_generate_content(stream: bool, path: str) -> None:
    (request,) = an_upstream().exchange(a_chat("Hello", stream=stream), {}).requests

    assert (request.method, request.path) == ("POST", path)
    assert request.headers == {"Content-Type": "application/json"}
    assert json.loads(request.body)["contents"] == [{"role": "user", "parts": [{"text": "Hello"}]}]


def test_each_choice_is_a_request_of_its_own() -> None:
    requests = an_upstream().exchange(a_chat(n=3), {}).requests

    assert len(requests) == 3
    assert len(set(map(str, requests))) == 1


def test_embeddings_have_an_exchange_of_their_own() -> None:
    call = replaced(a_call(), body=b'{"model":"m","input":"x"}', endpoint="embeddings")

    assert isinstance(an_upstream().exchange(call, {}), EmbeddingsExchange)


@pytest.mark.parametrize("endpoint", ["audio/speech", "completions", "responses", "models"])
def test_other_endpoints_are_refused_with_the_address_that_serves(endpoint: str) -> None:
    error = refusal(replaced(a_call(), endpoint=endpoint))

    assert (error.status, error.code) == (400, "unsupported_endpoint")
    assert f"/v1/{endpoint}" in error.message
    assert "/v1/chat/completions" in error.message
    assert "/v1/embeddings" in error.message


@pytest.mark.parametrize("endpoint", ["chat/completions", "embeddings"])
@pytest.mark.parametrize(
    "name", ["a/b", "../files", "", "..", "a?b", "a:b", "a%2Fb", "é", "a b", "a\n"]
)
def test_a_name_that_could_lead_elsewhere_is_no_model(name: str, endpoint: str) -> None:
    call = replaced(a_call(target=name), body=a_chat().body, endpoint=endpoint)

    error = refusal(call)

    assert (error.status, error.code) == (404, "model_not_found")
    assert "`my-model`" in error.message


def test_needs_are_those_of_a_chat() -> None:
    url = "https://example.com/a.png"
    image = {"type": "image_url", "image_url": {"url": url}}
    call = {"id": "call_x-1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [image]},
            {"role": "assistant", "tool_calls": [call]},
        ],
    }
    chat = replaced(a_call(), body=json.dumps(body).encode())

    assert an_upstream().needs(chat) == Needs((url,), ("call_x-1",))
    assert an_upstream().needs(replaced(chat, endpoint="embeddings")) == Needs()


def test_it_is_what_the_shell_expects() -> None:
    upstream: Upstream = an_upstream()
    exchange: Exchange = upstream.exchange(a_chat(), {})
    translator: StreamTranslator = exchange.stream_translator()

    assert (upstream.name, exchange.raw, translator.done) == ("gemini", False, False)


# -- and back ---------------------------------------------------------------------------------


def test_headers_name_what_was_left_out_and_who_answered() -> None:
    exchange = an_exchange(a_plan(ignored=("logit_bias", "seed")))
    assert exchange.headers == (("x-jarvis-ignored", "logit_bias, seed"),)

    frame = {**a_frame({"text": "a"}, finish="STOP"), "modelVersion": "gemini-3.8-flash"}
    exchange.translate_reply(json.dumps(frame).encode())

    assert ("x-gemini-model-version", "gemini-3.8-flash") in list(exchange.headers)


@pytest.mark.parametrize("version", ["a\r\nb", "é", "", "x" * 200])
def test_a_version_that_is_no_header_value_is_not_one(version: str) -> None:
    exchange = an_exchange()
    frame = {**a_frame({"text": "a"}, finish="STOP"), "modelVersion": version}
    exchange.translate_reply(json.dumps(frame).encode())

    assert exchange.headers == ()


def test_tokens_are_known_when_the_answer_is() -> None:
    exchange = an_exchange()
    assert exchange.usage is None

    frame = a_frame({"text": "a"}, finish="STOP", usage=a_usage(3, 4, 5))
    exchange.translate_reply(json.dumps(frame).encode())

    assert exchange.usage == TokenUsage(3, 9, reasoning=5)


def test_an_answer_that_goes_on_is_asked_for_with_its_token() -> None:
    exchange = an_exchange(a_plan(body=b'{"contents":[1]}'))
    hop = a_frame({"text": "a"}, finish="CONTINUATION", continuationToken='t"1')
    (request,) = exchange.requests

    following = exchange.translate_reply(json.dumps(hop).encode())
    assert following is not None
    assert (following.path, following.headers) == (request.path, request.headers)
    assert json.loads(following.body) == {"continuationToken": 't"1', "contents": [1]}
    exchange.translate_reply(json.dumps(a_frame({"text": "b"}, finish="STOP")).encode())

    (choice,) = json.loads(exchange.answer())["choices"]
    assert choice["message"]["content"] == "ab"


def test_errors_are_always_translated() -> None:
    exchange = an_exchange()

    named = exchange.translate_error(404, {}, b'{"error":{"message":"models/x is not found"}}')
    limited = exchange.translate_error(429, {"retry-after": "7"}, b"")

    assert "`my-model`" in named.message
    assert limited.retry_after == 7.0


def test_a_call_that_was_answered_is_signed_when_it_comes_back() -> None:
    """From one turn's answer to the next one's request, through a client that keeps the id."""
    vault = MemoryVault()
    sources: Counter[str] = Counter()
    upstream = GeminiUpstream("gemini", vault=vault, new_id=ids(), signature_sources=sources)
    first = upstream.exchange(a_chat(), {})
    part = {**a_function_call("f", {"a": 1}, id="dv8szvqe"), "thoughtSignature": "EvsBCvgB"}
    first.translate_reply(json.dumps(a_frame(part, finish="STOP")).encode())
    (call,) = json.loads(first.answer())["choices"][0]["message"]["tool_calls"]
    assert vault.get(call["id"], NOW) == Remembered("EvsBCvgB", "dv8szvqe")

    history = [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": call["id"], "type": "function", "function": call["function"]},
            ],
        },
        {"role": "tool", "tool_call_id": call["id"], "content": "done"},
    ]
    body = json.dumps({"model": "m", "messages": history}).encode()
    second = upstream.exchange(replaced(a_call(target="gemini-3.5-flash"), body=body), {})

    contents = json.loads(second.requests[0].body)["contents"]
    assert contents[1]["parts"][0]["thoughtSignature"] == "EvsBCvgB"
    assert contents[1]["parts"][0]["functionCall"]["id"] == "dv8szvqe"
    assert sources == {"vault": 1}


# -- recovery -----------------------------------------------------------------------------------


class Builder:
    """Makes plans, and remembers how relaxed each was."""

    def __init__(self) -> None:
        self.asked: list[Relaxation] = []

    def __call__(self, relaxation: Relaxation) -> ChatPlan:
        self.asked.append(relaxation)
        return a_plan(body=json.dumps({"n": len(self.asked)}).encode())


def recovering(builder: Builder) -> GeminiChatExchange:
    return GeminiChatExchange(a_call(), builder, vault=MemoryVault(), new_id=ids())


def refused(message: str) -> bytes:
    return json.dumps({"error": {"code": 400, "message": message}}).encode()


RECOVERIES: Mapping[str, Relaxation] = {
    "Function call is missing a thought_signature in functionCall parts.": Relaxation(
        sentinel_signatures=True
    ),
    "Thought signature is not valid": Relaxation(sentinel_signatures=True),
    "Corrupted thought signature.": Relaxation(sentinel_signatures=True),
    "Thinking level MINIMAL is not supported for this model.": Relaxation(no_thinking=True),
    "thinking_budget is out of range": Relaxation(no_thinking=True),
    "The schema produces a constraint that has too many states for serving.": Relaxation(
        loose_schemas=True
    ),
}


@pytest.mark.parametrize("message", RECOVERIES)
def test_a_refusal_that_we_know_is_tried_again_with_a_change(message: str) -> None:
    builder = Builder()

    recovered = recovering(builder).recover(400, refused(message))

    assert recovered is not None
    assert builder.asked == [Relaxation(), RECOVERIES[message]]
    assert json.loads(recovered.requests[0].body) == {"n": 2}


@pytest.mark.parametrize("message", RECOVERIES)
def test_each_change_is_made_once(message: str) -> None:
    recovered = recovering(Builder()).recover(400, refused(message))

    assert recovered is not None
    assert recovered.recover(400, refused(message)) is None


def test_changes_add_up() -> None:
    exchange: GeminiChatExchange | None = recovering(builder := Builder())
    for message in RECOVERIES:
        assert exchange is not None
        exchange = exchange.recover(400, refused(message)) or exchange

    everything = Relaxation(sentinel_signatures=True, no_thinking=True, loose_schemas=True)
    assert builder.asked[-1] == everything
    assert len(builder.asked) == 4


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refused("Invalid value")),
        (400, b"thought_signature"),
        (400, b""),
        (404, refused("thought_signature")),
        (500, refused("too many states")),
    ],
)
def test_other_refusals_are_final(status: int, body: bytes) -> None:
    assert recovering(Builder()).recover(status, body) is None


def test_an_array_around_the_refusal_changes_nothing() -> None:
    body = b"[" + refused("Thought signature is not valid") + b"]"

    assert recovering(Builder()).recover(400, body) is not None
