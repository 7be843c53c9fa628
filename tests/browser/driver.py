"""Runs one scenario of scenarios.mjs in chromium, and says what is missing where it cannot. IO."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

_SCRIPT: Final = Path(__file__).with_name("scenarios.mjs")
_PLACES: Final = (Path(__file__).parents[1] / "node", Path(__file__).parent)
"""Where ``npm install`` may have put playwright-core; NODE_PATH is looked at too."""
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE: Final = 45.0


def missing() -> str:
    """Return why no browser can be driven here, "" if one can."""
    for found, what in (
        (shutil.which("node"), "node"),
        (_browser(), "chromium"),
        (_package(), "playwright-core, a package for Node.js (npm install in tests/browser),"),
    ):
        if found is None:
            return f"{what} is not installed"
    return ""


def _browser() -> str | None:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)


def _package() -> str | None:
    folders = [place / "node_modules" for place in _PLACES]
    folders += [Path(entry) for entry in os.environ.get("NODE_PATH", "").split(":") if entry]
    packages = (folder / "playwright-core" / "package.json" for folder in folders)
    return next((str(path) for path in packages if path.is_file()), None)


async def play(
    scenario: str, url: str, *, inside: asyncio.Event | None = None, **given: object
) -> Any:
    """Return what *scenario* saw on the page at *url*; it sets *inside* where it says so.

    Raises:
        AssertionError: the page or the scenario failed, with what the browser said.
    """
    task = {"scenario": scenario, "url": url, "browser": _browser(), "package": _package(), **given}
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
