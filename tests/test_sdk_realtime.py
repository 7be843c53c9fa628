"""The official SDKs on /v1/realtime: text, sound and transcripts, secrets, ends and errors."""

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI
from openai.types.realtime import RealtimeErrorEvent, ResponseAudioDeltaEvent, ResponseDoneEvent
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.conftest import KEY, Proxy, running_proxy
from tests.faults.node import Missing, home
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import CLOSE, RawSocket, accept

pytestmark = pytest.mark.slow

SOUND = bytes(range(256)) * 200
SCRIPT = Path(__file__).resolve().parent / "node" / "realtime.mjs"
SECRET = "ek_upstream_canary_0123456789"
USAGE = {
    "total_tokens": 42,
    "input_tokens": 30,
    "output_tokens": 12,
    "input_token_details": {"text_tokens": 30, "audio_tokens": 0, "cached_tokens": 8},
    "output_token_details": {"text_tokens": 2, "audio_tokens": 10},
}


class FakeRealtime:
    """OpenAI's Realtime API as far as a turn goes: it says back what it hears."""

    def __init__(self) -> None:
        self.upstream = RawUpstream(self._play)
        self.keys: list[str | None] = []

    async def _play(self, peer: Peer, request: Received) -> None:
        self.keys.append(request.header("authorization"))
        if request.method == "POST":
            answer = {"value": SECRET, "expires_at": 2**33, "session": {"type": "realtime"}}
            await peer.reply(json.dumps(answer).encode())
            return
        socket = await accept(peer, request, "realtime")
        session = {"type": "realtime", "object": "realtime.session", "id": "sess_1"}
        await socket.event(type="session.created", event_id="event_1", session=session)
        heard = b""
        while (frame := await socket.receive()) is not None:
            if frame.opcode == CLOSE:
                await socket.send(CLOSE, frame.data)
                return
            heard = await self._answer(socket, frame.json, heard)

    async def _answer(self, socket: RawSocket, event: Any, heard: bytes) -> bytes:
        ids = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        match event["type"]:
            case "input_audio_buffer.append":
                return heard + base64.b64decode(event["audio"])
            case "response.create" if event.get("response", {}).get("instructions") == "die":
                socket.abort()
            case "response.create":
                for start in range(0, len(heard), 20_000):
                    piece = base64.b64encode(heard[start : start + 20_000]).decode()
                    await socket.event(
                        type="response.output_audio.delta", event_id="e", delta=piece, **ids
                    )
                done = {"object": "realtime.response", "id": "r", "status": "completed"}
                response = {**done, "output": [], "usage": USAGE}
                await socket.event(type="response.done", event_id="e", response=response)
            case "conversation.item.create":
                text = event["item"]["content"][0]["text"]
                await socket.event(
                    type="response.output_text.delta", event_id="e", delta=text, **ids
                )
        return heard


@pytest.fixture
async def service() -> AsyncIterator[FakeRealtime]:
    service = FakeRealtime()
    async with service.upstream.running():
        yield service


@pytest.fixture
async def proxy(service: FakeRealtime) -> AsyncIterator[Proxy]:
    async with running_proxy(service.upstream.base_url) as proxy:
        yield proxy


def client_of(proxy: Proxy, key: str = KEY) -> AsyncOpenAI:
    return AsyncOpenAI(api_key=key, base_url=f"{proxy.url}/v1", max_retries=0)


async def secret_of(proxy: Proxy, model: str) -> str:
    session: Any = {"type": "realtime", "model": model}
    async with client_of(proxy) as client:
        return (await client.realtime.client_secrets.create(session=session)).value


def text_item(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def test_text_and_sound_go_both_ways(proxy: Proxy) -> None:
    async with client_of(proxy).realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session={"type": "realtime", "instructions": "Be kind."})
        await connection.conversation.item.create(item=text_item("Grüße 🦀"))
        said = await connection.recv()
        assert (said.type, said.delta) == ("response.output_text.delta", "Grüße 🦀")  # type: ignore[union-attr]
        for start in range(0, len(SOUND), 10_000):
            audio = base64.b64encode(SOUND[start : start + 10_000]).decode()
            await connection.input_audio_buffer.append(audio=audio)
        await connection.response.create()
        heard = b""
        async for event in connection:
            if isinstance(event, ResponseAudioDeltaEvent):
                heard += base64.b64decode(event.delta)
            if isinstance(event, ResponseDoneEvent):
                assert event.response.usage is not None
                assert event.response.usage.input_tokens == 30
                break
    assert heard == SOUND
    await asyncio.sleep(0)
    line = proxy.logged()
    assert "outcome=ok" in line
    assert "prompt_tokens=30 completion_tokens=12 cached_tokens=8" in line
    assert "Be kind" not in line


@pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")
async def test_a_client_that_is_not_asynchronous(proxy: Proxy) -> None:
    def talk() -> list[str]:
        client = OpenAI(api_key=KEY, base_url=f"{proxy.url}/v1", max_retries=0)
        with client.realtime.connect(model="gpt-realtime") as connection:
            connection.response.create()
            return [connection.recv().type for _ in range(2)]

    assert await asyncio.to_thread(talk) == ["session.created", "response.done"]


async def test_a_client_secret_is_a_key_for_a_session(proxy: Proxy, service: FakeRealtime) -> None:
    secret = await secret_of(proxy, "gpt-realtime")
    async with client_of(proxy, secret).realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
    assert service.keys[-1] == f"Bearer {SECRET}"
    assert secret != SECRET


async def test_an_upstream_that_dies_is_an_error_and_a_closed_connection(proxy: Proxy) -> None:
    async with client_of(proxy).realtime.connect(model="gpt-realtime") as connection:
        await connection.recv()
        await connection.response.create(response={"instructions": "die"})
        event = await connection.recv()
        assert isinstance(event, RealtimeErrorEvent)
        assert event.error.code == "upstream_disconnected"
        with pytest.raises(ConnectionClosedError) as closed:
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011


async def test_what_is_refused_is_raised(proxy: Proxy) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with client_of(proxy, "wrong-key-0123456789").realtime.connect(model="gpt-realtime"):
            pass
    assert refused.value.response.status_code == 401
    with pytest.raises(InvalidStatus) as elsewhere:
        async with client_of(proxy).realtime.connect(model="gemini-3-flash"):
            pass
    assert elsewhere.value.response.status_code == 426
    with pytest.raises(NotFoundError):
        await secret_of(proxy, "claude-sonnet-5")


@pytest.mark.node
async def test_the_sdk_for_node(proxy: Proxy, service: FakeRealtime) -> None:
    try:
        folder = home()
    except Missing as exc:
        pytest.skip(str(exc))
    # Node has a WebSocket of its own from 22 on; before, behind this option.
    process = await asyncio.create_subprocess_exec(
        *("node", "--experimental-websocket", str(SCRIPT), f"{proxy.url}/v1", KEY),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    if b"bad option" in err:
        pytest.skip("this Node has no WebSocket")
    assert process.returncode == 0, err.decode()
    seen = json.loads(out)
    assert seen["turn"] == {"text": "Hello", "sound": 30000, "tokens": 30, "protocol": "realtime"}
    assert seen["secret"] == "session.created"
    assert seen["dies"] == {"code": 1011, "error": "upstream_disconnected"}
    assert service.keys[-1] is not None
    assert KEY not in str(service.keys)
