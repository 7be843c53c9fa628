"""google_types: the judge of the other tests is strict itself."""

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from tests.upstreams.gemini.google_types import (
    Json,
    assert_conversation_rules,
    assert_google_accepts,
)

BODY: Json = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"any": [1]}}]}],
    "generationConfig": {"temperature": 1, "thinkingConfig": {"thinkingLevel": "LOW"}},
    "serviceTier": "flex",
}


def test_a_sound_body_passes() -> None:
    assert_google_accepts(BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"store": False},
        {"contents": []},
        {"contents": [{"role": "user", "parts": []}]},
        {"contents": [{"role": "user", "parts": [{"text": ""}]}]},
        {"contents": [{"role": "user", "parts": [{"text": "a", "inlineData": {}}]}]},
        {"contents": [{"role": "user", "parts": [{"functionCall": {"willContinue": True}}]}]},
        {"tools": []},
        {"tools": [{"function_declarations": []}]},
        {"tools": [{"functionDeclarations": [{"name": "f", "strict": True}]}]},
        {"generationConfig": {"max_output_tokens": 5}},
        {"generationConfig": {"thinkingConfig": {"effort": "low"}}},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "HUGE"}}},
        {"serviceTier": "default"},
        {"systemInstruction": {"parts": []}},
    ],
    ids=str,
)
def test_a_body_that_google_would_refuse_does_not(change: dict[str, Any]) -> None:
    with pytest.raises((AssertionError, ValidationError, UserWarning)):
        assert_google_accepts({**BODY, **change})


CALL = {"functionCall": {"name": "f", "args": {}, "id": "a"}, "thoughtSignature": "QUJD"}
RESULT = {"functionResponse": {"name": "f", "response": {}, "id": "a"}}
HISTORY: Json = {
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"text": "wait"}, CALL]},
        {"role": "user", "parts": [RESULT, {"text": "and"}]},
    ]
}


def test_a_sound_history_passes() -> None:
    assert_conversation_rules(HISTORY, signed=True, ids=True)


def _set(*path: Any, to: Any) -> Json:
    history: Any = copy.deepcopy(HISTORY)
    spot = history
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = to
    return dict(history)


@pytest.mark.parametrize(
    "history",
    [
        _set("contents", 1, "role", to="user"),
        _set("contents", 1, "role", to="assistant"),
        _set("contents", 1, "parts", to=[CALL, CALL]),
        _set("contents", 2, "parts", to=[{"text": "first"}, RESULT]),
        _set("contents", 2, "parts", to=[{"text": "no result"}]),
        _set("contents", 2, "parts", 0, "functionResponse", "name", to="g"),
        _set("contents", 2, "parts", 0, "functionResponse", "id", to="b"),
        _set("contents", 2, "parts", 0, "thoughtSignature", to="QUJD"),
        _set("contents", 1, "parts", 1, "thoughtSignature", to=None),
        _set("contents", 1, "parts", 0, "thoughtSignature", to="QUJD"),
        {"contents": HISTORY["contents"][1:]},
        {"contents": HISTORY["contents"][:2]},
        {"contents": HISTORY["contents"] + HISTORY["contents"][1:]},
    ],
)
def test_a_history_that_breaks_a_rule_does_not(history: Json) -> None:
    with pytest.raises(AssertionError):
        assert_conversation_rules(history, signed=True, ids=True)
