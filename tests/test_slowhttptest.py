"""slowhttptest, the program that tests servers for slowness, in its three modes.

Each mode opens connections that it would hold for ever. The server must close them in time, which
is seen at its open files (the program itself goes on reading what had come before the end), and
answer others meanwhile. Heads have twenty seconds, for which there is no setting: that mode is
played where ``JARVIS_TEST_SLOWHTTPTEST=all`` is set; it is scaled down in
tests/aiohttp_ext/test_server_connection.py.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import KEY
from tests.support.eventually import eventually
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.server_process import Server, make_project, running_server, with_openai

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux has them"),
    pytest.mark.skipif(not shutil.which("slowhttptest"), reason="slowhttptest is not installed"),
    pytest.mark.timeout(300),
]
CONNECTIONS = 30
LIMITS = {"BODY_IDLE_TIMEOUT": "1.5", "WRITE_STALL_TIMEOUT": "1.5", "BODY_TOTAL_TIMEOUT": "3"}
LARGE = b'{"object":"list","data":[' + b'{"id":"file-0123456789"},' * 200_000 + b"{}]}"


class Mode(NamedTuple):
    """One mode: its options, the address that it asks for, and how long the server may take."""

    options: tuple[str, ...]
    path: str
    seconds: float = 30.0


MODES = {
    "bodies that drip": Mode(("-B", "-i", "1", "-x", "8", "-s", "8192"), "/v1/chat/completions"),
    "answers that are not read": Mode(("-X", "-w", "1", "-y", "2", "-n", "1"), "/v1/files"),
}
if os.environ.get("JARVIS_TEST_SLOWHTTPTEST") == "all":
    MODES["heads that drip"] = Mode(("-H", "-i", "1", "-x", "8"), "/v1/models", 50.0)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Server]:
    async def play(peer: Peer, request: Received) -> None:
        # Connections to the upstream are not to be counted: none is kept.
        await peer.reply(LARGE, extra=["Connection: close"])
        peer.close()

    upstream = RawUpstream(play)
    async with upstream.running():
        env = {**with_openai(upstream.base_url), **LIMITS, "PASSTHROUGH": "all"}
        async with running_server(make_project(folder / "p"), env=env) as server:
            yield server


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
async def test_connections_are_freed_and_others_served(mode: Mode, tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        before = open_files(server)
        process = await asyncio.create_subprocess_exec(
            "slowhttptest",
            *(*mode.options, "-c", str(CONNECTIONS), "-r", "200", "-l", "60"),
            *("-u", f"http://127.0.0.1:{server.port}{mode.path}?key={KEY}"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await eventually(lambda: open_files(server) > before + CONNECTIONS / 2, 20)
            async with asyncio.timeout(mode.seconds):
                while open_files(server) > before + 3:
                    health = await fetch(server.port, "/health", method="GET")
                    assert health.status == 200
                    await asyncio.sleep(0.1)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        assert "Traceback" not in server.log
