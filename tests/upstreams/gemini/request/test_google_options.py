"""Google's own options in a chat request."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.google_options import (
    GoogleOptions,
    ImageOptions,
    ThinkingOptions,
    read_google_options,
    safety_settings,
)
from tests.upstreams.gemini.chat import asking

HARASSMENT = "HARM_CATEGORY_HARASSMENT"


def read(**fields: Any) -> tuple[GoogleOptions, tuple[str, ...]]:
    notes = IgnoredParams()
    return read_google_options(msgspec.convert(asking(**fields), ChatRequest), notes), notes.names


WISH = {"thinking_config": {"thinking_budget": 5}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"google": WISH}, "google"),
        ({"extra_body": {"google": WISH}}, "extra_body.google"),
        ({"extra_body": {"extra_body": {"google": WISH}}}, "extra_body.extra_body.google"),
        ({"google": {"thinkingConfig": {"thinkingBudget": 5}}}, "google"),
    ],
    ids=["sdk", "documented", "nested twice", "camel case"],
)
def test_the_object_is_found_in_every_spelling(fields: dict[str, Any], param: str) -> None:
    extension, ignored = read(**fields)

    assert extension == GoogleOptions(
        param=param, thinking_config=ThinkingOptions(thinking_budget=5)
    )
    assert ignored == ()


def test_all_keys_are_read() -> None:
    extension, ignored = read(
        google={
            "cached_content": "cachedContents/a",
            "thought_tag_marker": "think",
            "safety_settings": [],
            "image_config": {"aspectRatio": "16:9", "image_size": "2K"},
            "media_resolution": "low",
            "response_modalities": ["TEXT"],
            "topK": 3,
            "thinking_config": {"include_thoughts": True, "thinking_level": None},
        }
    )

    assert extension == GoogleOptions(
        "google",
        ThinkingOptions(include_thoughts=True),
        "cachedContents/a",
        "think",
        [],
        ImageOptions("16:9", "2K"),
        "low",
        ["TEXT"],
        3,
    )
    assert ignored == ()


def test_of_two_objects_the_outer_one_wins_key_by_key() -> None:
    extension, _ = read(google={"top_k": 1}, extra_body={"google": {"top_k": 2, **WISH}})

    assert (extension.top_k, extension.thinking_config) == (1, ThinkingOptions(thinking_budget=5))


def test_unknown_keys_are_noted_where_they_stand() -> None:
    _, ignored = read(google={"new_thing": 1, "image_config": {"person": 1}, "gone": None})

    assert ignored == ("google.new_thing", "google.image_config.person")


@pytest.mark.parametrize("extra", [None, 3, "x", [], {}, {"google": None}, {"extra_body": 3}])
def test_without_the_object_nothing_is_asked(extra: object) -> None:
    assert read(extra_body=extra) == (GoogleOptions(), ())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"google": 3}, "google"),
        ({"extra_body": {"google": [1]}}, "extra_body.google"),
        ({"google": {"thinking_config": 3}}, "google.thinking_config"),
        ({"google": {"thinking_config": {"thinking_budget": "x"}}},
         "google.thinking_config.thinking_budget"),
        ({"google": {"response_modalities": "TEXT"}}, "google.response_modalities"),
    ],
    ids=str,
)  # fmt: skip
def test_values_that_cannot_be_are_a_400(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        read(**fields)

    assert (400, param) == (caught.value.status, caught.value.param)


def settings(*wishes: dict[str, str]) -> list[tuple[str, str]] | None:
    found = safety_settings(list(wishes), "safety_settings", IgnoredParams())
    return None if found is None else [(item.category, item.threshold) for item in found]


@pytest.mark.parametrize("category", [HARASSMENT, "harassment", "Harm_Category_Harassment"])
def test_categories_are_read_in_every_spelling(category: str) -> None:
    wish = {"category": category, "threshold": "block_none", "method": "PROBABILITY"}

    assert settings(wish) == [(HARASSMENT, "BLOCK_NONE")]


def test_of_one_category_twice_the_last_counts() -> None:
    wishes = [{"category": HARASSMENT, "threshold": value} for value in ("OFF", "BLOCK_ONLY_HIGH")]

    assert settings(*wishes) == [(HARASSMENT, "BLOCK_ONLY_HIGH")]


def test_a_retired_category_is_left_out_and_noted() -> None:
    notes = IgnoredParams()
    wish = {"category": "HARM_CATEGORY_CIVIC_INTEGRITY", "threshold": "OFF"}

    assert safety_settings([wish], "safety_settings", notes) is None
    assert notes.names == ("safety_settings[0]",)


def test_absent_settings_are_absent() -> None:
    assert safety_settings(None, "safety_settings", IgnoredParams()) is None
    assert settings() is None


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({}, "p"),
        ([3], "p[0]"),
        ([{"category": HARASSMENT}], "p[0].threshold"),
        ([{"category": HARASSMENT, "threshold": "NEVER"}], "p[0].threshold"),
        ([{"category": "RUDE", "threshold": "OFF"}], "p[0].category"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_a_400(value: object, param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        safety_settings(value, "p", IgnoredParams())

    assert param == caught.value.param
