"""Half an emoji in a request, at the socket: relayed as it is, translated as U+FFFD."""

import json

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

JSON = {**BEARER, "Content-Type": "application/json"}
HALF = rb"\ud83d"
TOOL = rb'{"type":"function","function":{"name":"f","description":"d %b","parameters":%b}}'
RELAYED = {
    "chat": ("chat/completions", rb'{"messages":[{"role":"user","content":"cut %b"}],"model":"M"}'),
    "low": ("chat/completions", rb'{"model":"M", "messages":[{"content":"\uDE00 %b\\"}]}'),
    "name": ("chat/completions", rb'{"model":"M","%b":{"%b":[1]}}'),
    "large": ("chat/completions", rb'{"model":"M","a":"' + b"a" * 300_000 + rb'","b":"%b\n"}'),
    "completions": ("completions", rb'{"prompt":"%b","model":"M"}'),
    "responses": ("responses", rb'{"input":[{"role":"user","content":"%b and"}],"model":"M"}'),
    "embeddings": ("embeddings", rb'{"input":["%b"],"model":"M"}'),
    "images": ("images/generations", rb'{"prompt":"%b","model":"M"}'),
    "moderations": ("moderations", rb'{"input":"%b","model":"M"}'),
}


async def openai(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


async def gemini(peer: Peer, request: Received) -> None:
    if "Embed" in request.path:
        await peer.reply(b'{"embeddings":[{"values":[1]}]}')
        return
    parts = [{"text": "Hi"}]
    frame = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    await peer.reply(json.dumps(frame).encode())


async def ask(
    upstream: RawUpstream, path: str, body: bytes, **settings: str
) -> tuple[RawResponse, Received]:
    async with upstream.running():
        urls = {"openai": upstream.base_url, "gemini": upstream.base_url}
        async with running_proxy(**urls, **settings) as proxy:
            response = await fetch(proxy.port, f"/v1/{path}", body, JSON)
    assert response.status == 200, response.body
    (received,) = upstream.received
    return response, received


def filled(template: bytes, model: bytes) -> bytes:
    return template.replace(b"%b", HALF).replace(b'"M"', b'"%b"' % model)


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in RELAYED.items()])
async def test_half_an_emoji_is_relayed_as_it_came(case: tuple[str, bytes]) -> None:
    path, template = case
    body = filled(template, b"gpt-4o")

    _, received = await ask(RawUpstream(openai), path, body)

    assert received.body == body


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in RELAYED.items()])
async def test_half_an_emoji_is_relayed_with_another_model_name(
    case: tuple[str, bytes],
) -> None:
    path, template = case

    _, received = await ask(
        RawUpstream(openai), path, filled(template, b"other"), MODEL_ALIASES="other=openai/gpt-4o"
    )

    sent = json.loads(filled(template, b"gpt-4o"))
    assert json.loads(received.body) == sent
    assert received.body.count(HALF) == filled(template, b"").count(HALF)


async def test_half_an_emoji_is_relayed_with_the_default_model() -> None:
    body = rb'{"messages":[{"role":"user","content":"cut \ud83d"}]}'

    _, received = await ask(RawUpstream(openai), "chat/completions", body, DEFAULT_MODEL="gpt-4o")

    assert received.body == body[:-1] + b',"model":"gpt-4o"}'


CALL = rb'{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":\"%b\"}"}}'
TRANSLATED = {
    "text": (rb'{"role":"user","content":"cut %b"}', "cut \ufffd"),
    "part": (rb'{"role":"user","content":[{"type":"text","text":"cut %b"}]}', "cut \ufffd"),
    "system": (rb'{"role":"system","content":"cut %b"}', "cut \ufffd"),
    "arguments": (
        rb'{"role":"user","content":"q"},{"role":"assistant","tool_calls":[%b]}'
        % CALL.replace(b"%b", rb"cut \\ud83d"),
        {"a": "cut \ufffd"},
    ),
    "result": (
        rb'{"role":"user","content":"q"},{"role":"assistant","tool_calls":[%b]},'
        rb'{"role":"tool","tool_call_id":"c1","content":"{\"r\":\"cut \\ud83d\"}"}'
        % CALL.replace(b"%b", b"x"),
        {"r": "cut \ufffd"},
    ),
}


def found(value: object, wanted: object) -> bool:
    """Return whether *wanted* stands anywhere in *value*."""
    if value == wanted:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(found(item, wanted) for item in inner)


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [pytest.param(*case, id=name) for name, case in TRANSLATED.items()],
)
async def test_half_an_emoji_is_u_fffd_for_gemini(messages: bytes, wanted: object) -> None:
    body = b'{"model":"gemini-3.8-flash","messages":[%b]}' % messages.replace(b"%b", HALF)

    _, received = await ask(RawUpstream(gemini), "chat/completions", body)

    assert found(json.loads(received.body), wanted)


async def test_half_an_emoji_in_a_tool_of_gemini() -> None:
    schema = rb'{"type":"object","properties":{"p%b":{"type":"string","enum":["%b"]}}}'
    tool = (TOOL % (HALF, schema)).replace(b"%b", HALF)
    body = rb'{"model":"gemini-3.8-flash","messages":[{"role":"user","content":"q"}],"tools":[%b]}'

    _, received = await ask(RawUpstream(gemini), "chat/completions", body % tool)

    (declared,) = json.loads(received.body)["tools"][0]["functionDeclarations"]
    assert declared["description"] == "d \ufffd"
    assert declared["parametersJsonSchema"]["properties"]["p\ufffd"]["enum"] == ["\ufffd"]


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("responses", rb'{"model":"gemini-3.8-flash","input":"cut %b"}', "cut \ufffd"),
        (
            "responses",
            rb'{"model":"gemini-3.8-flash","instructions":"\ude00","input":"q"}',
            "\ufffd",
        ),
        ("embeddings", rb'{"model":"gemini-embedding-2","input":["cut %b"]}', "cut \ufffd"),
    ],
    ids=["responses", "instructions", "embeddings"],
)
async def test_half_an_emoji_on_other_endpoints_of_gemini(
    path: str, body: bytes, wanted: str
) -> None:
    _, received = await ask(RawUpstream(gemini), path, body.replace(b"%b", HALF))

    assert found(json.loads(received.body), wanted)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat/completions", rb'{"messages":[{"role":"user","content":"cut \ud83d"}]}'),
        ("responses", rb'{"input":"cut \ud83d"}'),
    ],
)
async def test_half_an_emoji_is_echoed_as_u_fffd(path: str, body: bytes) -> None:
    async with running_proxy() as proxy:
        named = body[:-1] + b',"model":"jarvis-echo"}'
        response = await fetch(proxy.port, f"/v1/{path}", named, JSON)

    assert response.status == 200
    assert "cut \ufffd" in json.dumps(json.loads(response.body), ensure_ascii=False)
