"""The clients, and the guide in docs/ that is made of them."""

import re
from pathlib import Path

import pytest

from jarvis_proxy.doctor.client_guides.registry import CLIENTS, Client
from tests.doctor.client_guide import FACTS, GUIDES, Language, render, sentences
from tests.doctor.client_guide_zh import CHINESE
from tests.markdown import code_spans

WANTED = (
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
    "Codex CLI",
    "GitHub Copilot CLI",
    "openai for Python",
    "openai for Node",
)


def test_every_client_is_there_once() -> None:
    assert tuple(client.name for client in CLIENTS) == WANTED
    assert len({client.id for client in CLIENTS}) == len(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_a_client_has_steps_that_hold_the_address(client: Client) -> None:
    assert FACTS.root in str(client.steps(FACTS))
    assert re.fullmatch(r"[a-z0-9-]+", client.id)


@pytest.mark.parametrize(("language", "path"), GUIDES.items())
def test_the_guide_is_what_the_doctor_prints(language: Language, path: Path) -> None:
    """`python -m tests.doctor.client_guide` writes both anew."""
    assert path.read_text(encoding="utf-8") == render(language)


def test_every_sentence_is_there_in_chinese_and_none_is_left_over() -> None:
    assert set(sentences()) == set(CHINESE)


@pytest.mark.parametrize(("english", "chinese"), CHINESE.items())
def test_the_chinese_shows_the_same_code(english: str, chinese: str) -> None:
    assert sorted(code_spans(english)) == sorted(code_spans(chinese))
