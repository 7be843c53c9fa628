"""No key comes back from an upstream that repeats it: in no error, no header, no log line."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import BEARER, KEY, running_proxy
from tests.support.raw_client import RawResponse, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = pytest.mark.slow

METRICS = "metrics-canary-0123456789"
OURS = "tok/Q7abcdef+ghij/0123456789xyz"
GOOGLES = "Zz8-Q7mnopqrstuv0123456789"
EMBEDDED = "key {} of"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "whole": lambda key: key,
    "escaped slashes": lambda key: key.replace("/", "\\/"),
    "escaped letters": lambda key: "".join(f"\\u{ord(c):04x}" for c in key),
    "percent": lambda key: quote(key, safe=""),
    "first half": lambda key: key[: len(key) // 2],
    "last eight": lambda key: f"...{key[-8:]}",
    "JSON in JSON": lambda key: json.dumps(json.dumps(key.replace("/", "\\/")))[1:-1],
}
IN_HEADERS = ("whole", "percent", "first half", "last eight")
Play = Callable[[Peer, str], Any]


async def error_400(peer: Peer, spelled: str) -> None:
    body = '{"error":{"message":"%s","type":"%s","param":"%s","code":"%s","more":["%s"]}}'
    await peer.reply(body.replace("%s", EMBEDDED.format(spelled)).encode(), 400)


async def error_401(peer: Peer, spelled: str) -> None:
    await peer.reply(f'{{"error":{{"message":"{EMBEDDED.format(spelled)}"}}}}'.encode(), 401)


async def problem(peer: Peer, spelled: str) -> None:
    body = f'{{"title":"x","detail":"{EMBEDDED.format(spelled)}"}}'
    await peer.reply(body.encode(), 422, "application/problem+json")


async def text(peer: Peer, spelled: str) -> None:
    await peer.reply(f"bad {EMBEDDED.format(spelled)}".encode(), 403, "text/plain")


async def page(peer: Peer, spelled: str) -> None:
    await peer.reply(f"<html><p>{EMBEDDED.format(spelled)}</p>".encode(), 500, "text/html")


async def error_in_200(peer: Peer, spelled: str) -> None:
    await peer.reply(f'{{"error":{{"message":"{EMBEDDED.format(spelled)}","code":400}}}}'.encode())


async def number(peer: Peer, spelled: str) -> None:
    await peer.reply(b'{"error":{"message":"m","code":"c"},"n":123456789}', 400)


async def error_event(peer: Peer, spelled: str) -> None:
    await peer.head()
    await peer.chunk(chat_chunk("hi"))
    error = f'{{"error":{{"message":"{EMBEDDED.format(spelled)}","code":"c"}}}}'
    await peer.chunk(f"data: {error}\n\n".encode())
    await peer.last_chunk()


async def failed_response(peer: Peer, spelled: str) -> None:
    """As Responses streams fail: these events go on as they came, but for keys."""
    said = EMBEDDED.format(spelled)
    created = {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}
    error = f'{{"type":"error","code":"c","message":"{said}","param":null,"sequence_number":1}}'
    failed = (
        '{"type":"response.failed","sequence_number":2,"response":{"id":"r","status":"failed",'
        f'"error":{{"code":"c","message":"{said}"}}}}}}'
    )
    await peer.head()
    await peer.chunk(f"event: response.created\ndata: {json.dumps(created)}\n\n".encode())
    await peer.chunk(f"event: error\ndata: {error}\n\n".encode())
    await peer.chunk(f"event: response.failed\ndata: {failed}\n\n".encode())
    await peer.last_chunk()


def marked(spelled: str) -> list[str]:
    return [
        f"x-request-id: a-{spelled}",
        f"openai-model: {spelled}",
        f"x-ratelimit-reset-requests: {spelled}",
        "x-ratelimit-" + re.sub(r"[^\w.-]", "-", spelled) + ": 1",
        f"Content-Disposition: attachment; filename={spelled}",
    ]


async def headers_of_json(peer: Peer, spelled: str) -> None:
    await peer.reply(completion(), extra=marked(spelled))


async def headers_of_stream(peer: Peer, spelled: str) -> None:
    await peer.head(extra=marked(spelled))
    await peer.chunk(chat_chunk("hi", "stop") + b"data: [DONE]\n\n")
    await peer.last_chunk()


async def headers_of_sound(peer: Peer, spelled: str) -> None:
    await peer.reply(b"sound", content_type="audio/mpeg", extra=marked(spelled))


async def headers_of_error(peer: Peer, spelled: str) -> None:
    await peer.reply(b'{"error":{"message":"m"}}', 400, extra=marked(spelled))


async def reason_phrase(peer: Peer, spelled: str) -> None:
    await peer.send(f"HTTP/1.1 400 {spelled}\r\nContent-Length: 2\r\n\r\n{{}}".encode())


BODIES: dict[str, tuple[Play, str, bool]] = {
    "400": (error_400, "chat/completions", False),
    "400, stream": (error_400, "chat/completions", True),
    "401": (error_401, "chat/completions", False),
    "problem": (problem, "chat/completions", False),
    "text": (text, "chat/completions", False),
    "page": (page, "embeddings", False),
    "error in a 200": (error_in_200, "chat/completions", False),
    "error in a 200, stream": (error_in_200, "chat/completions", True),
    "error event": (error_event, "chat/completions", True),
    "failed response": (failed_response, "responses", True),
}
HEADERS: dict[str, tuple[Play, str, bool]] = {
    "JSON": (headers_of_json, "chat/completions", False),
    "stream": (headers_of_stream, "chat/completions", True),
    "sound": (headers_of_sound, "audio/speech", False),
    "error": (headers_of_error, "chat/completions", False),
    "reason phrase": (reason_phrase, "chat/completions", False),
}


def shown(data: str, key: str) -> list[str]:
    """Return the runs of eight characters of *key* in *data*, however it is encoded."""
    found = data
    for _ in range(4):
        found += re.sub(
            r"\\+u([0-9a-fA-F]{4})|%([0-9a-fA-F]{2})|\\+(?=/)",
            lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else "",
            found,
        )
        found = found[-len(data) * 2 :] + data
    return [key[i : i + 8] for i in range(len(key) - 7) if key[i : i + 8].lower() in found.lower()]


def everything(response: RawResponse) -> str:
    headers = "".join(f"{name}: {value}\n" for name, value in response.headers.items())
    return headers + response.body.decode("utf-8", "replace")


async def played(
    play: Play, spelled: str, endpoint: str, *, stream: bool, model: str = "gpt-4o"
) -> tuple[RawResponse, str]:
    """Return the client's answer, and the log."""

    async def script(peer: Peer, request: Received) -> None:
        await play(peer, spelled)

    async with RawUpstream(script).running() as upstream:
        env = {"OPENAI_API_KEY": OURS, "GEMINI_API_KEY": GOOGLES}
        async with running_proxy(upstream.base_url, upstream.base_url, **env) as proxy:
            body = {"model": model, "stream": stream, "input": "x", "voice": "alloy"}
            body["messages"] = [{"role": "user", "content": "x"}]
            headers = {"x-api-key": KEY, "x-stainless-retry-count": "0"}
            response = await fetch(proxy.port, f"/v1/{endpoint}", body, headers)
            return response, proxy.logged()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", BODIES)
