"""models: what each model can do."""

from dataclasses import replace

import pytest

from jarvis_proxy.upstreams.gemini.model_traits import NEWEST, traits_of

# id: family, thinking, minimal level, sampling counts, prefill, signatures, ids.
TABLE = {
    "gemini-1.5-pro": ((2, 0), "none", False, True, True, "none", False),
    "gemini-2.0-flash-001": ((2, 0), "none", False, True, True, "none", False),
    "gemini-2.5-pro": ((2, 5), "budget", False, True, True, "optional", False),
    "gemini-2.5-flash": ((2, 5), "budget", False, True, True, "optional", False),
    "gemini-2.5-flash-lite": ((2, 5), "budget", False, True, True, "optional", False),
    "gemini-3-flash-preview": ((3, 0), "level", True, True, True, "required", True),
    "gemini-3-pro-preview": ((3, 0), "level", False, True, True, "required", True),
    "gemini-3.1-pro-preview": ((3, 1), "level", False, True, True, "required", True),
    "gemini-3.1-pro-preview-customtools": ((3, 1), "level", False, True, True, "required", True),
    "gemini-3.1-flash-lite": ((3, 1), "level", True, True, True, "required", True),
    "gemini-3.5-flash": ((3, 5), "level", True, True, True, "required", True),
    "gemini-3.5-flash-lite": ((3, 5), "level", True, False, False, "required", True),
    "gemini-3.6-flash": ((3, 6), "level", True, False, False, "required", True),
    "gemini-3.7-flash": ((3, 7), "level", False, False, False, "required", True),
    "gemini-3.8-flash": ((3, 8), "level", False, False, False, "required", True),
    "gemini-4-carbon": ((4, 0), "level", False, False, False, "required", True),
    "gemma-4-31b-it": ((0, 0), "none", False, True, True, "none", False),
}


@pytest.mark.parametrize("model", TABLE)
def test_each_model_has_its_row(model: str) -> None:
    traits = traits_of(model)

    assert TABLE[model] == (
        traits.family,
        traits.thinking,
        traits.minimal_level,
        traits.samples,
        traits.prefill,
        traits.signatures,
        traits.sends_ids,
    )


@pytest.mark.parametrize(
    "model",
    ["gemini-pro-latest", "gemini-flash-latest", "gemini-4-hydrogen", "gemini-30-x", "whatever"],
)
def test_unknown_names_count_as_newest(model: str) -> None:
    assert traits_of(model) is NEWEST


def test_names_are_read_whatever_their_case() -> None:
    assert traits_of("Gemini-2.5-Pro") is traits_of("gemini-2.5-pro")


@pytest.mark.parametrize(
    ("model", "budget", "can_stop"),
    [
        ("gemini-2.5-pro", (128, 32_768), False),
        ("gemini-2.5-flash", (0, 24_576), True),
        ("gemini-2.5-flash-lite-preview-09-2025", (512, 24_576), True),
    ],
)
def test_thinking_budgets(model: str, budget: tuple[int, int], can_stop: bool) -> None:
    traits = traits_of(model)

    assert (budget, can_stop) == (traits.budget, traits.thinking_can_stop)


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gemini-2.0-flash", 8_192),
        ("gemini-2.5-flash", 65_536),
        ("gemini-3.8-flash", 65_536),
        ("gemma-4-31b-it", 32_768),
    ],
)
def test_output_limits(model: str, limit: int) -> None:
    assert limit == traits_of(model).output_limit


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        ("gemini-2.5-flash-image", {"TEXT", "IMAGE"}),
        ("gemini-3-pro-image", {"TEXT", "IMAGE"}),
        ("gemini-nano-banana-2.1", {"TEXT", "IMAGE"}),
        ("nano-banana-pro-preview", {"TEXT", "IMAGE"}),
        ("gemini-3.8-flash-tts", {"AUDIO"}),
        ("gemini-2.5-flash-preview-tts", {"AUDIO"}),
        ("gemini-3.8-flash", {"TEXT"}),
    ],
)
def test_models_that_paint_or_speak_neither_think_nor_call(model: str, outputs: set[str]) -> None:
    traits = traits_of(model)

    assert outputs == traits.outputs
    assert (traits.functions, traits.thinking != "none") == (outputs == {"TEXT"},) * 2


def test_only_the_oldest_take_penalties_and_logprobs() -> None:
    takers = [name for name in TABLE if traits_of(name).penalties or traits_of(name).logprobs]

    assert takers == ["gemini-1.5-pro", "gemini-2.0-flash-001"]


def test_from_generation_three_on_tools_mix_with_json_media_and_each_other() -> None:
    for name, row in TABLE.items():
        traits = traits_of(name)
        expected = row[5] == "required"

        assert (traits.json_with_tools, traits.mixes_tools, traits.response_media) == (
            (expected,) * 3
        ), name


def test_older_gemma_knows_neither_system_nor_functions() -> None:
    assert replace(
        traits_of("gemma-4-31b-it"), functions=False, system_instruction=False
    ) == traits_of("gemma-3-27b-it")
