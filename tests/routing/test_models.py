"""Which upstream serves a model: the routing rules, in their order."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import BUILT_IN, ModelRegistry, ModelRoute


@dataclass(frozen=True)
class Upstream:
    name: str
    keys: tuple[str, ...] = ("key",)
    models: tuple[str, ...] = ()


DEFAULTS = (Upstream("openai"), Upstream("gemini"))


def registry(
    *extra: Upstream,
    base: tuple[Upstream, ...] = DEFAULTS,
    default_model: str = "openai/gpt-4.1-mini",
    aliases: dict[str, str] | None = None,
    fallbacks: dict[str, tuple[str, ...]] | None = None,
) -> ModelRegistry:
    return ModelRegistry(
        (*base, *extra), default_model=default_model, aliases=aliases or {}, fallbacks=fallbacks
    )


@pytest.mark.parametrize(
    ("model", "upstream", "target"),
    [
        # The built-in table.
        ("gpt-4.1-mini", "openai", "gpt-4.1-mini"),
        ("gpt-4.1", "openai", "gpt-4.1"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("gpt-3.5-turbo", "openai", "gpt-3.5-turbo"),
        ("gemini-3-flash", "gemini", "gemini-3-flash-preview"),
        ("gemini-3-pro", "gemini", "gemini-3.1-pro-preview"),
        ("gemini-2-flash", "gemini", "gemini-2.5-flash"),
        ("jarvis-echo", "jarvis", "jarvis-echo"),
        ("jarvis-default", "openai", "gpt-4.1-mini"),
        (None, "openai", "gpt-4.1-mini"),
        ("", "openai", "gpt-4.1-mini"),
        # Gemini's families, and what clients put before them.
        ("gemini-3.5-flash", "gemini", "gemini-3.5-flash"),
        ("gemma-3-27b-it", "gemini", "gemma-3-27b-it"),
        ("imagen-4.0-generate-001", "gemini", "imagen-4.0-generate-001"),
        ("models/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("google/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("gemini/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("gemini/gemini-3-flash", "gemini", "gemini-3-flash-preview"),
        ("google/gemini/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("gemini/models/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("gemini/learnlm-2.0", "gemini", "learnlm-2.0"),
        # Retired ids lead to their successors.
        ("gemini-2.0-flash", "gemini", "gemini-2.5-flash"),
        ("gemini-2.0-flash-001", "gemini", "gemini-2.5-flash"),
        ("gemini-2.0-flash-lite", "gemini", "gemini-2.5-flash-lite"),
        ("gemini/gemini-3-pro-preview", "gemini", "gemini-3.1-pro-preview"),
        # Everything else is OpenAI's to judge.
        ("o5-mini", "openai", "o5-mini"),
        ("no-such-model", "openai", "no-such-model"),
        ("mistral/large", "openai", "mistral/large"),
        ("ft:gpt-4o-mini:org::id", "openai", "ft:gpt-4o-mini:org::id"),
        ("Gemini-2.5-pro", "openai", "Gemini-2.5-pro"),
        # upstream/model always works; half of one does not count.
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openai/some/path", "openai", "some/path"),
        ("openai/", "openai", "openai/"),
        ("gemini/", "openai", "gemini/"),
        ("models/", "openai", "models/"),
        ("jarvis/jarvis-echo", "jarvis", "jarvis-echo"),
    ],
)
def test_model_leads_to_its_upstream(model: str | None, upstream: str, target: str) -> None:
    assert registry().resolve(model) == ModelRoute(upstream, target)


def test_every_built_in_name_is_listed() -> None:
    assert set(registry().aliases) == set(BUILT_IN)
    assert "jarvis-echo" in BUILT_IN


def test_alias_adds_to_the_table_and_overrides_it() -> None:
    found = registry(aliases={"fast": "gemini/gemini-3-flash", "gpt-4o": "gemini/gemini-2.5-pro"})

    assert found.resolve("fast") == ModelRoute("gemini", "gemini-3-flash-preview")
    assert found.resolve("gpt-4o") == ModelRoute("gemini", "gemini-2.5-pro")
    assert found.resolve("gpt-4.1") == ModelRoute("openai", "gpt-4.1")
    assert found.aliases["fast"] == "gemini/gemini-3-flash"


def test_alias_may_lead_to_another_alias() -> None:
    found = registry(aliases={"a": "openai/b", "openai/b": "gemini/gemini-2.5-pro"})

    assert found.resolve("a") == ModelRoute("gemini", "gemini-2.5-pro")


@pytest.mark.parametrize(
    "aliases",
    [
        {"a": "a"},
        {"a": "openai/b", "openai/b": "a"},
        {f"m{i}": f"m{i + 1}" for i in range(100)} | {"a": "m0"},
    ],
)
def test_alias_that_goes_round_in_circles_still_ends(aliases: dict[str, str]) -> None:
    assert registry(aliases=aliases).route("a").upstream == "openai"


def test_jarvis_default_may_be_an_alias_of_its_own() -> None:
    found = registry(aliases={"jarvis-default": "gemini/gemini-2.5-pro"})

    assert found.resolve(None) == found.resolve("jarvis-default")
    assert found.resolve(None) == ModelRoute("gemini", "gemini-2.5-pro")


@pytest.mark.parametrize(
    ("default_model", "expected"),
    [
        ("gemini/gemini-3-flash", ModelRoute("gemini", "gemini-3-flash-preview")),
        ("gemini-2-flash", ModelRoute("gemini", "gemini-2.5-flash")),
        ("gpt-4o", ModelRoute("openai", "gpt-4o")),
        ("llama-4", ModelRoute("groq", "llama-4")),
        ("openai/gpt-oss-120b", ModelRoute("groq", "openai/gpt-oss-120b")),
        ("jarvis-default", ModelRoute("openai", "jarvis-default")),
    ],
)
def test_default_model_is_routed_as_if_the_client_had_asked_for_it(
    default_model: str, expected: ModelRoute
) -> None:
    groq = Upstream("groq", models=("llama-4", "openai/gpt-oss-120b"))

    assert registry(groq, default_model=default_model).resolve(None) == expected


EXTRA = (
    Upstream("deepseek", models=("deepseek-chat", "deepseek-*", "gemini-clone")),
    Upstream("groq", models=("openai/gpt-oss-120b", "llama-*")),
    Upstream("local", keys=(), models=("deepseek-coder*", "gpt-4o", "google/*")),
    Upstream("router", models=("*", "openai/gpt-4o", "deepseek-chat")),
)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("deepseek-chat", ModelRoute("deepseek", "deepseek-chat")),
        ("deepseek-reasoner", ModelRoute("deepseek", "deepseek-reasoner")),
        ("deepseek-coder-2", ModelRoute("local", "deepseek-coder-2")),
        ("deepseek/anything", ModelRoute("deepseek", "anything")),
        ("llama-4", ModelRoute("groq", "llama-4")),
        ("gemini-clone", ModelRoute("deepseek", "gemini-clone")),
        ("unheard-of", ModelRoute("router", "unheard-of")),
        ("gemini-2.5-pro", ModelRoute("router", "gemini-2.5-pro")),
        ("google/gemini-2.5-pro", ModelRoute("local", "google/gemini-2.5-pro")),
        ("openai/gpt-oss-120b", ModelRoute("groq", "openai/gpt-oss-120b")),
        ("groq/openai/gpt-oss-120b", ModelRoute("groq", "openai/gpt-oss-120b")),
        ("openai/gpt-4o", ModelRoute("router", "openai/gpt-4o")),
        ("openai/o5", ModelRoute("openai", "o5")),
        ("gemini/gemini-2.5-pro", ModelRoute("gemini", "gemini-2.5-pro")),
    ],
)
def test_lists_of_extra_upstreams_claim_models(model: str, expected: ModelRoute) -> None:
    assert registry(*EXTRA).resolve(model) == expected


@pytest.mark.parametrize("model", [*BUILT_IN, "jarvis-default", None])
def test_no_list_of_an_extra_upstream_takes_a_built_in_name(model: str | None) -> None:
    """`*` would else swallow `jarvis-echo`, and the table comes first."""
    assert registry(*EXTRA).resolve(model) == registry().resolve(model)


def test_alias_leads_where_it_says_whatever_the_lists_claim() -> None:
    found = registry(*EXTRA, aliases={"oss": "openai/gpt-oss-120b"})

    assert found.resolve("oss") == ModelRoute("openai", "gpt-oss-120b")


def test_exact_models_name_the_first_upstream_that_lists_them() -> None:
    assert registry(*EXTRA).exact_models == {
        "deepseek-chat": "deepseek",
        "gemini-clone": "deepseek",
        "openai/gpt-oss-120b": "groq",
        "gpt-4o": "local",
        "openai/gpt-4o": "router",
    }


@pytest.mark.parametrize(
    ("model", "keyless", "setting"),
    [
        ("gpt-4o", "openai", "OPENAI_API_KEY"),
        ("no-such-model", "openai", "OPENAI_API_KEY"),
        (None, "openai", "OPENAI_API_KEY"),
        ("gemini-2.5-pro", "gemini", "GEMINI_API_KEY"),
    ],
)
def test_model_without_a_key_is_not_found_and_the_setting_is_named(
    model: str | None, keyless: str, setting: str
) -> None:
    base = tuple(Upstream(u.name, () if u.name == keyless else u.keys) for u in DEFAULTS)

    with pytest.raises(ProxyError) as caught:
        registry(base=base).resolve(model)

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert caught.value.param == "model"
    assert caught.value.should_retry is False
    assert setting in caught.value.message
    assert (model or "openai/gpt-4.1-mini") in caught.value.message


def test_route_is_known_even_without_a_key() -> None:
    found = registry(base=(Upstream("openai", ()), Upstream("gemini", ())))

    assert found.route("gpt-4o") == ModelRoute("openai", "gpt-4o")
    assert not found.is_usable("gpt-4o")
    assert not found.is_usable("gemini-2.5-pro")
    assert found.is_usable("jarvis-echo")


def test_extra_upstream_needs_no_key() -> None:
    """A server on one's own machine has none."""
    assert registry(*EXTRA).is_usable("deepseek-coder-2")


