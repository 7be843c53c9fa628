"""Key pools, upstreams, aliases and fallbacks."""

import pytest

from jarvis_proxy.config.parsers import EnvReader
from jarvis_proxy.config.upstreams import (
    UpstreamSettings,
    default_model,
    fallbacks,
    model_aliases,
    upstreams,
)


def test_a_pool_drops_placeholders_and_repeats_with_a_hint() -> None:
    reader = EnvReader({"OPENAI_API_KEY": "sk-1, sk-xxx, sk-2, sk-1"})
    openai = upstreams(reader)[0]

    assert openai.keys == ("sk-1", "sk-2")
    assert reader.warnings == [
        "OPENAI_API_KEY holds a placeholder, which counts as empty: put a real key there.",
        "OPENAI_API_KEY: entry 4 repeats an earlier key: remove it.",
    ]


def test_built_in_upstreams_are_always_there() -> None:
    reader = EnvReader({})

    assert (
        UpstreamSettings("openai", "https://api.openai.com/v1"),
        UpstreamSettings(
            "gemini", "https://generativelanguage.googleapis.com/v1beta", api="gemini"
        ),
        UpstreamSettings("anthropic", "https://api.anthropic.com", api="messages"),
    ) == upstreams(reader)
    assert reader.problems == []


def test_a_further_upstream_is_set_by_its_own_names() -> None:
    reader = EnvReader(
        {
            "UPSTREAMS": " Zhi-Pu ",
            "ZHI_PU_BASE_URL": "https://z.example/api/paas/v4/",
            "ZHI_PU_API_KEY": "z",
            "ZHI_PU_MODELS": "glm-*,*,glm-*",
        }
    )
    zhipu = upstreams(reader)[3]

    assert reader.problems == []
    assert UpstreamSettings("zhi-pu", "https://z.example/api/paas/v4", ("z",), ("glm-*", "*")) == (
        zhipu
    )
    assert zhipu.key_setting == "ZHI_PU_API_KEY"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "openai/gpt-4.1-mini"),
        ({"openai"}, "openai/gpt-4.1-mini"),
        ({"openai", "gemini"}, "openai/gpt-4.1-mini"),
        ({"gemini"}, "gemini/gemini-3-flash"),
        ({"anthropic"}, "anthropic/claude-sonnet-5"),
        ({"anthropic", "gemini"}, "openai/gpt-4.1-mini"),
        ({"gemini", "deepseek"}, "openai/gpt-4.1-mini"),
    ],
)
def test_default_model_is_of_the_only_upstream_that_has_a_key(
    keys: set[str], expected: str
) -> None:
    known = tuple(
        UpstreamSettings(name, "https://a.example", ("k",) if name in keys else ())
        for name in ("openai", "gemini", "anthropic", "deepseek")
    )

    assert expected == default_model(EnvReader({}), known)
    assert default_model(EnvReader({"DEFAULT_MODEL": "mine"}), known) == "mine"


def test_an_alias_keeps_slashes_and_colons_of_the_model() -> None:
    reader = EnvReader({"MODEL_ALIASES": "a=OpenAI/ft:gpt:x/y"})

    assert model_aliases(reader, ["openai"]) == {"a": "openai/ft:gpt:x/y"}
    assert reader.problems == []


def test_wrong_alias_error_lists_the_upstreams() -> None:
    reader = EnvReader({"MODEL_ALIASES": "a=acme/x"})
    model_aliases(reader, ["openai", "gemini"])

    assert reader.problems == [
        "MODEL_ALIASES: entry 1 must lead to upstream/model, where upstream is one of"
        " openai, gemini."
    ]


def test_fallbacks_keep_their_order() -> None:
    reader = EnvReader({"FALLBACKS": "a=c|b, b=a"})

    assert fallbacks(reader) == {"a": ("c", "b"), "b": ("a",)}
    assert reader.problems == []


@pytest.mark.parametrize("text", ["a=b|b", "a=b|a", "=b", "a=|", "a=b=c", "a b=c"])
def test_a_fallback_that_says_nothing_clear_is_refused(text: str) -> None:
    reader = EnvReader({"FALLBACKS": text})
    fallbacks(reader)

    assert len(reader.problems) == 1


def test_a_service_may_speak_the_messages_api_as_well_as_chat() -> None:
    reader = EnvReader(
        {
            "UPSTREAMS": "deepseek,kimi",
            "DEEPSEEK_BASE_URL": "https://api.deepseek.com/v1",
            "DEEPSEEK_ANTHROPIC_URL": "https://api.deepseek.com/anthropic/v1/",
            "DEEPSEEK_APIS": "Chat, embeddings, chat",
            "KIMI_ANTHROPIC_URL": "https://api.moonshot.ai/anthropic",
        }
    )
    *_, deepseek, kimi = upstreams(reader)

    assert reader.problems == []
    assert (deepseek.api, deepseek.base_url) == ("openai", "https://api.deepseek.com/v1")
    assert deepseek.messages_url == "https://api.deepseek.com/anthropic"
    assert deepseek.apis == ("chat", "embeddings")
    assert (kimi.api, kimi.base_url, kimi.messages_url) == (
        "messages",
        "https://api.moonshot.ai/anthropic",
        "",
    )
    assert kimi.url_setting == "KIMI_ANTHROPIC_URL"


@pytest.mark.parametrize(
    "url",
    ["https://a.example", "https://a.example/v1", "https://a.example/v1/messages"],
)
def test_address_of_anthropic_is_taken_with_and_without_its_version(url: str) -> None:
    reader = EnvReader({"ANTHROPIC_BASE_URL": url})

    assert upstreams(reader)[2].base_url == "https://a.example"
    assert reader.problems == []


def test_an_api_that_does_not_exist_is_refused() -> None:
    reader = EnvReader({"UPSTREAMS": "x", "X_BASE_URL": "http://x/v1", "X_APIS": "chat,mail"})
    upstreams(reader)

    assert [problem.partition(":")[0] for problem in reader.problems] == ["X_APIS"]


def test_an_alias_may_stand_for_all_names_with_a_prefix() -> None:
    reader = EnvReader({"MODEL_ALIASES": "claude-*=gemini/gemini-3-pro"})

    assert model_aliases(reader, ("gemini",)) == {"claude-*": "gemini/gemini-3-pro"}
    assert reader.problems == []
