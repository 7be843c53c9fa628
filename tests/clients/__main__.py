"""Installs real clients and runs them against the proxy: python -m tests.clients FOLDER [NAME]. IO.

The folder is kept, so that a second run is quick. With a name, only the coding agents of that name
run, such as codex. Not part of the suite: it needs the package registries. llm, aider,
OpenClaw and the page in a browser are tried by hand or elsewhere.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.clients import agents
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


_QUIET: Final = ("--silent", "--no-audit", "--no-fund")


def install_agents(folder: Path, name: str) -> None:
    """Put the coding agents, or that of *name*, into folders of *folder*, unless they are there."""
    for agent, package in agents.PACKAGES.items():
        if name in ("", agent) or agent == "node":
            _install_agent(folder / agent, package)


def _install_agent(place: Path, package: str) -> None:
    if not (place / "node_modules").exists():
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", *_QUIET, package], cwd=place, check=True)


def install(folder: Path) -> None:
    """Put the packages of SDKs into *folder*, unless they are there."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *_PYTHON], check=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    subprocess.run(["npm", "install", *_QUIET, "--ignore-scripts", *_NODE], cwd=folder, check=True)


async def run_sdks(folder: Path) -> int:
    """Run the SDKs; print a line for each thing tried, and return how many failed."""
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
    return failed


async def run_agents(folder: Path, name: str) -> int:
    """Run the coding agents, or that of *name*; print a line for each, return how many failed."""
    failed = 0
    async for what, fault in agents.run_agents(folder, name):
        failed += bool(fault)
        print(f"{'FAILED' if fault else 'ok':<8}{what}", flush=True)
        if fault:
            print(f"        {fault}")
    return failed


def main(folder: Path, name: str = "") -> int:
    """Install and run all of it, or the agent of *name*; return how much failed."""
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    if not name:
        install(folder)
        failed += asyncio.run(run_sdks(folder))
    install_agents(folder, name)
    failed += asyncio.run(run_agents(folder, name))
    print(f"{failed} failed" if failed else "all well")
    return failed


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m tests.clients FOLDER [AGENT]")
    sys.exit(1 if main(Path(sys.argv[1]).resolve(), *sys.argv[2:]) else 0)
