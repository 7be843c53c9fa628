"""Runs one scenario of scenarios.mjs in chromium, and says what is missing where it cannot. IO."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_SCRIPT: Final = Path(__file__).with_name("scenarios.mjs")
_CHROMIUM: Final = Path(__file__).with_name("chromium.mjs")
_PLACES: Final = (Path(__file__).parents[1] / "node", Path(__file__).parent)
"""Where ``npm install`` may have put packages; NODE_PATH is looked at too."""
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE: Final = 45.0
_running: list[str] = []
"""Where the chromium of ``chromium`` listens."""


def missing() -> str:
    """Return why no browser can be driven here, "" if one can."""
    for found, what in (
        (shutil.which("node"), "node"),
        (_browser(), "chromium"),
        (
            package("playwright-core"),
            "playwright-core, a package for Node.js (npm install in tests/browser),",
        ),
    ):
        if found is None:
            return f"{what} is not installed"
    return ""


@contextlib.contextmanager
def chromium() -> Iterator[None]:
    """Keep a chromium running, which ``play`` then uses."""
    process = subprocess.Popen(
        ["node", str(_CHROMIUM), str(_browser()), str(package("playwright-core"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        _running.append(process.stdout.readline().strip())
        try:
            yield
        finally:
            _running.clear()
            process.stdin.close()
            process.wait(20)


def _browser() -> str | None:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def package(name: str) -> str | None:
    """Return the path of a package's package.json, None where it is not installed."""
    folders = [place / "node_modules" for place in _PLACES]
    folders += [Path(entry) for entry in os.environ.get("NODE_PATH", "").split(":") if entry]
    packages = (folder / name / "package.json" for folder in folders)
    return next((str(path) for path in packages if path.is_file()), None)


async def play(
    scenario: str, url: str, *, inside: asyncio.Event | None = None, **given: object
) -> Any:
    """Return what *scenario* saw on the page at *url*; it sets *inside* where it says so.

    Raises:
        AssertionError: the page or the scenario failed, with what the browser said.
    """
    (endpoint,) = _running
    task = {
        "scenario": scenario,
        "url": url,
        "browser": endpoint,
        "package": package("playwright-core"),
        **given,
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        str(_SCRIPT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        # Keys go through stdin: an argument can be seen by every user of the machine.
        process.stdin.write(json.dumps(task).encode())
        process.stdin.write_eof()
        line = b""
        async with asyncio.timeout(_PATIENCE):
            async for line in process.stdout:  # noqa: B007  (the last one is the result)
                if inside is not None:
                    inside.set()
            complaint = await process.stderr.read()
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return json.loads(line)
