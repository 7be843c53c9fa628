"""docs/clients.md, made of the doctor's own templates: ``python -m tests.doctor.client_guide``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from jarvis_proxy.doctor.client_guides.registry import CLIENTS, Client
from jarvis_proxy.doctor.client_guides.steps import GuideContext, GuideStep
from tests.doctor.client_guide_zh import CHINESE

ROOT: Final = Path(__file__).resolve().parents[2]
Language = Literal["en", "zh"]
GUIDES: Final[dict[Language, Path]] = {
    "en": ROOT / "docs" / "clients.md",
    "zh": ROOT / "docs" / "clients.zh-CN.md",
}
FACTS: Final = GuideContext("http://HOST:9000", ("gemini-3-flash", "gpt-4.1-mini"))
"""What the guide's examples are filled with."""

_TITLE: Final = "Clients"
_BEFORE: Final = (
    "How each client is set up for Jarvis proxy, one by one.",
    "The same, filled with your server's address and the models that your keys reach, is printed"
    " by",
)
_COMMAND: Final = "```sh\n./start.sh doctor\n```"
_AFTER: Final = (
    "With `--client openclaw` (or another name) it prints one of them only.",
    "In all of it `HOST:9000` stands for the address of your server, `YOUR-PROXY-KEY` and"
    " `JARVIS_KEY` for one of `PROXY_API_KEYS`; your OpenAI and Google keys stay on the server.",
    "Behind a reverse proxy with TLS the address is `https://YOUR-NAME` without a port.",
    "`gemini-3-flash` and `gpt-4.1-mini` are examples: `GET /v1/models` lists what your server"
    " has.",
    "To see that all is well from where a client stands, run"
    " `./start.sh doctor --url https://YOUR-NAME`.",
)

_RUN_TITLE: Final = "What was run"
_RUN_BEFORE: Final = (
    "These clients were run against the proxy in November 2026, on Debian 12.",
    "Behind it were programs that answer, call tools, break off and refuse as OpenAI and Google"
    " do; no real service was called.",
    "Each was asked for a relayed model (`gpt-4o`), for a translated one (`gemini-3-flash`), and"
    " for `jarvis-echo`.",
)
_RUN_HEAD: Final = ("Client", "Version", "What", "Result")
_ALL: Final = "whole, streamed, tool loops to their end, an answer that breaks off, a wrong key"
_ABOVE: Final = "those above"
_GOOD: Final = "as it should"
_RUNS: Final = (
    ("openai for Python", "3.57.0", _ALL, _GOOD),
    ("openai for Node", "6.49.0", _ALL, _GOOD),
    (
        "openai in a web page of another site",
        "6.49.0, Chromium 156",
        "streamed, list of models, refusals, response headers",
        _GOOD,
    ),
    ("LangChain for Python", "langchain-openai 1.7.4", _ALL, _GOOD),
    ("LangChain for JavaScript", "@langchain/openai 1.5.8", _ALL, _GOOD),
    ("Vercel AI SDK", "ai 6.0.326, @ai-sdk/openai-compatible 2.0.92", _ALL, _GOOD),
    (
        "Vercel AI SDK with `openai.chat()`",
        "ai 6.0.326, @ai-sdk/openai 3.0.141",
        _ALL,
        _GOOD,
    ),
    (
        "Vercel AI SDK with `openai()`, which uses `/v1/responses`",
        "ai 6.0.326, @ai-sdk/openai 3.0.141",
        "Gemini: whole, streamed, tool loops to their end, an answer that breaks off, two turns",
        "as it should with `providerOptions: { openai: { store: false } }`; without it a second"
        " turn is refused, for nothing is stored here",
    ),
    (
        "openai and LangChain over `/v1/responses`",
        _ABOVE,
        "Gemini: whole, streamed, tool loops to their end",
        _GOOD,
    ),
    ("llm", "0.36", _ALL, _GOOD),
    (
        "aider",
        "0.86.2 with LiteLLM 1.81.10",
        "streamed, an answer that breaks off, a wrong key",
        _GOOD,
    ),
    (
        "Codex CLI",
        "0.171.0",
        "Gemini and OpenAI: the settings above and its built-in provider, one tool after the other,"
        " tools at once, with and without an MCP server, an answer that breaks off, long silence, a"
        " limit, a prompt that is too long",
        _GOOD,
    ),
    (
        "GitHub Copilot CLI",
        "1.0.102 with Node 26.10.0",
        "Gemini: the settings above and the Responses API, one tool after the other, tools at once",
        _GOOD,
    ),
    (
        "OpenClaw",
        "2026.9.6 with Node 26.10.0",
        "the settings above, two turns, tool loops to their end",
        "as it should; `jarvis-echo` shows nothing there",
    ),
)
_RUN_AFTER: Final = (
    "An answer that breaks off arrives as an error of the client's own kind, with the code"
    " `upstream_truncated` where the client shows codes; a wrong key as its error for 401.",
    "`.venv/bin/python -m tests.clients FOLDER` installs the SDKs among them into a folder and runs"
    " them again.",
    "The other clients on this page were not run; their settings are taken from their"
    " documentation and source.",
)


