"""What a key may do: its models by all their names, its networks, its last day."""

from ipaddress import ip_network

import pytest

from jarvis_proxy.access.permissions import KeyPermissions, model_needed, model_not_found
from jarvis_proxy.config.settings import KeyPolicy, UpstreamSettings
from jarvis_proxy.routing.models import ModelRegistry, ModelRoute

UPSTREAMS = (
    UpstreamSettings("openai", "https://a.example", ("k",)),
    UpstreamSettings("gemini", "https://b.example", ("k",)),
    UpstreamSettings("deepseek", "https://c.example", ("k",), ("deepseek-*",)),
)
REGISTRY = ModelRegistry(
    UPSTREAMS,
    default_model="openai/gpt-4.1-mini",
    aliases={"fast": "gemini/gemini-3-flash-preview", "team-a": "openai/gpt-4o"},
)


def access(*models: str) -> KeyPermissions:
    return KeyPermissions(KeyPolicy(models=models), REGISTRY.route)


def allows(key: KeyPermissions, model: str | None) -> bool:
    return key.allows(model, REGISTRY.route(model))


@pytest.mark.parametrize("model", ["gpt-4o", "fast", "anything/at-all", None])
def test_without_a_list_every_model_may_be_used(model: str | None) -> None:
    key = access()

    assert allows(key, model)
    assert not key.is_limited


@pytest.mark.parametrize(
    ("listed", "model", "allowed"),
    [
        ("gpt-4o-mini", "gpt-4o-mini", True),
        ("gpt-4o-mini", "openai/gpt-4o-mini", True),
        ("openai/gpt-4o-mini", "gpt-4o-mini", True),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-4o-mini", "gpt-4o-mini-2024", False),
        ("gpt-4o-mini", "deepseek/gpt-4o-mini", False),
        ("gpt-4o-mini", "GPT-4O-MINI", False),
        ("gemini-3-flash", "fast", True),
        ("gemini-3-flash", "models/gemini-3-flash-preview", True),
        ("gemini-3-flash", "gemini-3-pro", False),
        ("fast", "gemini-3-flash", True),
        ("jarvis-default", "gpt-4.1-mini", True),
        ("gpt-4.1-mini", None, True),
        ("gpt-4o", None, False),
        ("gpt-4*", "gpt-4o", True),
        ("gpt-4*", "openai/gpt-4o", True),
        ("gpt-4*", "deepseek/gpt-4o", False),
        ("gpt-4*", "gpt-3.5-turbo", False),
        ("gpt-4*", "jarvis-default", True),
        ("gemini-*", "google/gemini-2.5-pro", True),
        ("gemini-*", "fast", True),
        ("gemini/*", "gemini-2.5-pro", True),
        ("openai/*", "o3", True),
        ("openai/*", "deepseek-chat", False),
        ("deepseek-*", "deepseek/deepseek-chat", True),
        ("team-*", "team-a", True),
        ("team-*", "gpt-4o", False),
        ("*", "anything", True),
    ],
)
def test_a_listed_model_may_be_used_by_each_of_its_names(
    listed: str, model: str | None, allowed: bool
) -> None:
    assert allows(access("o1", listed), model) == allowed
    assert access(listed).is_limited


@pytest.mark.parametrize(
    ("listed", "allowed"), [("gpt-4o", False), ("gpt*", False), ("openai/*", True), ("*", True)]
)
def test_openai_without_a_model_takes_a_key_for_all_of_openai(listed: str, allowed: bool) -> None:
    assert access(listed).allows(None, ModelRoute("openai", "")) == allowed


@pytest.mark.parametrize(
    ("address", "opens"),
    [("192.0.2.7", True), ("::ffff:192.0.2.7", True), ("192.0.3.7", False), ("", False)],
)
def test_a_key_opens_from_its_networks_only(address: str, opens: bool) -> None:
    key = KeyPermissions(KeyPolicy(cidrs=(ip_network("192.0.2.0/24"),)), REGISTRY.route)

    assert key.is_valid_at(address, 0.0) == opens


def test_a_key_opens_until_it_expires() -> None:
    key = KeyPermissions(KeyPolicy(expires=1000.0), REGISTRY.route)

    assert [key.is_valid_at("", now) for now in (0.0, 999.9, 1000.0, 9999.0)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_hidden_model_is_one_that_is_not_there() -> None:
    error = model_not_found("gpt\n" + "x" * 100)

    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert error.should_retry is False
    assert "gpt?xxx" in error.message
    assert len(error.message) < 140


def test_request_without_a_model_must_name_one() -> None:
    error = model_needed()

    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