def test_request_that_needs_no_model_goes_to_openai() -> None:
    assert registry().default_of("openai") == ModelRoute("openai", "")
    assert registry(Upstream("x", models=("*", "any"))).default_of("openai") == ModelRoute(
        "openai", ""
    )

    with pytest.raises(ProxyError, match="OPENAI_API_KEY"):
        registry(base=(Upstream("openai", ()), Upstream("gemini"))).default_of("openai")


@pytest.mark.parametrize("hostile", ["x" * 10_000, "é" * 300, "\n" * 300])
def test_name_of_absurd_length_is_refused_and_not_repeated(hostile: str) -> None:
    with pytest.raises(ProxyError) as caught:
        registry().resolve(hostile)

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert len(caught.value.message) < 200
    assert caught.value.message.replace("…", "").isascii()


def test_name_in_a_message_is_printable_ascii() -> None:
    found = registry(base=(Upstream("openai", ()), Upstream("gemini", ())))

    with pytest.raises(ProxyError) as caught:
        found.resolve("mod\u2028èl\n\x1b[31m")

    assert "mod??l??[31m" in caught.value.message


def test_fallbacks_are_the_usable_places_in_order() -> None:
    found = registry(
        Upstream("deepseek"),
        base=(Upstream("openai"), Upstream("gemini", ())),
        fallbacks={
            "gpt-4o": ("gemini-2.5-pro", "deepseek/deepseek-chat", "gpt-4.1"),
            "jarvis-default": ("jarvis-echo",),
        },
    )

    assert found.fallbacks("gpt-4o") == (
        ModelRoute("deepseek", "deepseek-chat"),
        ModelRoute("openai", "gpt-4.1"),
    )
    assert found.fallbacks(None) == (ModelRoute("jarvis", "jarvis-echo"),)
    assert found.fallbacks("gpt-4.1") == ()
    assert registry().fallbacks("gpt-4o") == ()


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_name_leads_somewhere_or_is_a_404(model: str) -> None:
    known = {"openai", "gemini", "jarvis", *(upstream.name for upstream in EXTRA)}
    try:
        route = registry(*EXTRA).resolve(model)
        outcome = route.upstream_model != "" and route.upstream in known
    except ProxyError as error:
        outcome = error.status == 404

    assert outcome