@pytest.mark.parametrize("key", [OURS, KEY], ids=["ours", "the client's"])
async def test_no_error_repeats_a_key(place: str, spelling: str, key: str) -> None:
    play, endpoint, stream = BODIES[place]
    response, log = await played(play, SPELLINGS[spelling](key), endpoint, stream=stream)
    text = everything(response)

    assert shown(text, key) == []
    assert shown(log, key) == []
    assert response.status >= 400 or b"error" in response.body
    if place != "401":
        assert "[redacted]" in text
        assert " of" in text  # what stands around it stays
    if stream and response.status == 200:
        for line in text.splitlines():
            assert not line.startswith("data: {") or json.loads(line[6:])
    elif response.status >= 400:
        assert response.error()["message"]


@pytest.mark.parametrize("spelling", IN_HEADERS)
@pytest.mark.parametrize("place", HEADERS)
@pytest.mark.parametrize("key", [OURS, KEY], ids=["ours", "the client's"])
async def test_no_header_repeats_a_key(place: str, spelling: str, key: str) -> None:
    play, endpoint, stream = HEADERS[place]
    response, log = await played(play, SPELLINGS[spelling](key), endpoint, stream=stream)

    assert shown(everything(response), key) == []
    assert shown(log, key) == []
    if play in (headers_of_json, headers_of_stream, headers_of_sound):
        assert response.status == 200
        assert "[redacted]" in response.headers["openai-model"]


