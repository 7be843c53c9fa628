"""Coding agents from npm, each on three kinds of upstream, two commands at a time. IO."""

import asyncio
import json
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

from jarvis_proxy.client_guides.context import GuideContext
from jarvis_proxy.client_guides.registry import read_guide
from tests.clients.agent_upstreams import (
    AnthropicForAgents,
    ChatForAgents,
    GeminiForAgents,
    Plan,
)
from tests.conftest import KEY, running_proxy
from tests.support.raw_upstream import RawUpstream

PACKAGES: Final[Mapping[str, str]] = {
    "node": "node@26",  # Gemini CLI wants a newer one than most systems have
    "codex": "@openai/codex@0.171.0",
    "claude": "@anthropic-ai/claude-code@2.1.332",
    "gemini": "@google/gemini-cli@0.61.0",
    "qwen": "@qwen-code/qwen-code@0.24.4",
    "opencode": "opencode-ai@1.18.33",
    "pi": "@earendil-works/pi-coding-agent@1.6.0",
    "cn": "@continuedev/cli@1.5.47",
    "cline": "cline@3.0.65",
    "copilot": "@github/copilot@1.0.102",
}
MODELS: Final[Mapping[str, str]] = {
    "gemini": "gemini-3-flash-preview",
    "chat": "deepseek-chat",
    "anthropic": "claude-haiku-5-5",
}
_PROMPT: Final = "run the first command, then the second"
_LIMIT: Final = 120.0
"""Seconds for one run."""


