"""Sessions at the socket: models, tokens, budgets, concurrency; no key and no content is shown."""

import json
import struct
from typing import Any

import pytest

from tests.conftest import BEARER, KEY, OPENAI_KEY
from tests.server.handlers.realtime_scene import USED, echo, refusal, scene
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_websocket import (
    CLOSE,
    TEXT,
    RawFrame,
    RawSocket,
    handshake,
    opened,
)


async def test_a_limited_key_names_its_models_only() -> None:
    env = {"KEY_TESTER_MODELS": "gpt-realtime,whisper-1"}
    async with scene(echo, **env) as (proxy, _):
        refused = [
            await refusal(proxy.port, path)
            for path in (
                "/v1/realtime?model=gpt-4o-realtime-preview",
                "/v1/realtime?intent=transcription",
                "/v1/realtime?call_id=rtc_1",
            )
        ]
        also = await refusal(proxy.port, "/v1/realtime?model=gpt-realtime&deployment=other")
        async with opened(proxy.port) as socket:
            for session in (
                {"model": "gpt-4o-realtime-preview"},
                {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
                {"input_audio_transcription": {"Model": "gpt-4o-transcribe"}},
            ):
                await socket.event(type="session.update", session=session)
                event = await socket.text()
                assert (event["type"], event["error"]["code"]) == ("error", "model_not_found")
            await socket.send(TEXT, b'{"session":{"model":"no"},"type":')
            assert (await socket.text())["error"]["code"] == "invalid_json"
            twice = (
                b'{"session":{"model":"gpt-4o-realtime-preview"},"session":{"model":"whisper-1"}}'
            )
            await socket.send(TEXT, twice)
            assert await socket.receive() == RawFrame(TEXT, b'{"session":{"model":"whisper-1"}}')
            fine = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
            await socket.event(session=fine)
            assert (await socket.text())["session"] == fine
    assert refused == [(404, "model_not_found")] * 3
    assert also == (400, "unsupported_parameter")


async def test_the_tokens_of_a_session_are_counted_as_they_come() -> None:
    async def play(socket: RawSocket) -> None:
        await socket.event(
            type="session.created",
            session={"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}},
        )
        await socket.event(**USED)
        await socket.event(
            type="conversation.item.input_audio_transcription.completed",
            transcript="secret words",
            usage={"type": "tokens", "input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
        )
        await socket.event(
            type="conversation.item.input_audio_transcription.completed",
            usage={"type": "duration", "seconds": 2.5},
        )
        await echo(socket)

    async with scene(play, ADMIN_KEY="admin-key-0123456789") as (proxy, _):
        async with opened(proxy.port) as socket:
            for _ in range(4):
                await socket.text()
            usage = await fetch(proxy.port, "/v1/usage", headers=BEARER, method="GET")
            assert proxy.context.live_stats is not None
            assert len(proxy.context.live_stats.open) == 1
            await socket.close(1000)
            await socket.until_close()
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        after = await fetch(proxy.port, "/v1/usage", headers=BEARER, method="GET")
    line = proxy.logged()

    assert "prompt_tokens=35 completion_tokens=14 cached_tokens=8" in line
    assert "secret words" not in line
    assert json.loads(after.body) == json.loads(usage.body)
    text = usage.body.decode()
    assert "gpt-realtime" in text
    assert "gpt-4o-transcribe" in text


async def test_a_spent_budget_ends_a_session_and_the_next_one_does_not_begin() -> None:
    ended: list[int | None] = []

    async def play(socket: RawSocket) -> None:
        await socket.event(**USED)
        ended.append((await socket.until_close())[1])

    async with scene(play, KEY_TESTER_BUDGET="40 tokens/day") as (proxy, _):
        async with opened(proxy.port) as socket:
            events, code = await socket.until_close()
            await socket.close(1008)
        assert [event["type"] for event in events] == ["response.done", "error"]
        assert events[1]["error"]["code"] == "insufficient_quota"
        assert code == 1008
        await eventually(lambda: ended == [1001])
        found = await refusal(proxy.port, "/v1/realtime?model=gpt-realtime")
    assert found == (429, "insufficient_quota")
    assert "outcome=refused code=insufficient_quota" in proxy.logged()


async def test_a_session_counts_among_the_calls_of_its_key() -> None:
    async with scene(MAX_STREAMS_PER_KEY="1") as (proxy, _):
        async with opened(proxy.port):
            found = await refusal(proxy.port, "/v1/realtime?model=gpt-realtime")
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        async with opened(proxy.port) as socket:
            await socket.send(TEXT, b"{}")
            assert await socket.receive() == RawFrame(TEXT, b"{}")
    assert found == (429, "rate_limit_exceeded")


async def test_tokens_of_a_session_count_for_the_next_one() -> None:
    async def play(socket: RawSocket) -> None:
        await socket.event(**USED)
        await echo(socket)

    async with scene(play, KEY_TESTER_TPM="40") as (proxy, _), opened(proxy.port) as socket:
        await socket.text()
        found = await refusal(proxy.port, "/v1/realtime?model=gpt-realtime")
    assert found == (429, "rate_limit_exceeded")


async def test_no_key_and_no_content_is_shown() -> None:
    async def play(socket: RawSocket) -> None:
        await socket.receive()
        await socket.event(type="error", error={"message": f"bad key {OPENAI_KEY} and {KEY}"})
        await socket.close(1008, f"key {OPENAI_KEY}".encode())
        await socket.until_close()

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        await socket.event(type="conversation.item.create", text="content-canary")
        events = [await socket.text()]
        assert await socket.receive() == RawFrame(CLOSE, struct.pack("!H", 1008))
    said = json.dumps(events)
    assert OPENAI_KEY not in said
    assert KEY not in said
    assert "[redacted]" in said
    line = proxy.logged()
    assert "content-canary" not in line
    assert OPENAI_KEY not in line


async def test_a_bug_of_ours_ends_the_session_with_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from jarvis_proxy.server.relay.realtime_observer import SessionObserver

    def fail(*_: Any) -> None:
        raise RuntimeError("content-canary")

    monkeypatch.setattr(SessionObserver, "from_client", fail)
    async with scene() as (proxy, _), opened(proxy.port) as socket:
        await socket.send(TEXT, b"{}")
        (event,), code = await socket.until_close()
        await socket.close(1011)
    assert (event["error"]["code"], code) == ("internal_error", 1011)
    line = proxy.logged()
    assert "outcome=internal_error" in line
    assert "content-canary" not in line


def test_a_handshake_has_what_a_server_checks() -> None:
    assert handshake({}, ["a", "b"])["Sec-WebSocket-Protocol"] == "a, b"
