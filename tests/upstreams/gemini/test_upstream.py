"""Gemini as an upstream: addresses, headers, recoveries."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import msgspec
import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, Prerequisites, StreamTranslator, Upstream
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.embeddings import EmbeddingsExchange
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, StoredSignature
from tests.support.translated import gemini
from tests.upstreams.gemini.replies import (
    NOW,
    a_call,
    a_frame,
    a_function_call,
    ids,
)


def an_upstream(store: MemorySignatureStore | None = None) -> TranslatedUpstream:
    return gemini(store, ids())


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


@pytest.mark.parametrize("endpoint", ["images/variations", "moderations", "models"])
def test_other_endpoints_are_refused_with_the_address_that_serves(endpoint: str) -> None:
    error = refusal(replaced(a_call(), endpoint=endpoint))

    assert (error.status, error.code) == (400, "unsupported_endpoint")
    assert f"/v1/{endpoint}" in error.message
    assert "/v1/chat/completions" in error.message
    assert "/v1/responses" in error.message
    assert "/v1/embeddings" in error.message


@pytest.mark.parametrize("endpoint", ["chat/completions", "responses", "embeddings"])
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

    assert an_upstream().needs(chat) == Prerequisites((url,), ("call_x-1",))
    assert an_upstream().needs(replaced(chat, endpoint="embeddings")) == Prerequisites()


def decodings(do: Callable[[], object], body: bytes) -> list[object]:
    """Return the types as which *do* had JSON of *body*'s size or more decoded."""
    found: list[object] = []

    def note(frame: FrameType, event: str, arg: object) -> None:
        decoder = getattr(arg, "__self__", None)
        if event == "c_call" and isinstance(decoder, msgspec.json.Decoder):
            given = frame.f_locals.get("body", b"")
            if len(given) >= len(body) // 2:
                found.append(decoder.type)

    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("endpoint", ["chat/completions", "responses"])
def test_body_is_decoded_once(endpoint: str) -> None:
    said = [{"role": "user", "content": "word " * 1000}]
    name = "input" if endpoint == "responses" else "messages"
    body = json.dumps({"model": "m", name: said}).encode()
    call = replaced(a_call(), body=body, endpoint=endpoint)
    upstream = an_upstream()

    def translate() -> None:
        upstream.exchange(call, {}, upstream.needs(call).decoded)

    found = decodings(translate, body)
    assert found
    assert len(found) == len(set(map(str, found)))


@pytest.mark.parametrize("endpoint", ["chat/completions", "responses"])
def test_recovery_builds_the_whole_request_from_the_body_again(endpoint: str) -> None:
    said = [{"role": "user", "content": "canary " * 1000}]
    name = "input" if endpoint == "responses" else "messages"
    body = json.dumps({"model": "m", name: said, "reasoning": {"effort": "low"}}).encode()
    call = replaced(a_call(target="gemini-3.5-flash"), body=body, endpoint=endpoint)
    upstream = an_upstream()
    first = upstream.exchange(call, {}, upstream.needs(call).decoded)

    refusal = b'{"error":{"code":400,"message":"Thinking level is not supported."}}'
    better = first.recover(400, refusal)

    assert better is not None
    sent = [exchange.requests[0].body for exchange in (first, better)]
    assert b"thinkingConfig" in sent[0]
    assert b"thinkingConfig" not in sent[1]
    assert [body.count(b"canary") for body in sent] == [1000, 1000]


def test_it_is_what_the_shell_expects() -> None:
    upstream: Upstream = an_upstream()
    exchange: Exchange = upstream.exchange(a_chat(), {})
    translator: StreamTranslator = exchange.stream_translator()

    assert (upstream.name, exchange.raw, translator.done) == ("gemini", False, False)


def test_a_call_that_was_answered_is_signed_when_it_comes_back() -> None:
    """From one turn's answer to the next one's request, through a client that keeps the id."""
    store = MemorySignatureStore()
    sources: Counter[str] = Counter()
    upstream = gemini(store, ids(), signature_sources=sources)
    first = upstream.exchange(a_chat(), {})
    part = {**a_function_call("f", {"a": 1}, id="dv8szvqe"), "thoughtSignature": "EvsBCvgB"}
    first.translate_reply(json.dumps(a_frame(part, finish="STOP")).encode())
    (call,) = json.loads(first.answer())["choices"][0]["message"]["tool_calls"]
    assert store.get(call["id"], NOW) == StoredSignature("EvsBCvgB", "dv8szvqe")

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
    assert sources == {"store": 1}
