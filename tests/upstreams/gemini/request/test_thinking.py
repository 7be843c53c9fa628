"""thinking: how much, and whether it shows."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.google_options import read_google_options
from jarvis_proxy.upstreams.gemini.request.thinking import thinking_config, thinking_param
from tests.upstreams.gemini.chat import NEWEST, OLD, asking

PRO, LITE, MINIMAL, SPEAKER = (
    "gemini-2.5-pro",
    "gemini-2.5-flash-lite",
    "gemini-3-flash-preview",
    "gemini-3.8-flash-tts",
)


def thinking(
    model: str = NEWEST, *, show_thoughts: bool = False, **fields: Any
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    notes = IgnoredParams()
    request = msgspec.convert(asking(**fields), ChatRequest)
    extension = read_google_options(request, notes)
    config = thinking_config(
        request, extension, traits_of(model), notes, show_thoughts=show_thoughts
    )
    return (None if config is None else msgspec.to_builtins(config)), notes.names


# One row for each effort: the least each model takes, by Google's own table.
EFFORTS: dict[str, dict[str, int | str | None]] = {
    "none": {OLD: 0, LITE: 0, PRO: 128, MINIMAL: "MINIMAL", NEWEST: "LOW"},
    "minimal": {OLD: 1024, LITE: 1024, PRO: 1024, MINIMAL: "MINIMAL", NEWEST: "LOW"},
    "low": {OLD: 1024, LITE: 1024, PRO: 1024, MINIMAL: "LOW", NEWEST: "LOW"},
    "medium": {OLD: 8192, LITE: 8192, PRO: 8192, MINIMAL: "MEDIUM", NEWEST: "MEDIUM"},
    "high": {OLD: 24_576, LITE: 24_576, PRO: 24_576, MINIMAL: "HIGH", NEWEST: "HIGH"},
    "xhigh": {OLD: 24_576, LITE: 24_576, PRO: 32_768, MINIMAL: "HIGH", NEWEST: "HIGH"},
    "max": {OLD: 24_576, LITE: 24_576, PRO: 32_768, MINIMAL: "HIGH", NEWEST: "HIGH"},
}


@pytest.mark.parametrize(
    ("effort", "model"), [(effort, model) for effort, row in EFFORTS.items() for model in row]
)
def test_each_effort_has_its_budget_or_level(effort: str, model: str) -> None:
    value = EFFORTS[effort][model]
    key = "thinkingLevel" if isinstance(value, str) else "thinkingBudget"
    shown = {} if effort == "none" else {"includeThoughts": True}

    assert {**shown, key: value} == thinking(model, reasoning_effort=effort)[0]


@pytest.mark.parametrize(
    ("model", "ignored"),
    [(PRO, ("reasoning_effort",)), (NEWEST, ("reasoning_effort",)), (OLD, ()), (MINIMAL, ())],
)
def test_thinking_that_cannot_be_stopped_is_noted(model: str, ignored: tuple[str, ...]) -> None:
    assert ignored == thinking(model, reasoning_effort="none")[1]


@pytest.mark.parametrize("effort", [*EFFORTS, None])
def test_models_that_do_not_think_are_asked_nothing(effort: str | None) -> None:
    assert thinking("gemini-2.0-flash", reasoning_effort=effort) == (None, ())


def test_nothing_asked_leaves_it_to_the_model() -> None:
    assert thinking() == (None, ())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"includeThoughts": True}),
        ({"include_thoughts": False}, None),
        ({"reasoning_effort": "low"}, {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ({"reasoning_effort": "none"}, {"thinkingLevel": "LOW"}),
        ({"reasoning": {"exclude": True}}, None),
        ({"reasoning": {"exclude": False}}, {"includeThoughts": True}),
        ({"google": {"thinking_config": {"include_thoughts": False}}}, None),
        ({"google": {"thinking_config": {"thinking_budget": 0}}}, {"thinkingBudget": 0}),
    ],
    ids=str,
)
def test_thoughts_show_where_wanted_and_the_request_does_not_say(
    fields: dict[str, Any], expected: Any
) -> None:
    assert expected == thinking(show_thoughts=True, **fields)[0]


def test_thoughts_of_models_that_do_not_think_cannot_show() -> None:
    assert thinking(SPEAKER, show_thoughts=True, include_thoughts=True)[0] is None


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"include_thoughts": True}, {"includeThoughts": True}),
        (
            {"include_thoughts": True, "reasoning_effort": "none"},
            {"includeThoughts": True, "thinkingLevel": "LOW"},
        ),
        (
            {"include_thoughts": False, "reasoning_effort": "high"},
            {"thinkingLevel": "HIGH"},
        ),
        ({"reasoning": {"effort": "low"}}, {"includeThoughts": True, "thinkingLevel": "LOW"}),
        (
            {"reasoning": {"effort": "high", "exclude": True}},
            {"thinkingLevel": "HIGH"},
        ),
        ({"reasoning": {"enabled": True}}, {"includeThoughts": True}),
        ({"reasoning": {"enabled": False}}, {"thinkingLevel": "LOW"}),
        ({"reasoning": {"max_tokens": 500}}, {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ({"thinking": {"type": "enabled"}}, {"includeThoughts": True}),
        ({"thinking": {"type": "disabled"}}, {"thinkingLevel": "LOW"}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            {"includeThoughts": True, "thinkingLevel": "LOW"},
        ),
        (
            {"thinking": {"budget_tokens": 8192}},
            {"includeThoughts": True, "thinkingLevel": "MEDIUM"},
        ),
        (
            {"thinking": {"budget_tokens": 8193}},
            {"includeThoughts": True, "thinkingLevel": "HIGH"},
        ),
        ({"thinking": {"budget_tokens": 0}}, {"thinkingLevel": "LOW"}),
        ({"thinking": {"budget_tokens": -1}}, {"includeThoughts": True}),
        (
            {"reasoning_effort": "low", "thinking": {"budget_tokens": 9000}},
            {"includeThoughts": True, "thinkingLevel": "LOW"},
        ),
    ],
    ids=str,
)
def test_other_providers_ways_of_asking(fields: dict[str, Any], expected: Any) -> None:
    assert expected == thinking(**fields)[0]


@pytest.mark.parametrize(
    ("model", "budget", "sent"),
    [
        (OLD, 100, 100),
        (OLD, 99_999, 24_576),
        (PRO, 1, 128),
        (LITE, 1, 512),
        (LITE, 0, 0),
        (PRO, -1, -1),
    ],
)
def test_budgets_are_clamped_to_the_model(model: str, budget: int, sent: int) -> None:
    for fields in (
        {"thinking": {"budget_tokens": budget}},
        {"google": {"thinking_config": {"thinking_budget": budget}}},
    ):
        config, _ = thinking(model, **fields)
        assert config is not None
        assert sent == config["thinkingBudget"]


@pytest.mark.parametrize(
    ("model", "wish", "expected"),
    [
        (NEWEST, {"thinking_level": "high"}, {"thinkingLevel": "HIGH"}),
        (NEWEST, {"thinking_level": "THINKING_LEVEL_LOW"}, {"thinkingLevel": "LOW"}),
        (NEWEST, {"thinking_level": "MINIMAL"}, {"thinkingLevel": "LOW"}),
        (MINIMAL, {"thinking_level": "minimal"}, {"thinkingLevel": "MINIMAL"}),
        (NEWEST, {"thinking_level": "XHIGH"}, {"thinkingLevel": "HIGH"}),
        (OLD, {"thinking_level": "medium"}, {"thinkingBudget": 8192}),
        (NEWEST, {"thinking_budget": 6400}, {"thinkingBudget": 6400}),
        (NEWEST, {"include_thoughts": True}, {"includeThoughts": True}),
        (
            OLD,
            {"thinking_budget": 5, "include_thoughts": True},
            {"includeThoughts": True, "thinkingBudget": 5},
        ),
        (NEWEST, {}, None),
        (SPEAKER, {"thinking_level": "low"}, None),
    ],
    ids=str,
)
def test_googles_own_configuration(model: str, wish: dict[str, Any], expected: Any) -> None:
    assert expected == thinking(model, google={"thinking_config": wish})[0]


def test_googles_configuration_for_a_model_that_does_not_think_is_noted() -> None:
    assert thinking(SPEAKER, google={"thinking_config": {"thinking_budget": 5}})[1] == (
        "google.thinking_config",
    )


def test_what_cannot_be_stopped_is_noted_under_the_name_that_asked() -> None:
    assert thinking(thinking={"type": "disabled"})[1] == ("thinking",)
    assert thinking(reasoning={"effort": "none"})[1] == ("reasoning",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        (
            {"reasoning_effort": "low", "google": {"thinking_config": {"thinking_budget": 1}}},
            "reasoning_effort",
        ),
        (
            {"google": {"thinking_config": {"thinking_budget": 1, "thinking_level": "low"}}},
            "google.thinking_config.thinking_budget",
        ),
        (
            {"google": {"thinking_config": {"thinking_level": "huge"}}},
            "google.thinking_config.thinking_level",
        ),
    ],
    ids=str,
)
def test_contradictions_and_unknown_words_are_a_400(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        thinking(**fields)

    assert (400, param) == (caught.value.status, caught.value.param)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, None),
        ({"reasoning_effort": "low", "thinking": {}}, "reasoning_effort"),
        ({"thinking": {}}, "thinking"),
        ({"include_thoughts": False}, "include_thoughts"),
        ({"extra_body": {"google": {"thinking_config": {}}}}, "extra_body.google.thinking_config"),
    ],
    ids=str,
)
def test_the_parameter_that_asked_is_known(fields: dict[str, Any], name: str | None) -> None:
    request = msgspec.convert(asking(**fields), ChatRequest)

    assert name == thinking_param(request, read_google_options(request, IgnoredParams()))


@pytest.mark.parametrize("model", [NEWEST, OLD, PRO, LITE, MINIMAL, "gemini-2.0-flash"])
@pytest.mark.parametrize(
    ("effort", "same"), [("disable", "none"), ("default", None), ("auto", None)]
)
@pytest.mark.parametrize("show_thoughts", [False, True])
def test_efforts_of_other_gateways_are_none_or_nothing(
    model: str, effort: str, same: str | None, show_thoughts: bool
) -> None:
    expected = thinking(model, show_thoughts=show_thoughts, reasoning_effort=same)

    for asked in ({"reasoning_effort": effort}, {"reasoning": {"effort": effort}}):
        assert thinking(model, show_thoughts=show_thoughts, **asked)[0] == expected[0]


def test_effort_that_says_nothing_leaves_the_word_to_others() -> None:
    wish: dict[str, Any] = {"google": {"thinking_config": {"thinking_level": "high"}}}

    assert thinking(reasoning_effort="auto", **wish) == thinking(**wish)
    assert thinking(reasoning_effort="default", thinking={"type": "disabled"}) == thinking(
        thinking={"type": "disabled"}
    )
