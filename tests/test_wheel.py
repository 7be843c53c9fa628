"""The wheel: what is in it, and that it serves from an empty folder with one command."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import KEY as KEY_OF_TESTS
from tests.support.raw_client import fetch
from tests.support.server_process import Server, clean_environ, free_port

ROOT = Path(__file__).resolve().parents[1]
KEY = re.compile(r"sk-jarvis-[0-9a-f]{64}")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy: what a build leaves behind has no place in the project."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "jarvis_proxy", folder / "jarvis_proxy", ignore=without)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run(*pip, "wheel", *options, "--wheel-dir", "dist", ".", cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the command of an environment that has the wheel; its dependencies are the tests'."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=folder)
    python = folder / "venv/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=folder)
    script = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", script, cwd=folder).strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "venv/bin/jarvis-proxy"


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("jarvis_proxy/")}
    files = (path for path in (ROOT / "jarvis_proxy").rglob("*") if path.is_file())
    ours = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}

    assert packed == ours
    assert {Path(name).suffix for name in ours} >= {".py", ".json", ".html", ".js", ".toml", ".md"}


async def test_it_serves_from_an_empty_folder(command: Path, tmp_path: Path) -> None:
    """The first start writes .env and shows the key; with it the echo streams."""
    folder, log, port = tmp_path / "empty", tmp_path / "log", free_port()
    folder.mkdir()
    with log.open("wb") as stderr, (tmp_path / "said").open("wb") as stdout:
        process = await asyncio.create_subprocess_exec(
            command,
            cwd=folder,
            env=clean_environ({"HOST": "127.0.0.1", "PORT": str(port)}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    server = Server(process, port, log)
    try:
        await server.ready()
        (key,) = KEY.findall((tmp_path / "said").read_text())
        health = await fetch(port, "/health", method="GET")
        answer = await fetch(
            port,
            "/v1/chat/completions",
            {"model": "jarvis-echo", "stream": True, "messages": MESSAGES},
            {"Authorization": f"Bearer {key}", "Connection": "close"},
        )
        server.signal(signal.SIGTERM)
        code = await server.exit_code()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

    assert (code, health.status, answer.status) == (0, 200, 200)
    assert "hello" in streamed_text(answer.body)
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert f"PROXY_API_KEYS={key}\n" in (folder / ".env").read_text()
    assert "jarvis-proxy doctor" in (tmp_path / "said").read_text()
    assert key not in server.log


MESSAGES = [{"role": "user", "content": "hello"}]


def streamed_text(body: bytes) -> str:
    """Return the text of the events of a streamed chat answer."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line]
    assert lines.pop() == b"[DONE]"
    choices = [json.loads(line)["choices"] for line in lines]
    return "".join(each[0]["delta"].get("content", "") for each in choices if each)


def test_the_doctor_has_its_pages(command: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [command, "doctor", "--client", "codex"],
        cwd=tmp_path,
        env=clean_environ({"PORT": str(free_port()), "PROXY_API_KEYS": KEY_OF_TESTS}),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Codex CLI" in done.stdout, done.stderr
    assert not (tmp_path / ".env").exists()
