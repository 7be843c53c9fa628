"""Versions of aiohttp: those that were tested, others that serve, and those that cannot."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from jarvis_proxy.aiohttp_ext.installation import LOWEST, NEWEST, version_hint
from tests.conftest import BEARER, OPENAI_KEY
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk
from tests.support.server_process import (
    ROOT,
    clean_environ,
    free_port,
    make_project,
    running_server,
)

ENV_FILE: Final = "PROXY_API_KEYS=tester:test-key-0123456789abcdef\nHOST=127.0.0.1\nSTATE_DIR=\n"


@pytest.mark.parametrize("version", [LOWEST, NEWEST])
def test_tested_versions_are_not_spoken_of(version: str) -> None:
    assert version_hint(version) is None


@pytest.mark.parametrize(
    "version",
    ["3.14.3", "3.14.6", "3.15.0", "3.14.5rc1", "3.14.5.dev0", "4.0.0", "4.0.0a1", "3.14", "", "x"],
)
def test_others_are_named_with_those_that_were_tested(version: str) -> None:
    hint = version_hint(version)
    assert hint is not None
    for said in (f"aiohttp {version} is installed", LOWEST, NEWEST, "./start.sh"):
        assert said in hint


def test_the_range_is_that_of_the_project_and_its_lock() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (wanted,) = (d for d in settings["project"]["dependencies"] if d.startswith("aiohttp>="))
    assert wanted.startswith(f"aiohttp>={LOWEST},")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"^aiohttp==(\S+)", lock, re.MULTILINE) == [NEWEST]


def _pretend(project: Path, version: str) -> None:
    """Have *project* see aiohttp as *version*."""
    text = (project / "server.py").read_text(encoding="utf-8")
    pretended = f"import aiohttp\naiohttp.__version__ = {version!r}\n"
    (project / "server.py").unlink()  # it is shared with this checkout
    (project / "server.py").write_text(pretended + text, encoding="utf-8")


@pytest.mark.slow
async def test_unknown_version_is_warned_of_and_served_on(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", ENV_FILE)
    _pretend(project, "4.1.0")

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("a"))
        await peer.chunk(chat_chunk(None, "stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()

    upstream = RawUpstream(play)
    message = {"role": "user", "content": "a"}
    body: dict[str, object] = {"model": "gpt-4o", "stream": True, "messages": [message]}
    async with upstream.running():
        env = {
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": upstream.base_url,
        }
        async with running_server(project, env=env) as server:
            answer = await fetch(server.port, "/v1/chat/completions", body, BEARER)
            await server.logged("serving on")

    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert server.log.count("aiohttp 4.1.0 is installed; Jarvis proxy was tested with") == 1


def test_tested_version_is_not_warned_of() -> None:
    assert version_hint(aiohttp.__version__) is None


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "doctor"])
def test_version_that_python_cannot_load_is_reported(tmp_path: Path, command: str) -> None:
    """aiohttp 4.0.0a1, a withdrawn one of 2019, needs what Python 3.11 no longer has.

    Its C parts do not compile, and without them ``import aiohttp`` ends as it does here.
    """
    project = make_project(tmp_path / "project", ENV_FILE + f"PORT={free_port()}\n")
    broken = "raise AttributeError(\"module 'asyncio.coroutines' has no attribute '_DEBUG'\")\n"
    (project / "aiohttp.py").write_text(broken, encoding="utf-8")
    info = project / "aiohttp-4.0.0a1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aiohttp\nVersion: 4.0.0a1\n")

    done = subprocess.run(
        [sys.executable, "server.py", *(["doctor"] if command == "doctor" else [])],
        cwd=project,
        env=clean_environ({}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("aiohttp 4.0.0a1 cannot be loaded by Python 3.")
    assert "no attribute '_DEBUG'" in done.stderr
    assert f"Install aiohttp {LOWEST} to {NEWEST}" in done.stderr
    assert "Traceback" not in done.stderr
