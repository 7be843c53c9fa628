"""An upstream that answers before it has the request: the client gets that answer, each time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.raw_client import connect
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

TIMES = 5
MANY = 3_000_000
FORM_TYPE = "multipart/form-data; boundary=X"


def form(size: int) -> bytes:
    return (
        b"--X\r\nContent-Disposition: form-data; name=model\r\n\r\nwhisper-1\r\n"
        b"--X\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
        + b"z" * size
        + b"\r\n--X--\r\n"
    )


def chunked(body: bytes) -> bytes:
    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@contextlib.asynccontextmanager
async def early(status: int, then: str) -> AsyncIterator[str]:
    """Answer when the head and a little more are here, and go on as *then* says."""
    kind = "application/json" if status == 200 else "text/plain"
    text = b'{"text":"early"}' if status == 200 else b"too large"
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(text)}"]
    head = "\r\n".join([*lines, "Connection: close", "", ""])

    over = asyncio.Event()
    serving: set[asyncio.Task[object] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(1000)
            writer.write(head.encode() + text)
            await writer.drain()
            match then:
                case "reads on":
                    while await reader.read(65536):
                        pass
                case "stops reading":
                    await over.wait()
        writer.close()  # with a reset, where something was not read
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4096)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        over.set()
        server.close()
        await asyncio.gather(*filter(None, serving))


async def upload(proxy: Proxy, kind: str, *, slowly: bool = False) -> tuple[int, bytes]:
    """Send all of a body, as simple clients do, then read the answer."""
    body, path, method, label = form(MANY), "/v1/audio/transcriptions", "POST", FORM_TYPE
    match kind:
        case "put":
            path, method, label = "/v1/files/x", "PUT", "a/b"
        case "json":
            path, label = "/v1/chat/completions", "application/json"
            body = b'{"model":"gpt-4o","x":"' + b"z" * MANY + b'"}'
    headers = {**BEARER, "Content-Type": label}
    framing = {"Content-Length": str(len(body))}
    if kind == "chunked":
        body, framing = chunked(body), {"Transfer-Encoding": "chunked"}
    lines = [f"{method} {path} HTTP/1.1", "Host: x"]
    lines += [f"{name}: {value}" for name, value in {**headers, **framing}.items()]
    async with connect(proxy.port) as connection:
        await connection.send("\r\n".join([*lines, "", ""]).encode())
        for at in range(0, len(body), 300_000):
            await connection.send(body[at : at + 300_000])
            if slowly:
                await asyncio.sleep(0.01)
        response = await asyncio.wait_for(connection.response(), 10)
        return response.status, response.body


@pytest.mark.parametrize("then", ["reads on", "stops reading", "closes"])
@pytest.mark.parametrize("kind", ["form", "chunked", "put", "json"])
@pytest.mark.parametrize("slowly", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("status", [413, 200])
async def test_the_upstreams_early_answer_arrives(
    then: str, kind: str, slowly: bool, status: int
) -> None:
    async with (
        early(status, then) as base_url,
        running_proxy(base_url, PASSTHROUGH="all") as proxy,
    ):
        answers = [await upload(proxy, kind, slowly=slowly) for _ in range(TIMES)]
        log = proxy.logged()

    assert [found for found, _ in answers] == [status] * TIMES
    assert all((b"too large" if status == 413 else b"early") in body for _, body in answers)
    assert "error aiohttp" not in log
    assert log.count("outcome=ok" if status == 200 else "outcome=upstream_error") == TIMES


@pytest.mark.parametrize("kind", ["form", "chunked", "json"])
async def test_the_proxys_own_early_refusal_arrives_too(kind: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}")  # it would, had it the whole body

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url, MAX_BODY_MB="1") as proxy:
        answers = [await upload(proxy, kind) for _ in range(TIMES)]
        log = proxy.logged()

    assert [status for status, _ in answers] == [413] * TIMES
    assert "error aiohttp" not in log


async def test_a_client_that_never_ends_its_upload_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has the answer; what it still sends is read and dropped for a while, not for ever."""
    monkeypatch.setattr("jarvis_proxy.server.handlers.inference._LINGER", 0.3)
    async with (
        early(413, "closes") as base_url,
        running_proxy(base_url) as proxy,
        connect(proxy.port) as connection,
    ):
        lines = ["POST /v1/audio/transcriptions HTTP/1.1", "Host: x", "Content-Length: 9999999"]
        lines += [f"{name}: {value}" for name, value in BEARER.items()]
        head = "\r\n".join([*lines, f"Content-Type: {FORM_TYPE}", "", ""])
        await connection.send(head.encode() + form(100_000)[:-50])
        status, _ = await connection.head()
        rest = await asyncio.wait_for(connection.reader.read(), 5)

    assert status == 413
    assert b"too large" in rest
