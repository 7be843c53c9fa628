"""The clients that the doctor knows: what each is called, and what to mind. Pure.

The doctor prints these, and docs/clients.md is made of them, so the two cannot differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.doctor.client_guides import steps as guide_steps
from jarvis_proxy.doctor.client_guides.steps import GuideContext, GuideStep


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its *id* on the doctor's command line, its name, its steps, what to mind."""

    id: str
    name: str
    steps: Callable[[GuideContext], tuple[GuideStep, ...]]
    notes: tuple[str, ...] = ()


CLIENTS: Final = (
    Client(
        "openclaw",
        "OpenClaw",
        guide_steps.openclaw,
        (
            "The provider id (`jarvis`) is yours to choose, but not `openai` and not `google`: both"
            " switch on behaviour meant for these vendors.",
            "`timeoutSeconds` raises OpenClaw's own watchdog, which otherwise gives up after 120"
            " seconds of silence, asks again, and is billed again.",
            "`apiKey` takes the key from the environment variable `JARVIS_KEY` of OpenClaw.",
            "`jarvis-echo` shows nothing in OpenClaw: it repeats the last message, which is"
            " OpenClaw's own context, and OpenClaw hides that.",
        ),
    ),
    Client(
        "open-webui",
        "Open WebUI",
        guide_steps.open_webui,
        (
            "The environment counts at its very first start only; later the admin settings do.",
            "Direct connections of users are made by their browsers: CORS_ORIGINS must allow the"
            " page, and a page served by HTTPS needs the proxy on HTTPS.",
        ),
    ),
    Client(
        "lobechat",
        "LobeChat",
        guide_steps.lobechat,
        (
            "The address ends in `/v1`: LobeChat adds none.",
            "With client-side fetching the browser calls the proxy: a page served by HTTPS then"
            " needs the proxy on HTTPS.",
        ),
    ),
    Client(
        "nextchat",
        "NextChat",
        guide_steps.nextchat,
        (
            "The address has no `/v1`: NextChat adds it. With `/v1` it works as well.",
            "The desktop app and the web page call from the browser: a page served by HTTPS needs"
            " the proxy on HTTPS.",
        ),
    ),
    Client(
        "cherry-studio",
        "Cherry Studio",
        guide_steps.cherry_studio,
        ("Cherry Studio adds `/v1` to an address without it.",),
    ),
    Client(
        "home-assistant",
        "Home Assistant",
        guide_steps.home_assistant,
        (
            "It uses the Responses API only, which reaches models of OpenAI and Gemini, and those"
            " of compatible upstreams that have it.",
            "Every other use of OpenAI's SDK in that container goes to the proxy, too.",
            "The custom integration Extended OpenAI Conversation has a field for the address and"
            " uses chat completions, so it reaches every model.",
        ),
    ),
    Client(
        "n8n",
        "n8n",
        guide_steps.n8n,
        (
            "Use Responses API is on by default, which is well for models of OpenAI and Gemini:"
            " turn it off for upstreams that do not have it.",
        ),
    ),
    Client(
        "dify",
        "Dify",
        guide_steps.dify,
        (
            "Add each model by its name; Dify tries it with one short question, which is billed.",
            "From inside Dify's containers 127.0.0.1 is the container itself: use the address of"
            " the machine.",
        ),
    ),
    Client(
        "aider",
        "aider",
        guide_steps.aider,
        ("The prefix `openai/` tells aider which API to speak; the proxy never sees it.",),
    ),
    Client(
        "continue",
        "Continue",
        guide_steps.continue_dev,
        ("Put the key into `~/.continue/.env` as `JARVIS_KEY=…`.",),
    ),
    Client(
        "codex",
        "Codex CLI",
        guide_steps.codex,
        (
            "`env_key` takes the key from the environment variable `JARVIS_KEY` of Codex.",
            "Codex warns that it has no metadata for models that are not OpenAI's; it works all the"
            " same, with MCP servers too.",
            "It uses the Responses API only, which reaches models of OpenAI and Gemini, and those"
            " of compatible upstreams that have it.",
        ),
    ),
    Client(
        "copilot",
        "GitHub Copilot CLI",
        guide_steps.copilot,
        (
            "`COPILOT_OFFLINE=true` keeps it from GitHub's own services.",
            "`COPILOT_PROVIDER_WIRE_API=responses` makes it use the Responses API, for models of"
            " OpenAI and Gemini.",
        ),
    ),
    Client("openai-python", "openai for Python", guide_steps.python),
    Client("openai-node", "openai for Node", guide_steps.node),
)
"""In the order in which they are printed."""
