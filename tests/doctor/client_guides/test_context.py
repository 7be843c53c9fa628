"""Which address and which models clients are told."""

import pytest

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.client_guides.context import guide_context
from jarvis_proxy.doctor.options import ProxyUrl
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
def test_the_address_is_the_one_that_clients_can_use(
    env: dict[str, str], site: ProxyUrl | None, own: str | None, root: str
) -> None:
    settings, registry = prepared(**env)

    facts = guide_context(settings, registry, site, own)

    assert (facts.root, facts.base_url) == (root, f"{root}/v1")


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
def test_the_models_are_those_that_have_a_key(env: dict[str, str], models: tuple[str, ...]) -> None:
    facts = guide_context(*prepared(**env), None, None)

    assert facts.models == models
    assert facts.values["model"] == models[0]


def test_many_models_are_cut_to_a_handful() -> None:
    names = ",".join(f"m{number}" for number in range(20))

    facts = guide_context(*prepared(**{**OWN, "DEEPSEEK_MODELS": names}), None, None)

    assert len(facts.models) == 6


def test_without_settings_the_models_are_those_of_every_server() -> None:
    facts = guide_context(None, None, ProxyUrl("https", "my.host", 443), "10.0.0.1")

    assert (facts.root, facts.models) == ("https://my.host", ("jarvis-echo",))
    assert guide_context(None, None, None, None).root == "http://HOST:9000"
