"""Which URL and which models the client guides name."""

import pytest

from jarvis_proxy.client_guides.context import ProxyUrl, guide_context
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.routing.models import ModelRegistry

BOTH = {"OPENAI_API_KEY": "sk-canary-0123456789", "GEMINI_API_KEY": "AIza-canary-0123456789"}
OWN = {
    "UPSTREAMS": "deepseek",
    "DEEPSEEK_BASE_URL": "https://api.deepseek.com/v1",
    "DEEPSEEK_API_KEY": "canary-0123456789",
    "DEEPSEEK_MODELS": "deepseek-chat,deep*",
}


def prepared(**env: str) -> tuple[Settings, ModelRegistry]:
    settings = Settings.from_env({"PROXY_API_KEYS": "a-long-client-key", **env})
    registry = ModelRegistry(
        settings.upstreams,
        default_model=settings.default_model,
        aliases=settings.model_aliases,
        fallbacks=settings.fallbacks,
    )
    return settings, registry


@pytest.mark.parametrize(
    ("env", "site", "own", "root"),
    [
        ({}, None, "192.168.1.5", "http://192.168.1.5:9000"),
        ({}, None, None, "http://127.0.0.1:9000"),
        ({"HOST": "::"}, None, "192.168.1.5", "http://192.168.1.5:9000"),
        ({"HOST": "127.0.0.1", "PORT": "80"}, None, "192.168.1.5", "http://127.0.0.1"),
        ({"HOST": "::1", "PORT": "9001"}, None, None, "http://[::1]:9001"),
        ({"TLS_CERT_FILE": "c", "TLS_KEY_FILE": "k"}, None, "10.0.0.1", "https://10.0.0.1:9000"),
        ({}, ProxyUrl("https", "my.host", 443, "/j"), "10.0.0.1", "https://my.host/j"),
    ],
)
def test_base_url_is_one_that_clients_can_use(
    env: dict[str, str], site: ProxyUrl | None, own: str | None, root: str
) -> None:
    settings, registry = prepared(**env)

    context = guide_context(settings, registry, site, own)

    assert (context.root, context.base_url) == (root, f"{root}/v1")


@pytest.mark.parametrize(
    ("env", "models"),
    [
        ({}, ("jarvis-echo",)),
        (BOTH, ("gpt-4.1-mini", "gemini-3-flash")),
        ({"GEMINI_API_KEY": "AIza-canary-0123456789"}, ("gemini-3-flash",)),
        (OWN, ("deepseek-chat",)),
        (
            {
                **OWN,
                "DEFAULT_MODEL": "deepseek/gpt-4o",
                "MODEL_ALIASES": "fast=gemini/x,good=deepseek/y",
            },
            ("deepseek/gpt-4o", "good", "deepseek-chat"),
        ),
        (
            {**BOTH, "DEFAULT_MODEL": "gpt-4o"},
            ("gpt-4o", "gemini-3-flash", "gpt-4.1-mini"),
        ),
    ],
    ids=["none", "both", "gemini only", "own only", "long default and aliases", "bare default"],
)
def test_models_are_those_with_a_key(env: dict[str, str], models: tuple[str, ...]) -> None:
    context = guide_context(*prepared(**env), None, None)

    assert context.models == models
    assert context.values["model"] == models[0]


def test_models_are_limited_to_six() -> None:
    names = ",".join(f"m{number}" for number in range(20))

    context = guide_context(*prepared(**{**OWN, "DEEPSEEK_MODELS": names}), None, None)

    assert len(context.models) == 6


def test_without_settings_only_the_built_in_model_is_named() -> None:
    context = guide_context(None, None, ProxyUrl("https", "my.host", 443), "10.0.0.1")

    assert (context.root, context.models) == ("https://my.host", ("jarvis-echo",))
    assert guide_context(None, None, None, None).root == "http://HOST:9000"