def test_exact_alias_wins_then_the_longest_prefix() -> None:
    registry = ModelRegistry(
        (Upstream("openai", ("k",)), Upstream("gemini", ("k",))),
        default_model="openai/gpt-4.1-mini",
        aliases={
            "claude-*": "gemini/pro",
            "claude-haiku-*": "gemini/flash",
            "claude-haiku-4-5": "openai/mini",
        },
    )

    assert registry.resolve("claude-haiku-4-5") == ModelRoute("openai", "mini")
    assert registry.resolve("claude-haiku-3") == ModelRoute("gemini", "flash")
    assert registry.resolve("claude-sonnet-5") == ModelRoute("gemini", "pro")
    assert "claude-*" not in registry.aliases


def test_claude_models_go_to_anthropic() -> None:
    registry = ModelRegistry(
        (Upstream("openai", ("k",)), Upstream("anthropic", ("k",))),
        default_model="openai/gpt-4.1-mini",
        aliases={},
    )

    assert registry.resolve("claude-sonnet-5") == ModelRoute("anthropic", "claude-sonnet-5")
    assert registry.resolve("anthropic/x") == ModelRoute("anthropic", "x")
    assert registry.knows("anthropic/x")
    assert not registry.knows("claude-sonnet-5")
    assert not registry.knows("sonnet-5")


def test_claude_model_without_a_key_names_the_setting() -> None:
    registry = ModelRegistry(
        (Upstream("openai", ("k",)), Upstream("anthropic", ())),
        default_model="openai/gpt-4.1-mini",
        aliases={},
    )
    with pytest.raises(ProxyError, match="ANTHROPIC_API_KEY"):
        registry.resolve("claude-sonnet-5")