class Home(NamedTuple):
    """Where an agent lives: its home folder, the proxy's address, the model to ask for."""

    folder: Path
    url: str
    model: str

    def write(self, path: str, text: str) -> None:
        """Write a configuration file."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def guide(self, client: str) -> str:
        """Return the file that the guide of *client* shows first, for this proxy and model."""
        models = (self.model, "jarvis-echo")
        return read_guide(client, GuideContext(self.url, models)).steps[0].text


Command = tuple[list[str], dict[str, str]]
"""Arguments of the program, and its environment."""


def _codex(home: Home) -> Command:
    home.write(
        ".codex/config.toml",
        f'model = "{home.model}"\nmodel_provider = "jarvis"\n'
        "check_for_update_on_startup = false\n[analytics]\nenabled = false\n"
        f'[model_providers.jarvis]\nname = "Jarvis"\nbase_url = "{home.url}/v1"\n'
        'env_key = "JARVIS_KEY"\nwire_api = "responses"\n',
    )
    options = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    return ["exec", *options, _PROMPT], {"JARVIS_KEY": KEY}


def _claude(home: Home) -> Command:
    return ["-p", _PROMPT, "--dangerously-skip-permissions"], {
        "ANTHROPIC_BASE_URL": home.url,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": home.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": home.model,
        "IS_SANDBOX": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def _gemini(home: Home) -> Command:
    settings = {
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "privacy": {"usageStatisticsEnabled": False},
        "telemetry": {"enabled": False},
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    }
    home.write(".gemini/settings.json", json.dumps(settings))
    return ["-m", home.model, "-y", "-p", _PROMPT], {
        "GEMINI_API_KEY": KEY,
        "GOOGLE_GEMINI_BASE_URL": home.url,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
    }


def _qwen(home: Home) -> Command:
    settings = {
        **json.loads(home.guide("qwen-code")),
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False},
    }
    home.write(".qwen/settings.json", json.dumps(settings))
    return ["-y", _PROMPT], {"JARVIS_KEY": KEY}


def _opencode(home: Home) -> Command:
    home.write(".config/opencode/opencode.jsonc", home.guide("opencode"))
    return ["run", "--auto", _PROMPT], {
        "JARVIS_KEY": KEY,
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }


def _pi(home: Home) -> Command:
    home.write(".pi/agent/models.json", home.guide("pi"))
    model = f"jarvis/{home.model}"
    return ["--model", model, "-p", _PROMPT], {"JARVIS_KEY": KEY, "PI_OFFLINE": "1"}


def _cn(home: Home) -> Command:
    home.write(".continue/config.yaml", home.guide("continue"))
    home.write(".continue/.env", f"JARVIS_KEY={KEY}\n")
    config = str(home.folder / ".continue" / "config.yaml")
    return ["--config", config, "--auto", "-p", _PROMPT], {"CONTINUE_TELEMETRY_ENABLED": "0"}


def _cline(home: Home) -> Command:
    settings = {
        "provider": "openai-compatible",
        "apiKey": KEY,
        "model": home.model,
        "baseUrl": f"{home.url}/v1",
    }
    provider = {"settings": settings, "updatedAt": "2026-11-01T00:00:00.000Z"}
    providers = {
        "version": 1,
        "lastUsedProvider": "openai-compatible",
        "providers": {"openai-compatible": {**provider, "tokenSource": "manual"}},
    }
    home.write(".cline/data/settings/providers.json", json.dumps(providers))
    return ["--auto-approve", "true", _PROMPT], {"CLINE_SESSION_BACKEND_MODE": "local"}


def _copilot(home: Home) -> Command:
    return ["--allow-all", "-p", _PROMPT], {
        "COPILOT_PROVIDER_BASE_URL": f"{home.url}/v1",
        "COPILOT_PROVIDER_API_KEY": KEY,
        "COPILOT_MODEL": home.model,
        "COPILOT_OFFLINE": "true",
    }


_AGENTS: Final[Mapping[str, Callable[[Home], Command]]] = {
    "codex": _codex,
    "claude": _claude,
    "gemini": _gemini,
    "qwen": _qwen,
    "opencode": _opencode,
    "pi": _pi,
    "cn": _cn,
    "cline": _cline,
    "copilot": _copilot,
}

_NO_CHAT: Final = ("codex", "claude", "gemini")
"""The agents that speak another API than chat completions."""


class Result(NamedTuple):
    """What was tried, and what went wrong; ``""`` for nothing."""

    what: str
    fault: str


async def run_agents(folder: Path, name: str = "") -> AsyncIterator[Result]:
    """Run every agent, installed in *folder*, or that of *name*, on every kind of upstream."""
    for agent, kind, parallel in product([name] if name else _AGENTS, MODELS, (False, True)):
        how = "two calls at once" if parallel else "two calls in turn"
        yield Result(f"{agent} on {kind}: {how}", await _fault(folder, agent, kind, parallel))


async def _fault(folder: Path, agent: str, kind: str, parallel: bool) -> str:
    plan = Plan(secrets.token_hex(4), parallel=parallel)
    gemini, anthropic = GeminiForAgents(plan), AnthropicForAgents(plan)
    chat = ChatForAgents(plan, relayed=agent not in _NO_CHAT)
    upstreams: Mapping[str, GeminiForAgents | ChatForAgents | AnthropicForAgents] = {
        "gemini": gemini,
        "chat": chat,
        "anthropic": anthropic,
    }
    asked = upstreams[kind]
    google, service = gemini.running(), chat.running()
    async with google.running(), service.running(), anthropic.upstream.running():
        settings = {**_chat_settings(service), **anthropic.env()}
        async with running_proxy(gemini=google.base_url, **settings) as proxy:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
                code, output = await _run(folder, agent, Home(Path(home), proxy.url, MODELS[kind]))
    if code != 0 or asked.answer not in output:
        return f"exit {code}: {output[-400:]} (the upstream refused {asked.refusals})"
    said = json.dumps(asked.bodies[-1] if asked.bodies else "")
    missing = [words for words in plan.expected() if words not in said]
    return f"never came back: {missing}" if missing else ""


def _chat_settings(service: RawUpstream) -> dict[str, str]:
    return {
        "UPSTREAMS": "deepseek",
        "DEEPSEEK_BASE_URL": service.base_url,
        "DEEPSEEK_API_KEY": "sk-deepseek-0123456789",
        "DEEPSEEK_MODELS": "deepseek-*",
    }


async def _run(folder: Path, agent: str, home: Home) -> tuple[int | None, str]:
    """Return the exit code of *agent*, None if it did not end, and what it printed."""
    arguments, env = _AGENTS[agent](home)
    project = home.folder / "project"
    project.mkdir()
    node = folder / "node" / "node_modules" / "node" / "bin"
    process = await asyncio.create_subprocess_exec(
        folder / agent / "node_modules" / ".bin" / agent,
        *arguments,
        cwd=project,
        env={
            "HOME": str(home.folder),
            "PATH": f"{node}:{os.environ['PATH']}",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "DO_NOT_TRACK": "1",
            **env,
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _LIMIT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None, "it did not end"
    return process.returncode, output.decode(errors="replace")
