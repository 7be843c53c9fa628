"""Installs real clients and runs them against the proxy: python -m tests.clients FOLDER. IO.

The folder is kept, so that a second run is quick. Not part of the suite: it needs the package
registries. llm, aider, OpenClaw and the page in a browser are tried by hand or elsewhere.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.clients.scene import scene
from tests.conftest import KEY

_HERE: Final = Path(__file__).parent
_PYTHON: Final = ("openai==3.57.0", "langchain-openai==1.7.4", "langchain-core==1.8.3")
_NODE: Final = (
    "openai@6.49.0",
    "@langchain/openai@1.5.8",
    "@langchain/core@1.4.0",
    "ai@6.0.326",
    "@ai-sdk/openai-compatible@2.0.92",
    "@ai-sdk/openai@3.0.141",
    "zod@4.6.7",
)


def install(folder: Path) -> None:
    """Put the packages into *folder*, unless they are there."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *_PYTHON], check=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run(["npm", "install", *quiet, *_NODE], cwd=folder, check=True)


async def run(folder: Path) -> int:
    """Run all clients; print a line for each thing tried, and return how many failed."""
    failed = 0
    async with scene() as (proxy, gemini):
        for command in (
            (str(folder / "venv" / "bin" / "python"), str(_HERE / "python_clients.py")),
            ("node", str(_HERE / "node_clients.mjs")),
        ):
            process = await asyncio.create_subprocess_exec(
                *command, proxy.url, KEY, cwd=folder, stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            async for line in process.stdout:
                client, what, good, detail = json.loads(line)
                failed += not good
                print(f"{'ok' if good else 'FAILED':<8}{client}: {what}")
                if not good:
                    print(f"        {detail}")
            failed += await process.wait() != 0
        for refusal in gemini.refusals:
            failed += 1
            print(f"FAILED  refused by Gemini: {refusal}")
    print(f"{failed} failed" if failed else "all well")
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.clients FOLDER")
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    install(place)
    sys.exit(1 if asyncio.run(run(place)) else 0)
