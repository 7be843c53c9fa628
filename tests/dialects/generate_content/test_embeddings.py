"""Google's embedding methods on a service with OpenAI's /embeddings."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, Upstream
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.dialects.generate_content.embeddings import EmbeddingsUpstream
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.openai import OpenAIUpstream

UPSTREAM: Upstream = EmbeddingsUpstream(OpenAIUpstream("openai"))
HI = {"content": {"parts": [{"text": "Hi"}]}}
HO = {"content": "Ho"}
ANSWER = {
    "data": [
        {"index": 1, "embedding": [0.25, 1e-3]},
        {"index": 0, "embedding": [-0.50]},
    ],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}


def a_call(verb: str, body: Any, *, strict: bool = False) -> Call:
    return Call(
        endpoint=verb,
        model="small",
        target_model="text-embedding-3-small",
        stream=False,
        body=json.dumps(body).encode(),
        id="c" * 24,
        created=1_800_000_000,
        now=1.0,
        query="alt=json",
        strict_params=strict,
    )


def embed(body: Any, verb: str = "embedContent", **more: bool) -> Exchange:
    call = a_call(verb, body, **more)
    assert UPSTREAM.needs(call).urls == ()
    return UPSTREAM.exchange(call, {})


def asked(exchange: Exchange) -> Any:
    (request,) = exchange.requests
    assert (request.method, request.path) == ("POST", "/embeddings")
    return json.loads(request.body)


def refusal(body: Any, verb: str = "embedContent", **more: bool) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        embed(body, verb, **more)
    return caught.value


def test_one_text() -> None:
    exchange = embed({**HI, "outputDimensionality": 8})
    exchange.translate_reply(json.dumps(ANSWER).encode())

    expected = {"model": "text-embedding-3-small", "input": ["Hi"], "dimensions": 8}
    assert asked(exchange) == expected
    assert json.loads(exchange.answer()) == {"embedding": {"values": [-0.5]}}
    assert exchange.usage == exchange.partial_usage == TokenUsage(4)
    assert exchange.weight > 0
    assert (exchange.headers, exchange.raw) == ((), False)


def test_a_batch_is_one_call_and_keeps_its_order() -> None:
    exchange = embed({"requests": [HI, HO]}, "batchEmbedContents")
    exchange.translate_reply(json.dumps(ANSWER).encode())

    assert asked(exchange) == {"model": "text-embedding-3-small", "input": ["Hi", "Ho"]}
    assert json.loads(exchange.answer()) == {
        "embeddings": [{"values": [-0.5]}, {"values": [0.25, 0.001]}]
    }


def test_digits_stay_as_the_service_wrote_them() -> None:
    exchange = embed(HI)
    exchange.translate_reply(b'{"data":[{"embedding":[ 0.10,-1e-05 ]}]}')

    assert exchange.answer() == b'{"embedding":{"values":[ 0.10,-1e-05 ]}}'


def test_what_a_text_is_for_is_named() -> None:
    exchange = embed({**HI, "task_type": "RETRIEVAL_QUERY", "title": "t"})
    batch = embed({"requests": [HI, {**HO, "taskType": "X"}]}, "batchEmbedContents")

    assert exchange.headers == (("x-jarvis-ignored", "taskType, title"),)
    assert batch.headers == (("x-jarvis-ignored", "requests[1].taskType"),)
    assert refusal({**HI, "title": "t"}, strict=True).param == "title"


@pytest.mark.parametrize(
    ("verb", "body", "param"),
    [
        ("embedContent", {"content": {"parts": [{"inlineData": {}}]}}, "content"),
        ("embedContent", {"content": {"parts": 3}}, "content.parts"),
        ("batchEmbedContents", {"requests": []}, "requests"),
        ("batchEmbedContents", {"requests": [HI] * 2049}, "requests"),
        (
            "batchEmbedContents",
            {"requests": [HI, {**HO, "outputDimensionality": 8}]},
            "requests[0].outputDimensionality",
        ),
    ],
)
def test_what_cannot_be_embedded_is_refused(verb: str, body: Any, param: str) -> None:
    error = refusal(body, verb)

    assert error.status == 400
    assert (error.param or "").lstrip(".") == param


@pytest.mark.parametrize("body", [b"{}", b'{"data":[]}', b"[]", b"oops"])
def test_an_answer_without_vectors_is_none(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        embed(HI).translate_reply(body)

    assert caught.value.code == "upstream_bad_response"


def test_a_refused_key_of_the_proxy_is_reported_as_such() -> None:
    exchange = embed(HI)
    error = exchange.translate_error(401, {}, b"{}")

    assert error is not None
    assert error.code == "upstream_auth_failed"
    assert exchange.recover(400, b"{}") is None
    assert exchange.stream_translator().done is False


def test_other_calls_are_the_upstreams_own() -> None:
    call = a_call("embeddings", {"input": "Hi"})

    assert UPSTREAM.needs(call).urls == ()
    assert UPSTREAM.exchange(call, {}).raw is True
