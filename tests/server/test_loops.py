"""A proxy whose upstream is the proxy itself: the call is refused at once."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest

from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

pytestmark = pytest.mark.slow

ECHO: dict[str, object] = {
    "model": "jarvis-echo",
    "messages": [{"role": "user", "content": "hello"}],
}
CHAT = "/v1/chat/completions"


async def answer(peer: Peer, request: Received) -> None:
    await peer.reply(completion())


@contextlib.asynccontextmanager
async def looped(path: str = "/v1", **env: str) -> AsyncIterator[tuple[Proxy, list[str]]]:
    """Start a proxy whose upstream is itself, over another server; yield what that one saw."""
    seen: list[str] = []
    target = 0

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    if sink is back:
                        seen.extend(re.findall(r"(?:GET|POST) (\S+)", data.decode()))
                    sink.write(data)
                    await sink.drain()
                sink.close()

        await asyncio.gather(carry(reader, back), carry(there, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
    async with (
        server,
        running_proxy(base, base, **{"OPENAI_API_KEY": KEY, "GEMINI_API_KEY": KEY, **env}) as p,
    ):
        target = p.port
        yield p, seen


def calls(seen: list[str]) -> list[str]:
    """Return the paths of calls: lists of models are asked for behind the clients' backs."""
    return [path for path in seen if path.partition("?")[0] != "/v1/models"]


@pytest.mark.parametrize(
    ("model", "setting"), [("gpt-4o", "OPENAI_BASE_URL"), ("gemini-3-flash", "GEMINI_BASE_URL")]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_comes_back_is_refused_at_once_with_its_setting(
    model: str, setting: str, *, stream: bool
) -> None:
    body = {**ECHO, "model": model, "stream": stream}
    async with looped() as (proxy, seen):
        response = await fetch(proxy.port, CHAT, body, BEARER)
    logged = proxy.logged()

    assert response.status == 508
    assert response.error()["code"] == "loop_detected"
    assert f"{setting} leads" in str(response.error()["message"])
    assert response.headers["x-should-retry"] == "false"
    assert len(calls(seen)) == 1
    assert "code=loop_detected" in logged


async def test_an_upload_that_comes_back_is_refused_too() -> None:
    form = (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nab\r\n--x--\r\n'
    )
    headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=x"}
    async with looped() as (proxy, seen):
        response = await fetch(proxy.port, "/v1/audio/transcriptions", form, headers)

    assert (response.status, response.error()["code"]) == (508, "loop_detected")
    assert calls(seen) == ["/v1/audio/transcriptions"]


async def test_a_call_that_comes_back_under_a_wrong_key_is_a_loop_all_the_same() -> None:
    async with looped(OPENAI_API_KEY="not-a-client-key") as (proxy, _):
        response = await fetch(proxy.port, CHAT, {**ECHO, "model": "gpt-4o"}, BEARER)

    assert (response.status, response.error()["code"]) == (508, "loop_detected")


async def test_a_fallback_answers_a_call_whose_upstream_is_a_loop() -> None:
    async with looped(FALLBACKS="gpt-4o=jarvis-echo") as (proxy, _):
        response = await fetch(proxy.port, CHAT, {**ECHO, "model": "gpt-4o"}, BEARER)

    assert response.status == 200


async def test_marks_of_other_proxies_are_kept_and_a_clients_header_is_not() -> None:
    upstream = RawUpstream(answer)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        headers = {**BEARER, "x-jarvis-hop": "0123456789abcdef, canary"}
        await fetch(proxy.port, CHAT, {**ECHO, "model": "gpt-4o"}, headers)

    (asked,) = upstream.received
    assert re.fullmatch("0123456789abcdef,[0-9a-f]{16}", asked.header("x-jarvis-hop") or "")
