"""The observer: control frames pass, a transcription model not reported is the session's."""

import json

from tests.conftest import BEARER
from tests.server.handlers.realtime_scene import USED, scene
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_websocket import BINARY, PING, RawFrame, RawSocket, opened

COMPLETED = "conversation.item.input_audio_transcription.completed"


async def test_pings_and_binary_messages_are_not_read_for_tokens() -> None:
    async def play(socket: RawSocket) -> None:
        said = json.dumps(USED).encode()
        await socket.send(PING, said[:100])
        await socket.send(BINARY, said)
        await socket.until_close()

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        assert (await socket.receive() or RawFrame(0, b"")).opcode == PING
        assert (await socket.receive() or RawFrame(0, b"")).opcode == BINARY
        await socket.close(1000)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
    assert "prompt_tokens" not in proxy.logged()


async def test_where_the_handshake_names_no_model_the_upstream_does() -> None:
    async def play(socket: RawSocket) -> None:
        await socket.event(type="session.created", session={"model": "gpt-realtime-mini"})
        await socket.event(**USED)
        await socket.event(type=COMPLETED, usage={"input_tokens": 1, "output_tokens": 1})
        await socket.until_close()

    async with (
        scene(play) as (proxy, _),
        opened(proxy.port, "/v1/realtime?call_id=rtc_1") as socket,
    ):
        for _ in range(3):
            await socket.text()
        usage = await fetch(proxy.port, "/v1/usage", headers=BEARER, method="GET")
    assert b"gpt-realtime-mini" in usage.body
    assert "prompt_tokens=31 completion_tokens=13" in proxy.logged()


async def test_messages_count_as_held_memory() -> None:
    async with scene() as (proxy, _), opened(proxy.port) as socket:
        memory = proxy.context.admission.memory
        await socket.send(BINARY, b"x" * 5000)
        await socket.receive()
        assert memory.bytes_held == 10_000
        memory.bytes_held += 2**40
        await socket.send(BINARY, b"x" * 6000)
        assert (await socket.text())["error"]["code"] == "overloaded"
        memory.bytes_held -= 2**40
        await socket.send(BINARY, b"x" * 10)
        assert await socket.receive() == RawFrame(BINARY, b"x" * 10)
        await socket.close(1000)
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)
        assert memory.bytes_held == 0


async def test_counts_that_no_upstream_can_mean_are_clamped() -> None:
    async def play(socket: RawSocket) -> None:
        usage = {"input_tokens": -5, "output_tokens": 10**12}
        await socket.event(type="response.done", response={"usage": usage})
        await socket.until_close()

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        await socket.text()
    assert "prompt_tokens=0 completion_tokens=1000000000" in proxy.logged()


async def test_sound_costs_what_sound_costs() -> None:
    async def play(socket: RawSocket) -> None:
        details = {"audio_tokens": 1000, "text_tokens": 100}
        usage = {"input_tokens": 1100, "output_tokens": 0, "input_token_details": details}
        await socket.event(type="response.done", response={"usage": usage})
        await socket.until_close()

    async with scene(play) as (proxy, _), opened(proxy.port) as socket:
        await socket.text()
        costs = [totals.cost for *_, totals in proxy.context.usage.sums()]  # of the day, the month
    assert costs == [(1000 * 32 + 100 * 4) * 1000] * 2
