"""What to do in each client: templates, filled with an address and models. Pure.

No key stands in them: a client's key is named, never shown.
"""

from dataclasses import dataclass
from typing import Final

from jarvis_proxy.upstreams.gemini.models import knowledge

KEY: Final = "YOUR-PROXY-KEY"
"""Stands for one of PROXY_API_KEYS."""

KEY_VARIABLE: Final = "JARVIS_KEY"

_SEEING: Final = ("gemini-", "gpt-4", "gpt-5", "gpt-6")
"""Names of models that take pictures start so."""


@dataclass(frozen=True, slots=True)
class GuideContext:
    """What the templates are filled with.

    *root* is the proxy's address without ``/v1``; *models* are names that clients may ask for, the
    best first.
    """

    root: str
    models: tuple[str, ...]

    @property
    def base_url(self) -> str:
        """The address with ``/v1``, as most clients want it."""
        return f"{self.root}/v1"

    @property
    def model(self) -> str:
        """The model of the examples."""
        return self.models[0]


@dataclass(frozen=True, slots=True)
class GuideStep:
    """One thing to do: a sentence, then fields to fill in, or text to copy in *language*."""

    say: str
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""
    language: str = ""


def openclaw(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for OpenClaw."""
    models = ",\n".join(_openclaw_model(model) for model in facts.models)
    return (
        GuideStep(
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
    """Return one model's entry; what is not known of it is set to what every model can do."""
    bare = model.rpartition("/")[2]
    context, answer, reasoning = 128_000, 8192, False
    sees = '"text", "image"' if bare.startswith(_SEEING) else '"text"'
    if bare.startswith("gpt-4.1"):
        context, answer = 1_000_000, 32_768
    elif bare.startswith("gemini-"):
        traits = knowledge(bare)
        context, answer, reasoning = 1_000_000, traits.output_limit, traits.thinking != "none"
    return (
        f'          {{ id: "{model}", name: "{model}", reasoning: {str(reasoning).lower()},\n'
        f"            input: [{sees}], contextWindow: {context}, maxTokens: {answer},\n"
        "            compat: { supportsUsageInStreaming: true } }"
    )


def open_webui(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for Open WebUI."""
    return (
        GuideStep(
            "Admin Settings → Connections → OpenAI API → Add Connection:",
            fields=(
                ("URL", facts.base_url),
                ("API Key", KEY),
                ("Model IDs", "leave empty: the list comes from the proxy"),
            ),
        ),
        GuideStep(
            "Or, before the first start, in its environment:",
            text=f"OPENAI_API_BASE_URL={facts.base_url}\nOPENAI_API_KEY={KEY}",
            language="sh",
        ),
    )


def lobechat(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for LobeChat."""
    return (
        GuideStep(
            "Settings → AI Service Provider → OpenAI:",
            fields=(
                ("API Key", KEY),
                ("API Proxy URL", facts.base_url),
                ("Use Client-Side Fetching Mode", "off"),
                ("Use Responses API", "off"),
            ),
        ),
        GuideStep(
            "Or, where you host it yourself, in its environment:",
            text=f"OPENAI_API_KEY={KEY}\nOPENAI_PROXY_URL={facts.base_url}\n"
            f"OPENAI_MODEL_LIST=-all,{','.join('+' + model for model in facts.models)}",
            language="sh",
        ),
    )


def nextchat(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for NextChat, which adds ``/v1`` itself."""
    names = ",".join(facts.models)
    return (
        GuideStep(
            "Settings → Custom Endpoint:",
            fields=(
                ("Model Provider", "OpenAI"),
                ("OpenAI Endpoint", facts.root),
                ("OpenAI API Key", KEY),
                ("Custom Models", names),
            ),
        ),
        GuideStep(
            "Or, where you host it yourself, in its environment:",
            text=f"BASE_URL={facts.root}\nOPENAI_API_KEY={KEY}\n"
            f"CUSTOM_MODELS=-all,{','.join('+' + model for model in facts.models)}",
            language="sh",
        ),
    )


def cherry_studio(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for Cherry Studio, which adds ``/v1`` itself."""
    return (
        GuideStep(
            "Settings → Model Provider → Add, with the provider type OpenAI:",
            fields=(
                ("API Key", KEY),
                ("API Host", facts.root),
                ("Models", "Manage, then choose: " + ", ".join(facts.models)),
            ),
        ),
    )


def home_assistant(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for Home Assistant, which calls /v1/responses only."""
    return (
        GuideStep(
            "The integration has no field for an address. Set it in the environment of the"
            " container:",
            text=f"services:\n  homeassistant:\n    environment:\n"
            f"      OPENAI_BASE_URL: {facts.base_url}",
            language="yaml",
        ),
        GuideStep(
            "Then Settings → Devices & services → Add integration → OpenAI:",
            fields=(("API key", KEY), ("Model", facts.model)),
        ),
    )


def n8n(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for n8n."""
    return (
        GuideStep(
            "Credentials → OpenAI:",
            fields=(
                ("API Key", KEY),
                ("Organization ID", "leave empty"),
                ("Base URL", facts.base_url),
            ),
        ),
        GuideStep(
            "In the node OpenAI Chat Model:",
            fields=(("Model", facts.model),),
        ),
    )


def dify(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for Dify."""
    return (
        GuideStep(
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


def aider(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for aider."""
    return (
        GuideStep(
            "In the shell:",
            text=f"export OPENAI_API_BASE={facts.base_url}\n"
            f'export OPENAI_API_KEY="${KEY_VARIABLE}"\n'
            f"aider --model openai/{facts.model}",
            language="sh",
        ),
    )


def codex(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for Codex CLI."""
    return (
        GuideStep(
            "Into `~/.codex/config.toml`:",
            text=f'model = "{facts.model}"\nmodel_provider = "jarvis"\n\n'
            f'[model_providers.jarvis]\nname = "Jarvis"\nbase_url = "{facts.base_url}"\n'
            f'env_key = "{KEY_VARIABLE}"\nwire_api = "responses"',
            language="toml",
        ),
    )


def copilot(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for GitHub Copilot CLI."""
    return (
        GuideStep(
            "In the shell:",
            text=f"export COPILOT_PROVIDER_BASE_URL={facts.base_url}\n"
            f'export COPILOT_PROVIDER_API_KEY="${KEY_VARIABLE}"\n'
            f"export COPILOT_MODEL={facts.model}\n"
            "copilot",
            language="sh",
        ),
    )


def continue_dev(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for Continue."""
    models = "\n".join(
        f"  - name: {model}\n    provider: openai\n    model: {model}\n"
        f"    apiBase: {facts.base_url}\n    apiKey: ${{{{ secrets.{KEY_VARIABLE} }}}}\n"
        "    roles: [chat, edit, apply]"
        for model in facts.models
    )
    return (
        GuideStep(
            "Into `~/.continue/config.yaml`:",
            text=f"name: Jarvis\nversion: 1.0.0\nschema: v1\nmodels:\n{models}",
            language="yaml",
        ),
    )


def python(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for OpenAI's SDK for Python."""
    return (
        GuideStep(
            "pip install openai, then:",
            text=f'''\
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
print()''',
            language="python",
        ),
    )


def node(facts: GuideContext) -> tuple[GuideStep, ...]:
    """Return the steps for OpenAI's SDK for Node."""
    return (
        GuideStep(
            "npm install openai, then:",
            text=f"""\
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
process.stdout.write("\\n");""",
            language="js",
        ),
    )
