"""The clients, their templates in both languages, and the pages in docs/ made of them."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from jarvis_proxy.client_guides import CLIENTS, registry
from jarvis_proxy.client_guides.context import GuideContext
from jarvis_proxy.client_guides.registry import (
    Guide,
    Language,
    guide_markdown,
    read_guide,
)
from tests.doctor.client_guide import CONTEXT, FOLDER, SUFFIXES, page, render
from tests.support.markdown import code_spans

GEMINI = GuideContext("https://my.host", ("gemini-3-flash", "gemini/gemini-2.5-pro"))
MIXED = GuideContext("http://10.0.0.5:9000", ("own/llama", "gpt-4.1-mini"))
ECHO = GuideContext("http://127.0.0.1:9000", ("jarvis-echo",))
FENCE = re.compile(r"^```[\s\S]*?^```$", re.MULTILINE)
NAMES = (
    "OpenClaw",
    "Open WebUI",
    "LobeChat",
    "NextChat",
    "Cherry Studio",
    "Home Assistant",
    "n8n",
    "Dify",
    "aider",
    "Continue",
    "Claude Code",
    "Codex CLI",
    "GitHub Copilot CLI",
    "Gemini CLI",
    "Qwen Code",
    "opencode",
    "pi",
    "Cline CLI",
    "Microsoft Agent Framework",
    "openai for Python",
    "openai for Node",
)


def fields(guide: Guide) -> dict[str, str]:
    return {label: value for step in guide.steps for label, value in step.fields.items()}


def test_every_client_has_its_guide_in_both_languages() -> None:
    folder = Path(registry.__file__).parent

    assert tuple(read_guide(client, CONTEXT).name for client in CLIENTS) == NAMES
    for language in SUFFIXES:
        assert {path.stem for path in (folder / language).glob("*.md")} == set(CLIENTS)


@pytest.mark.parametrize("context", [GEMINI, MIXED, ECHO])
@pytest.mark.parametrize("client", CLIENTS)
def test_guide_has_whole_steps_and_no_placeholder(client: str, context: GuideContext) -> None:
    guide = read_guide(client, context)

    assert context.root in str(guide.steps)
    assert re.fullmatch(r"[a-z0-9-]+", client)
    for step in guide.steps:
        assert step.say.endswith(":")
        assert bool(step.text) != bool(step.fields)
        for text in (step.text, *step.fields.values()):
            assert not re.search(r"{{[#/\w]", text)
            assert text == text.rstrip()


@pytest.mark.parametrize("client", CLIENTS)
def test_steps_keep_everything_of_their_template(client: str) -> None:
    """Each line is the title, part of a step, a note, or the frame of a table or a fence."""
    guide = read_guide(client, CONTEXT)
    rows = [f"| {label} | {value} |" for label, value in fields(guide).items()]
    texts = [line for step in guide.steps for line in step.text.splitlines()]
    said = [step.say for step in guide.steps]
    frames = ["| Field | Value |", "|---|---|", "```", ""]
    known = {f"# {guide.name}", *said, *rows, *texts, *(f"- {note}" for note in guide.notes)}

    lines = guide_markdown(client, CONTEXT).splitlines()

    plain = [line.replace("| `", "| ").replace("` |", " |") for line in lines]
    assert [
        line
        for line, bare in zip(lines, plain, strict=True)
        if not {line, bare} & {*known, *frames} and not line.startswith("```")
    ] == []


@pytest.mark.parametrize("client", CLIENTS)
def test_both_languages_show_the_same_code(client: str) -> None:
    english, chinese = (guide_markdown(client, CONTEXT, language) for language in SUFFIXES)
    fences = [FENCE.findall(text) for text in (english, chinese)]
    spans = [sorted(code_spans(FENCE.sub("", text))) for text in (english, chinese)]
    labels = [re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for text in (english, chinese)]

    assert fences[0] == fences[1]
    assert spans[0] == spans[1]
    assert labels[0] == [label.replace("字段", "Field") for label in labels[1]]


@pytest.mark.parametrize("language", SUFFIXES)
@pytest.mark.parametrize("client", CLIENTS)
def test_page_has_what_the_doctor_prints(client: str, language: Language) -> None:
    """`python -m tools.docs` writes the pages."""
    assert page(client, language).read_text(encoding="utf-8") == render(client, language)


def test_every_page_belongs_to_a_client() -> None:
    expected = {page(client, language).name for client in CLIENTS for language in SUFFIXES}
    actual = {path.name for path in FOLDER.glob("*.md") if not path.name.startswith("README.")}

    assert expected == actual


@pytest.mark.parametrize("context", [GEMINI, MIXED])
def test_addresses_have_v1_once_if_the_client_adds_none(context: GuideContext) -> None:
    for client in ("open-webui", "lobechat", "n8n"):
        assert context.base_url in fields(read_guide(client, context)).values()
    for client in ("nextchat", "cherry-studio"):
        assert context.root in fields(read_guide(client, context)).values()


def test_openclaw_gets_what_each_model_can_do() -> None:
    context = GuideContext("http://h", ("gemini-3-flash", "gpt-4.1", "llama"))
    text = read_guide("openclaw", context).steps[0].text

    assert 'baseUrl: "http://h/v1"' in text
    assert 'apiKey: "${JARVIS_KEY}"' in text
    assert "timeoutSeconds: 600" in text
    assert 'primary: "jarvis/gemini-3-flash"' in text
    flash, four, llama = re.findall(r"\{ id: .*?\} \}", text, re.DOTALL)
    assert 'reasoning: true,\n            input: ["text", "image"]' in flash
    assert "contextWindow: 1000000, maxTokens: 65536" in flash
    assert 'reasoning: false,\n            input: ["text", "image"]' in four
    assert "contextWindow: 1000000, maxTokens: 32768" in four
    assert 'input: ["text"], contextWindow: 128000, maxTokens: 8192' in llama


def test_continue_gets_every_model() -> None:
    text = read_guide("continue", MIXED).steps[0].text

    assert text.count("provider: openai") == 2
    assert "apiKey: ${{ secrets.JARVIS_KEY }}" in text


def test_lists_of_models_have_each_client_s_form() -> None:
    assert fields(read_guide("nextchat", MIXED))["Custom Models"] == "own/llama,gpt-4.1-mini"
    assert fields(read_guide("cherry-studio", MIXED))["Models"].endswith("own/llama, gpt-4.1-mini")
    assert "=-all,+own/llama,+gpt-4.1-mini" in read_guide("lobechat", MIXED).steps[1].text


@pytest.mark.parametrize("client", ["openai-python", "agent-framework"])
def test_python_example_compiles(client: str) -> None:
    (step,) = read_guide(client, GEMINI).steps

    assert ast.parse(step.text)
    assert 'base_url="https://my.host/v1"' in step.text


def configuration(client: str, context: GuideContext) -> dict[str, Any]:
    """Return the JSON that a guide shows first; opencode and pi allow a comma before a bracket."""
    text = read_guide(client, context).steps[0].text
    parsed: dict[str, Any] = json.loads(re.sub(r",(?=\s*[\]}])", "", text))
    return parsed


@pytest.mark.parametrize("context", [GEMINI, MIXED, ECHO])
def test_agents_get_the_address_and_every_model(context: GuideContext) -> None:
    opencode = configuration("opencode", context)["provider"]["jarvis"]
    pi = configuration("pi", context)["providers"]["jarvis"]

    assert opencode["options"]["baseURL"] == pi["baseUrl"] == context.base_url
    assert tuple(opencode["models"]) == context.models
    assert tuple(model["id"] for model in pi["models"]) == context.models


def test_qwen_code_gets_plain_json_with_one_model() -> None:
    settings = json.loads(read_guide("qwen-code", GEMINI).steps[0].text)
    (provider,) = settings["modelProviders"]["openai"]

    assert provider["baseUrl"] == GEMINI.base_url
    assert provider["id"] == settings["model"]["name"] == "gemini-3-flash"


def test_model_name_that_looks_like_a_placeholder_is_unchanged() -> None:
    context = GuideContext("http://h", ("{{nonsense}}",))

    assert "--model openai/{{nonsense}}" in read_guide("aider", context).steps[0].text
    assert 'id: "{{nonsense}}"' in read_guide("openclaw", context).steps[0].text


def test_keys_are_named_and_never_shown() -> None:
    assert fields(read_guide("dify", MIXED))["API Key"] == "YOUR-PROXY-KEY"
    assert "OPENAI_API_KEY=YOUR-PROXY-KEY" in read_guide("nextchat", MIXED).steps[1].text