def render(language: Language) -> str:
    """Return the guide as Markdown."""
    before, after = (
        "".join(f"{_said(sentence, language)}\n" for sentence in part) for part in (_BEFORE, _AFTER)
    )
    pieces = [f"# {_said(_TITLE, language)}\n", before, f"{_COMMAND}\n", after]
    for client in CLIENTS:
        pieces += _section(client, language)
    return "\n".join([*pieces, *_runs(language)])


def sentences() -> Iterator[str]:
    """Yield every English text that the guide in Chinese has in Chinese."""
    yield from (_TITLE, *_BEFORE, *_AFTER)
    for client in CLIENTS:
        for step in client.steps(FACTS):
            yield step.say
            yield from (value for _, value in step.fields if _is_sentence(value))
        yield from client.notes
    yield from (_RUN_TITLE, *_RUN_BEFORE, *_RUN_HEAD, *_RUN_AFTER)
    for _, _, what, result in _RUNS:
        yield from (what, result)
    yield from (name for name, *_ in _RUNS if " in a " in name or "`" in name)
    yield from (version for _, version, *_ in _RUNS if version == _ABOVE)


def _runs(language: Language) -> Iterator[str]:
    yield f"## {_said(_RUN_TITLE, language)}\n"
    yield "".join(f"{_said(sentence, language)}\n" for sentence in _RUN_BEFORE)
    head = " | ".join(_said(word, language) for word in _RUN_HEAD)
    rows = [
        " | ".join((*(_named(word, language) for word in (name, version)), *said))
        for name, version, what, result in _RUNS
        for said in [(_said(what, language), _said(result, language))]
    ]
    yield "\n".join([f"| {head} |", "|---|---|---|---|", *(f"| {row} |" for row in rows), ""])
    yield "".join(f"{_said(sentence, language)}\n" for sentence in _RUN_AFTER)


def _named(name: str, language: Language) -> str:
    return CHINESE.get(name, name) if language == "zh" else name


def _section(client: Client, language: Language) -> Iterator[str]:
    yield f"## {client.name}\n"
    for step in client.steps(FACTS):
        yield f"{_said(step.say, language)}\n"
        yield _step(step, language)
    if client.notes:
        yield "".join(f"- {_said(note, language)}\n" for note in client.notes)


def _step(step: GuideStep, language: Language) -> str:
    if step.text:
        return f"```{step.language}\n{step.text}\n```\n"
    head = "| 字段 | 值 |" if language == "zh" else "| Field | Value |"
    rows = [f"| {label} | {_value(value, language)} |" for label, value in step.fields]
    return "\n".join([head, "|---|---|", *rows, ""])


def _value(value: str, language: Language) -> str:
    return _said(value, language) if _is_sentence(value) else f"`{value}`"


def _is_sentence(value: str) -> bool:
    """Tell whether a field's value is words about it, not text to be typed in."""
    return value in ("on", "off", "Chat", "Tool Call", "Support", "LLM", "OpenAI") or " " in value


def _said(text: str, language: Language) -> str:
    return CHINESE[text] if language == "zh" else text


def main() -> None:
    """Write both guides."""
    for language, path in GUIDES.items():
        path.write_text(render(language), encoding="utf-8")


if __name__ == "__main__":
    main()
