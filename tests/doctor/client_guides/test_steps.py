"""The templates, and that what they give can be read by whoever it is for."""

import ast
import re

import pytest

from jarvis_proxy.doctor.client_guides import steps as guide_steps
from jarvis_proxy.doctor.client_guides.registry import CLIENTS, Client
from jarvis_proxy.doctor.client_guides.steps import KEY, GuideContext, GuideStep

GEMINI = GuideContext("https://my.host", ("gemini-3-flash", "gemini/gemini-2.5-pro"))
MIXED = GuideContext("http://10.0.0.5:9000", ("own/llama", "gpt-4.1-mini"))
ECHO = GuideContext("http://127.0.0.1:9000", ("jarvis-echo",))


def fields(steps: tuple[GuideStep, ...]) -> dict[str, str]:
    return {label: value for step in steps for label, value in step.fields}


@pytest.mark.parametrize("facts", [GEMINI, MIXED, ECHO])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_no_template_is_left_unfilled(client: Client, facts: GuideContext) -> None:
    for step in client.steps(facts):
        assert step.say.endswith(":")
        assert bool(step.text) != bool(step.fields)
        assert bool(step.text) == bool(step.language)
        for text in (step.text, *dict(step.fields).values()):
            assert not re.search(r"\{(?:facts|KEY|model)", text)
            assert text == text.rstrip()


@pytest.mark.parametrize("facts", [GEMINI, MIXED])
def test_addresses_have_v1_once_where_the_client_adds_none(facts: GuideContext) -> None:
    for steps in (guide_steps.open_webui, guide_steps.lobechat, guide_steps.n8n):
        assert facts.base_url in fields(steps(facts)).values()
    for steps in (guide_steps.nextchat, guide_steps.cherry_studio):
        assert facts.root in fields(steps(facts)).values()


def test_openclaw_is_told_what_each_model_can_do() -> None:
    text = guide_steps.openclaw(GuideContext("http://h", ("gemini-3-flash", "gpt-4.1", "llama")))[
        0
    ].text

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


def test_clients_of_the_responses_api_get_gemini_models_too() -> None:
    assert fields(guide_steps.home_assistant(MIXED))["Model"] == "own/llama"
    assert fields(guide_steps.home_assistant(GEMINI))["Model"] == "gemini-3-flash"
    assert fields(guide_steps.n8n(GEMINI))["Model"] == "gemini-3-flash"


def test_continue_gets_every_model() -> None:
    text = guide_steps.continue_dev(MIXED)[0].text

    assert text.count("provider: openai") == 2
    assert "apiKey: ${{ secrets.JARVIS_KEY }}" in text


def test_the_python_example_is_python() -> None:
    (step,) = guide_steps.python(GEMINI)

    assert ast.parse(step.text)
    assert 'base_url="https://my.host/v1"' in step.text


def test_keys_are_named_and_never_shown() -> None:
    assert fields(guide_steps.dify(MIXED))["API Key"] == KEY
    assert f"OPENAI_API_KEY={KEY}" in guide_steps.nextchat(MIXED)[1].text
