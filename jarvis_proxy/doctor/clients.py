"""How each client is set up for this proxy: templates, filled with an address and models. Pure.

The doctor prints them, and docs/clients.md is made of them, so the two cannot differ. No key stands
in them: a client's key is named, never shown. Every sentence here has its Chinese counterpart in
the guide's tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.upstreams.gemini.models import knowledge

KEY: Final = "YOUR-PROXY-KEY"
"""Stands for one of PROXY_API_KEYS."""

KEY_VARIABLE: Final = "JARVIS_KEY"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the templates are filled with.

    *root* is the proxy's address without ``/v1``; *models* are names that clients may ask for, the
    best first; *openai_models* are those among them that are served on /v1/responses.
    """

    root: str
    models: tuple[str, ...]
    openai_models: tuple[str, ...] = ()

    @property
    def base_url(self) -> str:
        """The address with ``/v1``, as most clients want it."""
        return f"{self.root}/v1"

    @property
    def model(self) -> str:
        """The model of the examples."""
        return self.models[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a sentence, then fields to fill in, or text to copy in *language*."""

    say: str
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its *id* on the doctor's command line, its name, its steps, what to mind."""

    id: str
    name: str
    steps: Callable[[Facts], tuple[Step, ...]]
    notes: tuple[str, ...] = ()


def _openclaw(facts: Facts) -> tuple[Step, ...]:
    models = ",\n".join(_openclaw_model(model) for model in facts.models)
    return (
        Step(
            "Into `~/.openclaw/openclaw.json`:",
            text=f"""\
{{
  models: {{
    providers: {{
      jarvis: {{
        baseUrl: "{facts.base_url}",
        apiKey: "${{{KEY_VARIABLE}}}",
        api: "openai-completions",
        timeoutSeconds: 600,
        models: [
{models},
        ],
      }},
    }},
  }},
  agents: {{ defaults: {{ model: {{ primary: "jarvis/{facts.model}" }} }} }},
}}""",
            language="json5",
        ),
    )


def _openclaw_model(model: str) -> str:
    """Return one model's line; what is not known of it is set to what every model can do."""
    bare = model.rpartition("/")[2]
    context, answer, reasoning = 128_000, 8192, False
    if bare.startswith("gemini-"):
        traits = knowledge(bare)
        context, answer, reasoning = 1_000_000, traits.output_limit, traits.thinking != "none"
    return (
        f'          {{ id: "{model}", name: "{model}", reasoning: {str(reasoning).lower()},'
        f' input: ["text", "image"],\n            contextWindow: {context}, maxTokens: {answer},'
        " compat: { supportsUsageInStreaming: true } }"
    )


def _open_webui(facts: Facts) -> tuple[Step, ...]:
    return (
        Step(
            "Admin Settings → Connections → OpenAI API → Add Connection:",
            fields=(
                ("URL", facts.base_url),
                ("API Key", KEY),
                ("Model IDs", "leave empty: the list comes from the proxy"),
            ),
        ),
        Step(
            "Or, before the first start, in its environment:",
            text=f"OPENAI_API_BASE_URL={facts.base_url}\nOPENAI_API_KEY={KEY}",
            language="sh",
        ),
    )


def _lobechat(facts: Facts) -> tuple[Step, ...]:
    return (
        Step(
            "Settings → AI Service Provider → OpenAI:",
            fields=(
                ("API Key", KEY),
                ("API Proxy URL", facts.base_url),
                ("Use Client-Side Fetching Mode", "off"),
                ("Use Responses API", "off"),
            ),
        ),
        Step(
            "Or, where you host it yourself, in its environment:",
            text=f"OPENAI_API_KEY={KEY}\nOPENAI_PROXY_URL={facts.base_url}\n"
            f"OPENAI_MODEL_LIST=-all,{','.join('+' + model for model in facts.models)}",
            language="sh",
        ),
    )


def _nextchat(facts: Facts) -> tuple[Step, ...]:
    names = ",".join(facts.models)
    return (
        Step(
            "Settings → Custom Endpoint:",
            fields=(
                ("Model Provider", "OpenAI"),
                ("OpenAI Endpoint", facts.root),
                ("OpenAI API Key", KEY),
                ("Custom Models", names),
            ),
        ),
        Step(
            "Or, where you host it yourself, in its environment:",
            text=f"BASE_URL={facts.root}\nOPENAI_API_KEY={KEY}\n"
            f"CUSTOM_MODELS=-all,{','.join('+' + model for model in facts.models)}",
            language="sh",
        ),
    )


def _cherry_studio(facts: Facts) -> tuple[Step, ...]:
    return (
        Step(
            "Settings → Model Provider → Add, with the provider type OpenAI:",
            fields=(
                ("API Key", KEY),
                ("API Host", facts.root),
                ("Models", "Manage, then choose: " + ", ".join(facts.models)),
            ),
        ),
    )


def _home_assistant(facts: Facts) -> tuple[Step, ...]:
    model = facts.openai_models[0] if facts.openai_models else "gpt-4.1-mini"
    return (
        Step(
            "The integration has no field for an address. Set it in the environment of the"
            " container:",
            text=f"services:\n  homeassistant:\n    environment:\n"
            f"      OPENAI_BASE_URL: {facts.base_url}",
            language="yaml",
        ),
        Step(
            "Then Settings → Devices & services → Add integration → OpenAI:",
            fields=(("API key", KEY), ("Model", model)),
        ),
    )


def _n8n(facts: Facts) -> tuple[Step, ...]:
    return (
        Step(
            "Credentials → OpenAI:",
            fields=(("API Key", KEY), ("Organization ID", "leave empty"), ("Base URL", facts.base_url)),
        ),
        Step(
            "In the node OpenAI Chat Model:",
            fields=(("Model", facts.model), ("Use Responses API", "off")),
        ),
    )


def _dify(facts: Facts) -> tuple[Step, ...]:
    return (
        Step(
            "Install the plugin OpenAI-API-compatible, then Settings → Model Provider → Add Model:",
            fields=(
                ("Model Type", "LLM"),
                ("Model Name", facts.model),
                ("API Key", KEY),
                ("API endpoint URL", facts.base_url),
                ("Completion mode", "Chat"),
                ("Function calling", "Tool Call"),
                ("Stream function calling", "Support"),
                ("Vision Support", "Support"),
            ),
        ),
    )


def _aider(facts: Facts) -> tuple[Step, ...]:
    return (
        Step(
            "In the shell, or in `.env` of your project:",
            text=f'export OPENAI_API_BASE={facts.base_url}\nexport OPENAI_API_KEY="${KEY_VARIABLE}"\n'
            f"aider --model openai/{facts.model}",
            language="sh",
        ),
    )


def _continue(facts: Facts) -> tuple[Step, ...]:
    models = "\n".join(
        f"  - name: {model}\n    provider: openai\n    model: {model}\n"
        f"    apiBase: {facts.base_url}\n    apiKey: ${{{{ secrets.{KEY_VARIABLE} }}}}\n"
        "    useResponsesApi: false\n    roles: [chat, edit, apply]"
        for model in facts.models
    )
    return (
        Step(
            "Into `~/.continue/config.yaml`:",
            text=f"name: Jarvis\nversion: 1.0.0\nschema: v1\nmodels:\n{models}",
            language="yaml",
        ),
    )


def _python(facts: Facts) -> tuple[Step, ...]:
    return (
        Step("pip install openai, then:", text=f'''\
import os

from openai import OpenAI

client = OpenAI(base_url="{facts.base_url}", api_key=os.environ["{KEY_VARIABLE}"])
stream = client.chat.completions.create(
    model="{facts.model}",
    messages=[{{"role": "user", "content": "Hello"}}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()''', language="python"),
    )


def _node(facts: Facts) -> tuple[Step, ...]:
    return (
        Step("npm install openai, then:", text=f"""\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{facts.base_url}",
  apiKey: process.env.{KEY_VARIABLE},
}});
const stream = await client.chat.completions.create({{
  model: "{facts.model}",
  messages: [{{ role: "user", content: "Hello" }}],
  stream: true,
}});
for await (const chunk of stream) {{
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}}
process.stdout.write("\\n");""", language="js"),
    )


CLIENTS: Final = (
    Client(
        "openclaw",
        "OpenClaw",
        _openclaw,
        (
            "The provider id (`jarvis`) is yours to choose, but not `openai` and not `google`: both"
            " switch on behaviour meant for these vendors.",
            "`timeoutSeconds` raises OpenClaw's own watchdog, which otherwise gives up after 120"
            " seconds of silence, asks again, and is billed again.",
            "`apiKey` takes the key from the environment variable `JARVIS_KEY` of OpenClaw.",
        ),
    ),
    Client(
        "open-webui",
        "Open WebUI",
        _open_webui,
        (
            "The environment counts at its very first start only; later the admin settings do.",
            "Direct connections of users are made by their browsers: CORS_ORIGINS must allow the"
            " page, and a page served by HTTPS needs the proxy on HTTPS.",
        ),
    ),
    Client(
        "lobechat",
        "LobeChat",
        _lobechat,
        (
            "The address ends in `/v1`: LobeChat adds none.",
            "With client-side fetching the browser calls the proxy: a page served by HTTPS then"
            " needs the proxy on HTTPS.",
        ),
    ),
    Client(
        "nextchat",
        "NextChat",
        _nextchat,
        (
            "The address has no `/v1`: NextChat adds it. With `/v1` it works as well.",
            "The desktop app and the web page call from the browser: a page served by HTTPS needs"
            " the proxy on HTTPS.",
        ),
    ),
    Client(
        "cherry-studio",
        "Cherry Studio",
        _cherry_studio,
        ("Cherry Studio adds `/v1` to an address without it.",),
    ),
    Client(
        "home-assistant",
        "Home Assistant",
        _home_assistant,
        (
            "It uses the Responses API only, which reaches models of OpenAI and of compatible"
            " upstreams that have it, but no Gemini models.",
            "Every other use of OpenAI's SDK in that container goes to the proxy, too.",
        ),
    ),
    Client(
        "n8n",
        "n8n",
        _n8n,
        (
            "Use Responses API is on by default and reaches no Gemini models: turn it off in each"
            " node.",
        ),
    ),
    Client(
        "dify",
        "Dify",
        _dify,
        (
            "Add each model by its name; Dify tries it with one short question, which is billed.",
            "From inside Dify's containers 127.0.0.1 is the container itself: use the address of"
            " the machine.",
        ),
    ),
    Client(
        "aider",
        "aider",
        _aider,
        ("The prefix `openai/` tells aider which API to speak; the proxy never sees it.",),
    ),
    Client(
        "continue",
        "Continue",
        _continue,
        ("Put the key into `~/.continue/.env` as `JARVIS_KEY=…`.",),
    ),
    Client("openai-python", "openai for Python", _python),
    Client("openai-node", "openai for Node", _node),
)
"""In the order in which they are printed."""
