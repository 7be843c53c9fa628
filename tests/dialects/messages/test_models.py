"""Rows H3, H4 and H11: the list of models, and the names that only Anthropic's clients use."""

import json

import pytest

from jarvis_proxy.dialects.messages.models import (
    known_name,
    model_list,
    model_object,
    shown_name,
)


def test_the_list_has_anthropics_form() -> None:
    assert json.loads(model_list([("claude-opus-4-8", 1767225600)])) == {
        "data": [
            {
                "type": "model",
                "id": "claude-opus-4-8",
                "display_name": "claude-opus-4-8",
                "created_at": "2026-01-01T00:00:00Z",
                "lifecycle": "active",
            }
        ],
        "has_more": False,
        "first_id": "claude-opus-4-8",
        "last_id": "claude-opus-4-8",
    }


def test_a_list_of_nothing() -> None:
    empty = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert json.loads(model_list([])) == empty


@pytest.mark.parametrize(
    ("created", "date"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1767225600, "2026-01-01T00:00:00Z"),
        (2**53, "1970-01-01T00:00:00Z"),
    ],
)
def test_one_model_and_its_date(created: int, date: str) -> None:
    model = json.loads(model_object("gemini-3-pro", created))
    assert (model["id"], model["type"], model["created_at"]) == ("gemini-3-pro", "model", date)


def test_each_model_also_has_a_name_that_claude_code_shows() -> None:
    models = [("gemini-3-pro", 0), ("anthropic/claude-x", 0), ("claude-gpt-5", 0), ("gpt-5", 0)]
    ids = [model["id"] for model in json.loads(model_list(models))["data"]]
    assert ids == [
        "gemini-3-pro",
        "claude-gemini-3-pro",
        "anthropic/claude-x",
        "claude-gpt-5",
        "gpt-5",
    ]
    assert shown_name("gpt-5") == "claude-gpt-5"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-5", "gpt-5"),
        ("claude-gpt-5", "gpt-5"),
        ("claude-gpt-5[1m]", "gpt-5"),
        ("claude-opus", "claude-opus"),
        ("claude-opus[1m]", "claude-opus"),
        ("odd[1m]", "odd[1m]"),
        ("claude-unknown", "claude-unknown"),
        ("claude-", "claude-"),
    ],
)
def test_a_name_is_found_in_each_of_its_forms(name: str, expected: str) -> None:
    known = {"gpt-5", "claude-opus", "odd[1m]"}
    assert known_name(name, known.__contains__) == expected
