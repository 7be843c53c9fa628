"""Model names lead to what the models can do."""

import pytest

from jarvis_proxy.upstreams.anthropic.model_traits import NEWEST, ModelTraits, traits_of


@pytest.mark.parametrize(
    "name",
    [
        "claude-opus-4-7",
        "claude-opus-4-8",
        "claude-opus-5",
        "claude-opus-5-5-20261001",
        "claude-sonnet-5",
        "claude-haiku-5.5",
        "claude-fable-5",
        "claude-mythos-5-2",
        "claude-next",
        "some-model",
    ],
)
def test_new_and_unknown_names_are_the_newest(name: str) -> None:
    assert traits_of(name) == NEWEST


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("name", "thinking", "output_limit"),
    [
        ("claude-opus-4-6", "adaptive", 128_000),
        ("claude-sonnet-4.6", "adaptive", 128_000),
        ("claude-opus-4-5-20251101", "budget", 64_000),
        ("claude-haiku-4-5", "budget", 64_000),
        ("claude-opus-4-1-20250805", "budget", 32_000),
        ("claude-opus-4-20250514", "budget", 32_000),
        ("claude-sonnet-4-20250514", "budget", 64_000),
        ("claude-sonnet-4-0", "budget", 64_000),
        ("claude-4-sonnet", "budget", 64_000),
        ("claude-3-7-sonnet-latest", "budget", 64_000),
        ("claude-3-5-haiku-20241022", "none", 8_192),
        ("claude-3-haiku-20240307", "none", 4_096),
        ("claude-2.1", "none", 4_096),
        ("claude-instant-1.2", "none", 4_096),
        ("claude-v2", "none", 4_096),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "budget", 64_000),
    ],
)
def test_versions_decide_thinking_and_length(name: str, thinking: str, output_limit: int) -> None:
    found = traits_of(name)

    assert (found.thinking, found.output_limit) == (thinking, output_limit)


def _flags(traits: ModelTraits) -> tuple[bool, bool, bool, bool]:
    return traits.samples, traits.one_sampler, traits.prefill, traits.json_schema


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-opus-4-7", (False, True, False, True)),
        ("claude-opus-4-6", (True, True, False, True)),
        ("claude-sonnet-4-5", (True, True, True, True)),
        ("claude-opus-4-1", (True, True, True, False)),
        ("claude-sonnet-4-0", (True, False, True, False)),
        ("claude-3-5-sonnet-20241022", (True, False, True, False)),
    ],
)
def test_versions_decide_sampling_prefill_and_schemas(
    name: str, expected: tuple[bool, bool, bool, bool]
) -> None:
    assert _flags(traits_of(name)) == expected


def test_without_a_version_the_older_generation_is_known_by_its_name() -> None:
    traits_of.cache_clear()  # else another test may have asked, which nobody watched

    assert traits_of("claude-instant-1.2") == traits_of("claude-v2") != traits_of("claude-next")