@pytest.mark.parametrize("spelling", ["whole", "escaped letters", "first half"])
@pytest.mark.parametrize("stream", [False, True])
async def test_no_error_of_gemini_repeats_a_key(spelling: str, stream: bool) -> None:
    async def refuse(peer: Peer, spelled: str) -> None:
        error = f'{{"error":{{"code":400,"message":"{spelled} no","status":"INVALID_ARGUMENT"}}}}'
        await peer.reply(error.encode(), 400)

    response, log = await played(
        refuse,
        SPELLINGS[spelling](GOOGLES),
        "chat/completions",
        stream=stream,
        model="gemini-2.5-flash",
    )

    assert response.status == 400
    assert shown(everything(response), GOOGLES) == []
    assert shown(log, GOOGLES) == []


async def test_events_with_too_many_traces_of_keys_become_an_error_of_the_proxy() -> None:
    """They look like an attack, and half an event would be no error."""
    began = asyncio.Event()

    async def flood(peer: Peer, request: Received) -> None:
        created = {"type": "response.created", "sequence_number": 0, "response": {"id": "r"}}
        await peer.head()
        await peer.chunk(f"data: {json.dumps(created)}\n\n".encode())
        await began.wait()
        message = OURS[:7] * 40_000
        error = {"type": "error", "code": "c", "message": message, "sequence_number": 1}
        await peer.chunk(f"event: error\ndata: {json.dumps(error)}\n\n".encode())
        await peer.last_chunk()

    body = json.dumps({"model": "gpt-4o", "input": "x", "stream": True}).encode()
    async with (
        RawUpstream(flood).running() as upstream,
        running_proxy(upstream.base_url, OPENAI_API_KEY=OURS) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post("/v1/responses", body, BEARER)
        status, _ = await connection.head()
        said = await connection.chunk() or b""
        began.set()
        while chunk := await connection.chunk():
            said += chunk

    events = [json.loads(line[6:]) for line in said.splitlines() if line.startswith(b"data: ")]
    assert (status, chunk) == (200, b"")
    assert [event["type"] for event in events] == ["response.created", "error", "response.failed"]
    assert len(said) < 5000


async def test_what_is_left_of_json_is_json() -> None:
    """A number that is a part of a key is no string that could be blacked out."""
    response, _ = await played(number, "", "chat/completions", stream=False)

    assert response.status == 400
    assert response.error()["message"] == "m"
    assert b"123456789" not in response.body


async def test_answers_are_not_touched() -> None:
    async def say(peer: Peer, spelled: str) -> None:
        await peer.reply(completion(f"your key is {spelled}"))

    response, _ = await played(say, OURS, "chat/completions", stream=False)

    assert response.body == completion(f"your key is {OURS}")


@pytest.mark.parametrize(
    "key", [KEY, KEY[:12], "sk-other-0123456789abcdef", OURS, OURS[4:20]], ids=range(5)
)
async def test_a_key_in_place_of_a_model_or_a_name_is_not_kept(key: str) -> None:
    """Log, metrics, usage and the dashboard have what clients choose."""

    async def answer(peer: Peer, request: Received) -> None:
        await peer.reply(completion())

    async with (
        RawUpstream(answer).running() as upstream,
        running_proxy(
            upstream.base_url,
            OPENAI_API_KEY=OURS,
            ADMIN_KEY="admin-key-0123456789abcdef",
            METRICS_KEY=METRICS,
        ) as proxy,
    ):
        headers = {"Authorization": f"Bearer {KEY}", "User-Agent": f"app {key}"}
        body: dict[str, object] = {"model": f"openai/{key}", "messages": []}
        called = await fetch(proxy.port, "/v1/chat/completions", body, headers)
        wrong = {"Authorization": "Bearer wrong-key-0123456789", "User-Agent": "wrong-key-0123"}
        refused = await fetch(proxy.port, "/v1/models", b"", wrong, "GET")
        metrics = await fetch(proxy.port, "/metrics", b"", {"x-api-key": METRICS}, "GET")
        usage = await fetch(proxy.port, "/v1/usage", b"", headers, "GET")
        assert proxy.context.live_stats is not None
        live = repr(proxy.context.live_stats.calls(0))
        log = proxy.logged()

    assert (called.status, refused.status, metrics.status, usage.status) == (200, 401, 200, 200)
    for place in (log, metrics.body.decode(), usage.body.decode(), live):
        assert shown(place, key) == []
        assert "wrong-key-01" not in place
    assert re.search(r" model=openai/?(\[redacted\])+ ", log)
    assert 'agent="app [redacted]' in log
