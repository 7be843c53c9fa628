"""The official SDKs for Node.js, in one subprocess that makes the calls it reads. IO."""

import asyncio
import atexit
import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.conftest import KEY
from tests.faults.clients import Observed
from tests.faults.dialects import Surface

_PACKAGE: Final = Path(__file__).resolve().parents[1] / "node"
"""Where package.json and its lock are, and the packages where ``npm ci`` was run there."""
_SCRIPT: Final = _PACKAGE / "batch.mjs"
_NAMES: Final = ("openai", "@anthropic-ai/sdk", "@google/genai")
_LONGEST_LINE: Final = 2**24


class Missing(Exception):
    """The SDK cannot be had here; the text says why."""


@cache
def home() -> Path:
    """Return a folder with the SDKs in it, installed once a process where it is not there.

    Raises:
        Missing: there is no Node, or no way to the packages.
    """
    if shutil.which("node") is None:
        raise Missing("node is not installed")
    if all((_PACKAGE / "node_modules" / name).is_dir() for name in _NAMES):
        return _PACKAGE
    if shutil.which("npm") is None:
        raise Missing("npm is not installed")
    folder = Path(tempfile.mkdtemp(prefix="jarvis-node-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_PACKAGE / name, folder / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=50)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        wanted = " or ".join(_NAMES)
        raise Missing(f"{wanted} for Node.js is not installed, and npm cannot") from None
    return folder


@cache
def missing() -> str:
    """Return why the SDK cannot be run here, "" if it can."""
    try:
        home()
    except Missing as exc:
        return str(exc)
    return ""


class Trouble(Exception):
    """The SDK raised what is no error of the API's; the text says what."""


class NodeSdk:
    """The SDK, in a process that runs."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def ask(
        self, url: str, surface: Surface, body: Mapping[str, Any], key: str = KEY
    ) -> Observed:
        """Make one call.

        Raises:
            Trouble: it ended in another way than an answer or an error of the API's.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        call = {"id": number, "url": url, "surface": surface, "body": body, "key": key}
        assert self._process.stdin is not None
        # The key goes through stdin: an argument can be seen by every user of the machine.
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        seen = await answer
        if "trouble" in seen:
            raise Trouble(seen["trouble"])
        return Observed(**seen)

    async def listen(self) -> None:
        """Take what the process tells, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            seen = json.loads(line)
            answer = self._waiting.pop(seen.pop("id"))
            if not answer.done():  # nobody may wait any longer
                answer.set_result(seen)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Trouble("the process of Node has ended"))


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[NodeSdk]:
    """Start the process; end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_SCRIPT),
        str(home() / "package.json"),
        stdin=PIPE,
        stdout=PIPE,
        limit=_LONGEST_LINE,
    )
    sdk = NodeSdk(process)
    listening = asyncio.create_task(sdk.listen())
    try:
        yield sdk
    finally:
        process.kill()
        await process.wait()
        await listening
