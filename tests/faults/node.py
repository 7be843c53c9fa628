"""The official SDK for Node.js: all calls of a batch in one subprocess. IO."""

import asyncio
import atexit
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.conftest import KEY
from tests.faults.clients import Observed
from tests.faults.dialects import Surface

_PACKAGE: Final = Path(__file__).resolve().parents[1] / "node"
"""Where package.json and its lock are, and the package itself where ``npm ci`` was run there."""
_SCRIPT: Final = _PACKAGE / "batch.mjs"
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Call:
    """One call for the batch: made *times* times, the last one counts."""

    id: str
    surface: Surface
    body: Mapping[str, Any]
    key: str = KEY
    times: int = 1
    alone: bool = False


class Missing(Exception):
    """The SDK cannot be had here; the text says why."""


@cache
def home() -> Path:
    """Return a folder with the SDK in it, installed once a process where it is not there.

    Raises:
        Missing: there is no Node, or no way to the package.
    """
    if shutil.which("node") is None:
        raise Missing("there is no node here to run the SDK for Node with")
    if (_PACKAGE / "node_modules" / "openai").is_dir():
        return _PACKAGE
    if shutil.which("npm") is None:
        raise Missing("there is no npm here to install the SDK for Node with")
    folder = Path(tempfile.mkdtemp(prefix="jarvis-node-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_PACKAGE / name, folder / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=50)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise Missing("npm could not install the SDK for Node: is there a way to it?") from None
    return folder


@cache
def missing() -> str:
    """Return why the SDK cannot be run here, "" if it can."""
    try:
        home()
    except Missing as exc:
        return str(exc)
    return ""


async def ask_all(calls: Sequence[Call], url: str) -> dict[str, Observed | str]:
    """Make all calls; return what was seen by each, or what went wrong in words."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_SCRIPT),
        str(home() / "package.json"),
        url,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    # The key goes through stdin: an argument can be seen by every user of the machine.
    text = json.dumps([asdict(call) for call in calls]).encode()
    async with asyncio.timeout(_PATIENCE):
        out, _ = await process.communicate(text)
    found: dict[str, Observed | str] = {}
    for line in out.splitlines():
        answer = json.loads(line)
        number, trouble = answer.pop("id"), answer.pop("trouble", "")
        found[number] = trouble or Observed(**answer)
    return found
