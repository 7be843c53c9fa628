"""Clients of /v1/realtime, and what each saw of one session. IO.

OpenAI's SDK for Python with and without asyncio, the one for Node.js, and a raw socket.
"""

import asyncio
import contextlib
import json
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Final

import openai
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conftest import KEY
from tests.faults import node
from tests.faults.session_rows import CLOSED_WITH, LIMIT, Act, Seen
from tests.support.raw_websocket import CLOSE, TEXT, RawSocket, Refused, opened

_SCRIPT: Final = Path(__file__).resolve().parents[1] / "node" / "sessions.mjs"
_MEGABYTES: Final = "x" * 2**16
_OPTIONS: Final[Any] = {"websocket_connection_options": {"open_timeout": 100.0}}
SILENCE: Final = 2.0 * LIMIT
"""Seconds for which a silent client says nothing."""


def _message(audio: str = "") -> Any:
    return {"type": "input_audio_buffer.append", "audio": audio}


def _says(act: Act) -> Iterable[tuple[float, str]]:
    """Yield what a client sends, each with the seconds before it."""
    match act:
        case "closes":
            return
        case "sends too much":
            yield 0.0, "x" * 2**20
        case "floods":
            yield from [(0.0, _MEGABYTES)] * 64
        case "is silent":
            yield SILENCE, ""
        case "talks":
            yield 0.0, ""
            yield from [(0.1, "")] * 1000


def _refusal(exc: InvalidStatus) -> Seen:
    body = json.loads(exc.response.body or b"{}")
    return Seen(exc.response.status_code, body["error"]["code"])


def _ended(exc: ConnectionClosed, error: str | None) -> Seen:
    return Seen(error=error, close=-1 if exc.rcvd is None else exc.rcvd.code)


async def see_async(url: str, model: str, act: Act) -> Seen:
    """Hold a session with the SDK for asyncio."""
    client = openai.AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0)
    error: str | None = None
    try:
        async with client.realtime.connect(model=model, **_OPTIONS) as connection:
            await connection.recv()

            async def say() -> None:
                with contextlib.suppress(ConnectionClosed):
                    if act == "closes":
                        await connection.close(code=CLOSED_WITH)
                    for pause, audio in _says(act):
                        await asyncio.sleep(pause)
                        await connection.send(_message(audio))

            saying = asyncio.create_task(say())
            try:
                while True:
                    event: Any = await connection.recv()
                    if event.type == "response.done" and act == "is silent":
                        return Seen()
                    if event.type == "error":
                        error = event.error.code
            finally:
                saying.cancel()
                await asyncio.gather(saying, return_exceptions=True)
    except InvalidStatus as exc:
        return _refusal(exc)
    except ConnectionClosed as exc:
        return _ended(exc, error)


def see_sync(url: str, model: str, act: Act) -> Seen:
    """Hold a session with the SDK without asyncio."""
    client = openai.OpenAI(api_key=KEY, base_url=url, max_retries=0)
    error: str | None = None
    over = threading.Event()
    try:
        with client.realtime.connect(model=model, **_OPTIONS) as connection:
            connection.recv()

            def say() -> None:
                with contextlib.suppress(ConnectionClosed):
                    if act == "closes":
                        connection.close(code=CLOSED_WITH)
                    for pause, audio in _says(act):
                        if over.wait(pause):
                            return
                        connection.send(_message(audio))

            saying = threading.Thread(target=say)
            saying.start()
            try:
                while True:
                    event: Any = connection.recv()
                    if event.type == "response.done" and act == "is silent":
                        return Seen()
                    if event.type == "error":
                        error = event.error.code
            finally:
                over.set()
                saying.join()
    except InvalidStatus as exc:
        return _refusal(exc)
    except ConnectionClosed as exc:
        return _ended(exc, error)


async def see_raw(port: int, model: str, act: Act) -> Seen:
    """Hold a session over a raw socket."""
    try:
        async with opened(port, f"/v1/realtime?model={model}") as socket:
            return await _see_raw(socket, act)
    except Refused as refused:
        return Seen(refused.response.status, str(refused.response.error()["code"]))


async def _see_raw(socket: RawSocket, act: Act) -> Seen:
    await socket.text()

    async def say() -> None:
        if act == "closes":
            await socket.close(CLOSED_WITH)
        for pause, audio in _says(act):
            await asyncio.sleep(pause)
            await socket.send(TEXT, json.dumps(_message(audio)).encode())

    saying = asyncio.create_task(say())
    error: str | None = None
    try:
        while (frame := await socket.receive()) is not None:
            if frame.opcode == CLOSE:
                await socket.send(CLOSE, frame.data)
                return Seen(error=error, close=frame.code)
            if frame.json["type"] == "response.done" and act == "is silent":
                await socket.close(1000)
                return Seen()
            if frame.json["type"] == "error":
                error = frame.json["error"]["code"]
        return Seen(error=error, close=-1)
    finally:
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)


class NodeSessions:
    """The SDK for Node.js in a process that holds sessions, all of those that are asked at once."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Seen]] = {}

    async def see(self, url: str, model: str, act: Act) -> Seen:
        """Hold a session."""
        number = len(self._waiting)
        found: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._waiting[number] = found
        asked = {"id": number, "url": url, "model": model, "act": act, "key": KEY}
        line = json.dumps({**asked, "code": CLOSED_WITH, "seconds": SILENCE})
        assert self._process.stdin is not None
        # The key goes through stdin: an argument can be seen by every user of the machine.
        self._process.stdin.write(line.encode() + b"\n")
        return await found

    async def listen(self) -> None:
        """Take what the process tells, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            seen = json.loads(line)
            found = self._waiting[seen.pop("id")]
            if not found.done():  # nobody may wait any longer
                found.set_result(Seen(**seen))


@contextlib.asynccontextmanager
async def node_sessions() -> AsyncIterator[NodeSessions]:
    """Start the process; end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        # Node has a WebSocket of its own from 22 on; before, behind this option.
        *("node", "--experimental-websocket", str(_SCRIPT), str(node.home() / "package.json")),
        stdin=PIPE,
        stdout=PIPE,
    )
    sessions = NodeSessions(process)
    listening = asyncio.create_task(sessions.listen())
    try:
        yield sessions
    finally:
        process.kill()
        await process.wait()
        await listening
