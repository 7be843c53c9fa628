"""The server as a process of its own, started as its users start it, in a project of its own."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.conftest import KEY, OPENAI_KEY
from tests.support.raw_client import RawResponse, fetch

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
NOTHING: Mapping[str, str] = {}


def make_project(folder: Path, env_file: str | bytes | None = None) -> Path:
    """Lay out a project in *folder*, with *env_file* as its .env."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "server.py", folder)
    shutil.copytree(ROOT / "jarvis_proxy", folder / "jarvis_proxy", copy_function=_link)
    if env_file is not None:
        write_env(folder, env_file)
    return folder


def _link(source: str, target: str) -> None:
    """Share a file's content, compiled code too; a symbolic link would lead to this checkout."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def write_env(project: Path, text: str | bytes) -> None:
    """Write a project's .env, readable for its owner only."""
    path = project / ".env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def clean_environ(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the caller's settings and proxies."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "HOME") if name in os.environ}
    return kept | dict(env)


@dataclass
class Server:
    """A server in a process of its own."""

    process: Process
    port: int
    log_path: Path

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def exit_code(self, seconds: float = PATIENCE) -> int:
        """Wait for the end and return the exit code."""
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def ready(self, seconds: float = PATIENCE) -> None:
        """Wait until it serves."""
        async with asyncio.timeout(seconds):
            while not await self._is_ready():
                assert self.process.returncode is None, self.log
                await asyncio.sleep(0.02)

    async def _is_ready(self) -> bool:
        try:
            return (await fetch(self.port, "/ready", method="GET")).status == 200
        except (OSError, asyncio.IncompleteReadError):
            return False

    async def logged(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until *text* stands in the log."""
        async with asyncio.timeout(seconds):
            while text not in self.log:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)

    async def echo(self, key: str = KEY) -> RawResponse:
        """Ask the built-in model, which needs no upstream."""
        return await fetch(
            self.port,
            "/v1/chat/completions",
            {"model": "jarvis-echo", "messages": [{"role": "user", "content": "hello"}]},
            {"Authorization": f"Bearer {key}", "Connection": "close"},
        )


@contextlib.asynccontextmanager
async def running_server(
    project: Path,
    *,
    port: int | None = None,
    command: Sequence[str] = (),
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    wait: bool = True,
    preexec: Callable[[], object] | None = None,
    env: Mapping[str, str] = NOTHING,
) -> AsyncIterator[Server]:
    """Start ``python server.py``, behind *command* if there is one; end it in the end."""
    port = port or free_port()
    settings = {"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", "PORT": str(port)}
    log_path = project / f"log-{port}-{os.urandom(4).hex()}.txt"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            sys.executable,
            "server.py",
            cwd=project,
            env=clean_environ(settings | dict(env)),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=log if stderr is None else stderr,
            pass_fds=pass_fds,
            preexec_fn=preexec,
        )
    server = Server(process, port, log_path)
    try:
        if wait:
            await server.ready()
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def with_openai(base_url: str) -> dict[str, str]:
    """Return the settings for an upstream at *base_url*."""
    return {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": OPENAI_KEY}
