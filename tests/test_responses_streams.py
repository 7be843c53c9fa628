"""Streams of responses at the socket: how they fail, and what keeps a waiting client patient."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.conftest import BEARER, KEY, running_proxy
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

Json = dict[str, Any]
Script = Callable[[Peer, Received], Awaitable[None]]
FAST = {
    "COMMIT_AFTER": "0.2",
    "HEARTBEAT_INTERVAL": "0.2",
    "IDLE_TIMEOUT": "0.8",
    "FIRST_BYTE_TIMEOUT": "3",
}
CODEX = {"originator": "codex_exec", "User-Agent": "codex_exec/0.171.0 (Linux)"}
JS = {"x-stainless-lang": "js"}
TEXT = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}}]}
END = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "."}]}, "finishReason": "STOP"}]
}


def frame(content: Json) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\r\n\r\n"


def an_event(kind: str, number: int, **fields: Any) -> bytes:
    payload = json.dumps({"type": kind, "sequence_number": number, **fields})
    return f"event: {kind}\ndata: {payload}\n\n".encode()


CREATED = an_event("response.created", 0, response={"id": "resp_up", "status": "in_progress"})
DELTA = an_event("response.output_text.delta", 1, delta="Hi", item_id="msg_1")
COMPLETED = an_event("response.completed", 2, response={"id": "resp_up", "status": "completed"})


def playing(*steps: bytes | float, end: str = "whole") -> Script:
    """Return a script that sends bytes as chunks, sleeps for numbers, and ends as named."""

    async def play(peer: Peer, request: Received) -> None:
        if steps and isinstance(steps[0], float):
            await asyncio.sleep(steps[0])
        await peer.head()
        for step in steps:
            if isinstance(step, bytes):
                await peer.chunk(step)
            elif step is not steps[0]:
                await asyncio.sleep(step)
        match end:
            case "whole":
                await peer.last_chunk()
            case "reset":
                await asyncio.sleep(0.05)
                peer.reset()
            case "silent":
                await peer.closed()

    return play


async def stream(
    script: Script, model: str = "gpt-4o-mini", headers: Json | None = None, **settings: str
) -> tuple[RawResponse, str]:
    upstream = RawUpstream(script)
    async with upstream.running():
        urls = (upstream.base_url, upstream.base_url)
        async with running_proxy(*urls, **{**FAST, **settings}) as proxy:
            body: Json = {"model": model, "stream": True, "input": "Hi", "instructions": "Short."}
            asked = fetch(proxy.port, "/v1/responses", body, {**BEARER, **(headers or {})})
            response = await asyncio.wait_for(asked, 20)
            return response, proxy.logged()


def events(response: RawResponse) -> list[Json]:
    """Return the events of a stream, without comments; each is named by its type."""
    assert response.status == 200
    assert response.whole
    found = []
    for block in (
        response.body.replace(b": keepalive\n\n", b"").removesuffix(b"\n\n").split(b"\n\n")
    ):
        name, _, data = block.partition(b"\n")
        event: Json = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        found.append(event)
    return found


def received(response: RawResponse) -> list[tuple[str, int]]:
    return [(event["type"], event["sequence_number"]) for event in events(response)]


ERROR_FRAME = {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize(
    ("script", "code", "failed_code"),
    [
        (playing(frame(TEXT), end="reset"), "upstream_truncated", "server_error"),
        (playing(frame(TEXT)), "upstream_truncated", "server_error"),
        (playing(frame(TEXT), end="silent"), "upstream_idle_timeout", "server_error"),
        (playing(frame(TEXT), frame(ERROR_FRAME)), "rate_limit_exceeded", "rate_limit_exceeded"),
    ],
    ids=["reset", "cut", "idle", "error"],
)
async def test_a_translated_response_that_fails_says_so_twice(
    script: Script, code: str, failed_code: str
) -> None:
    response, log = await stream(script, "gemini-3.5-flash")

    found = events(response)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    error, failed = found[-2:]
    assert (error["type"], error["code"], error["error"]["code"]) == ("error", code, code)
    assert failed["type"] == "response.failed"
    assert failed["response"]["id"] == found[0]["response"]["id"]
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": failed_code, "message": error["message"]}
    assert f"outcome=upstream_error code={code}" in log


@pytest.mark.parametrize("end", ["reset", "whole", "silent"])
async def test_a_relay_that_fails_goes_on_counting_under_the_upstreams_id(end: str) -> None:
    response, _ = await stream(playing(CREATED, DELTA, end=end))

    assert response.body.startswith(CREATED + DELTA)
    assert received(response)[-2:] == [("error", 2), ("response.failed", 3)]
    assert events(response)[-1]["response"]["id"] == "resp_up"


OWN_ERROR = an_event("error", 2, code="context_length_exceeded", message="Too long.", param=None)
OWN_FAILED = an_event(
    "response.failed",
    3,
    response={
        "id": "resp_up",
        "status": "failed",
        "error": {"code": "context_length_exceeded", "message": "Too long."},
    },
)


@pytest.mark.parametrize(
    "steps",
    [
        (CREATED, DELTA, OWN_ERROR, OWN_FAILED),
        (CREATED + DELTA + OWN_ERROR + OWN_FAILED,),
        (CREATED + OWN_ERROR, OWN_FAILED),
        (CREATED, DELTA + OWN_ERROR[:30], OWN_ERROR[30:] + OWN_FAILED),
        (CREATED.replace(b"\n", b"\r\n"), OWN_ERROR.replace(b"\n", b"\r\n"), OWN_FAILED),
        (CREATED, OWN_FAILED),
    ],
    ids=["apart", "at-once", "with-created", "cut", "crlf", "failed-only"],
)
async def test_an_upstreams_own_failure_is_relayed_as_it_came(
    steps: tuple[bytes, ...],
) -> None:
    response, log = await stream(playing(*steps))

    assert response.body == b"".join(steps)
    assert response.whole
    assert "outcome=upstream_error code=context_length_exceeded" in log


@pytest.mark.parametrize("end", ["reset", "whole", "silent"])
async def test_an_upstreams_error_without_its_second_half_gets_it(end: str) -> None:
    response, _ = await stream(playing(CREATED, OWN_ERROR, end=end))

    assert response.body.startswith(CREATED + OWN_ERROR)
    assert received(response) == [("response.created", 0), ("error", 2), ("response.failed", 3)]
    assert events(response)[-1]["response"]["error"] == {
        "code": "context_length_exceeded",
        "message": "Too long.",
    }


async def test_an_error_as_the_first_event_is_still_a_status() -> None:
    response, _ = await stream(playing(OWN_ERROR, OWN_FAILED))

    assert (response.status, response.error()["code"]) == (400, "context_length_exceeded")


async def test_a_key_in_an_upstreams_error_is_blacked_out() -> None:
    leak = an_event("error", 2, code="x", message="Bad key sk-0123456789abcdef.", param=None)
    response, _ = await stream(playing(CREATED, leak, OWN_FAILED))

    assert b"sk-0123" not in response.body
    assert received(response)[-1] == ("response.failed", 3)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gemini-3.5-flash"])
async def test_the_official_sdk_raises(model: str) -> None:
    steps = (CREATED, DELTA) if model.startswith("gpt") else (frame(TEXT),)
    upstream = RawUpstream(playing(*steps))
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url) as proxy,
        AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0) as client,
    ):
        broken = await client.responses.create(model=model, input="Hi", stream=True)
        with pytest.raises(openai.APIError) as caught:
            _ = [event async for event in broken]

    assert caught.value.code == "upstream_truncated"


@pytest.mark.parametrize("headers", [CODEX, {"originator": "codex_cli_rs"}, JS], ids=str)
async def test_a_silent_upstream_is_a_response_in_progress(headers: Json) -> None:
    response, _ = await stream(playing(1.0, frame(TEXT), frame(END)), "gemini-3.5-flash", headers)

    found = events(response)
    kinds = [event["type"] for event in found]
    beats = kinds.index("response.output_item.added") - 1
    assert beats >= 2
    assert kinds[: beats + 1] == ["response.created", *["response.in_progress"] * beats]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.created") == 1
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    ids = {event["response"]["id"] for event in found if "response" in event}
    assert len(ids) == 1
    assert found[0]["response"]["instructions"] == "Short."


async def test_a_pause_in_the_answer_is_filled_too() -> None:
    response, _ = await stream(playing(frame(TEXT), 0.7, frame(END)), "gemini-3.5-flash", CODEX)

    found = events(response)
    kinds = [event["type"] for event in found]
    pause = kinds.index("response.output_text.delta") + 1
    assert kinds[pause] == "keepalive"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))


async def test_a_relayed_answer_behind_it_is_whole() -> None:
    response, _ = await stream(playing(1.0, CREATED, DELTA, COMPLETED), headers=CODEX)

    assert response.body.endswith(CREATED + DELTA + COMPLETED)
    assert received(response)[:2] == [("response.created", 0), ("response.in_progress", 1)]


async def test_others_get_comments_until_there_is_an_answer() -> None:
    response, _ = await stream(playing(0.8, CREATED, DELTA, COMPLETED))

    assert response.body.startswith(b": keepalive\n\n")
    assert received(response) == [
        ("response.created", 0),
        ("response.output_text.delta", 1),
        ("response.completed", 2),
    ]


async def test_a_failure_behind_it_needs_no_second_beginning() -> None:
    response, _ = await stream(playing(0.7), "gemini-3.5-flash", CODEX)

    kinds = [event["type"] for event in events(response)]
    assert kinds[0] == "response.created"
    assert kinds.count("response.created") == 1
    assert kinds[-2:] == ["error", "response.failed"]
    numbers = [event["sequence_number"] for event in events(response)]
    assert numbers == list(range(len(numbers)))
