"""What the doctor reads in the settings themselves."""

import pytest

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.doctor.checks.settings import (
    check_settings,
    clear_client_key,
    client_keys,
    enabled_upstreams,
    listening,
    models,
    overrides,
    secrets,
    startup_errors,
)
from jarvis_proxy.doctor.findings import Finding, Status
from jarvis_proxy.routing.models import ModelRegistry

LONG = "a-long-client-key-0123456789"
DIGEST = "sha256:" + "ab" * 32
LOCAL = {"PROXY_API_KEYS": LONG, "HOST": "127.0.0.1"}
OPENAI = {"OPENAI_API_KEY": "sk-canary-0123456789"}
GEMINI = {"GEMINI_API_KEY": "AIza-canary-0123456789"}
ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-ant-canary-0123456789"}


def settings(**env: str) -> Settings:
    return Settings.from_env({**LOCAL, **env})


def registry(found: Settings) -> ModelRegistry:
    return ModelRegistry(
        found.upstreams,
        default_model=found.default_model,
        aliases=found.model_aliases,
        fallbacks=found.fallbacks,
    )


def statuses(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.check, str(finding.status)) for finding in found]


def test_every_startup_error_is_a_problem() -> None:
    found = startup_errors(SettingsError(("PORT: must be a number.", "HOST: must be an address.")))

    assert [f.detail for f in found] == ["PORT: must be a number.", "HOST: must be an address."]
    assert {f.status for f in found} == {Status.PROBLEM}


def test_valid_settings_give_no_warning() -> None:
    found = check_settings(settings(**OPENAI, **GEMINI, **ANTHROPIC), {}, {})

    assert statuses(found) == [
        ("settings", "ok"),
        ("client keys", "ok"),
        ("listening", "ok"),
        ("upstream keys", "ok"),
    ]
    assert found[-1].detail == "set for openai (1), gemini (1), anthropic (1)"


def test_warnings_of_no_other_check_belong_to_the_settings() -> None:
    found = check_settings(settings(OPENAI_API_KEY="sk-xxx", HOST="0.0.0.0"), {}, {})

    (hint,) = [finding for finding in found if finding.check == "settings"]
    assert hint.status is Status.WARNING
    assert "OPENAI_API_KEY holds a placeholder" in hint.detail


def test_odd_names_in_the_environment_are_warnings() -> None:
    found = check_settings(settings(**OPENAI), {}, {"MAX_BODY_M": "64", "PROXY_API_KEY": "canary"})

    hints = [finding for finding in found if finding.check == "environment"]
    assert hints
    assert {hint.status for hint in hints} == {Status.WARNING}
    assert "canary" not in str(hints)


@pytest.mark.parametrize(
    ("file_values", "environ", "expected"),
    [
        ({}, {"PORT": "1"}, None),
        ({"PORT": "1"}, {}, None),
        ({"PORT": "1"}, {"PORT": "'1'"}, None),
        ({"MY_OWN": "1"}, {"MY_OWN": "2"}, None),
        ({"PORT": "1", "HOST": "a"}, {"PORT": "2", "HOST": "b"}, "HOST, PORT"),
        (
            {"UPSTREAMS": "my-llm", "MY_LLM_API_KEY": "canary-one"},
            {"MY_LLM_API_KEY": "canary-two"},
            "MY_LLM_API_KEY",
        ),
    ],
    ids=["only outside", "only in the file", "the same", "no setting", "two", "of an upstream"],
)
def test_overridden_settings_are_named_without_their_values(
    file_values: dict[str, str], environ: dict[str, str], expected: str | None
) -> None:
    found = overrides(file_values, environ)

    if expected is None:
        assert found == []
    else:
        assert f"it sets {expected} differently" in found[0].detail
        assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (LONG, "1 key, long enough"),
        (f"{LONG},phone:{DIGEST}", "2 keys, long enough"),
        ("laptop:short", "shorter than 16 characters, so they can be guessed: laptop"),
        (f"{LONG},short", "shorter than 16 characters, so they can be guessed: key 2"),
        ("jarvis-local-secret", "one is the key of the documented example, which everyone knows"),
    ],
)
def test_finding_depends_on_the_strength_of_client_keys(keys: str, expected: str) -> None:
    (found,) = client_keys(settings(PROXY_API_KEYS=keys).client_keys)

    assert found.detail == expected
    assert (found.example == "openssl rand -hex 32") == (found.status is Status.WARNING)


def test_unnamed_key_is_not_called_by_its_digest() -> None:
    keys = settings(PROXY_API_KEYS="short").client_keys

    assert keys[0].name not in str(client_keys(keys))


def test_the_example_key_and_a_short_one_are_two_warnings() -> None:
    found = client_keys(settings(PROXY_API_KEYS="jarvis-local-secret,short").client_keys)

    assert [finding.status for finding in found] == [Status.WARNING, Status.WARNING]


@pytest.mark.parametrize(
    ("env", "status", "words"),
    [
        ({}, "ok", "on this machine only"),
        ({"HOST": "0.0.0.0"}, "warning", "TLS is off"),
        ({"HOST": "0.0.0.0", "TLS_CERT_FILE": "c", "TLS_KEY_FILE": "k"}, "ok", "with TLS"),
        ({"TRUSTED_PROXIES": "0.0.0.0/0"}, "warning", "covers every address"),
    ],
)
def test_listening_finding_depends_on_host_and_tls(
    env: dict[str, str], status: str, words: str
) -> None:
    (found,) = listening(settings(**env))

    assert found.status == status
    assert words in found.detail


def test_without_any_upstream_key_only_the_built_in_model_answers() -> None:
    (found,) = enabled_upstreams(settings())

    assert found.status is Status.WARNING
    assert "only the built-in model jarvis-echo answers" in found.detail


def test_upstream_without_key_is_skipped_if_another_has_one() -> None:
    found = enabled_upstreams(settings(**OPENAI))

    assert statuses(found) == [("upstream keys", "ok"), ("upstream keys", "skipped")]
    assert "GEMINI_API_KEY or ANTHROPIC_API_KEY would enable it" in found[1].detail


def test_swapped_keys_are_a_warning() -> None:
    swapped = {"OPENAI_API_KEY": "AIza-canary-0123456789", "GEMINI_API_KEY": "sk-canary-0123456789"}
    first, second, *_ = enabled_upstreams(settings(**swapped))

    for finding in (first, second):
        assert finding.status is Status.WARNING
        assert "are two keys swapped?" in finding.detail


def test_without_upstream_there_is_no_routing_finding() -> None:
    found = settings()

    assert models(found, registry(found), {}) == []


def test_default_model_of_an_upstream_without_key_is_a_warning() -> None:
    found = settings(**GEMINI, DEFAULT_MODEL="openai/gpt-4.1-mini")

    (default,) = models(found, registry(found), {})

    assert default.status is Status.WARNING
    assert "get 404" in default.detail
    assert "gemini/gemini-3-flash" in default.advice


@pytest.mark.parametrize(
    ("names", "example"), [("deep-1,deep-2", "deepseek/deep-1"), ("deep*", "deepseek/MODEL")]
)
def test_example_is_of_the_only_upstream_with_a_key(names: str, example: str) -> None:
    found = settings(
        UPSTREAMS="deepseek",
        DEEPSEEK_BASE_URL="https://api.example.com/v1",
        DEEPSEEK_API_KEY="canary-0123456789",
        DEEPSEEK_MODELS=names,
    )

    (default,) = models(found, registry(found), {})

    assert default.advice.endswith(f"such as {example}.")


@pytest.mark.parametrize(
    ("listed", "status"),
    [
        ({}, "ok"),
        ({"openai": frozenset({"gpt-4.1-mini", "other"})}, "ok"),
        ({"openai": frozenset({"other"})}, "warning"),
        ({"gemini": frozenset({"other"})}, "ok"),
    ],
)
def test_unlisted_default_model_is_a_warning(
    listed: dict[str, frozenset[str]], status: str
) -> None:
    found = settings(**OPENAI)

    (default,) = models(found, registry(found), listed)

    assert (default.check, default.status) == ("default model", status)


def test_fallbacks_and_aliases_without_a_usable_model_are_warnings() -> None:
    found = settings(
        **OPENAI,
        FALLBACKS="gpt-4o=gemini-3-flash|gpt-4.1",
        MODEL_ALIASES="fast=gemini/gemini-3-flash,good=openai/gpt-4.1",
    )

    _, fallbacks, aliases = models(found, registry(found), {})

    assert "FALLBACKS names gemini-3-flash, and gemini has no key" in fallbacks.detail
    assert "MODEL_ALIASES names fast, and gemini has no key" in aliases.detail


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, None),
        ({"PROXY_API_KEYS": DIGEST}, None),
        ({"PROXY_API_KEYS": f"phone:{DIGEST}"}, None),
        ({"PROXY_API_KEYS": "sk-xxx"}, None),
        ({"PROXY_API_KEYS": "laptop:"}, None),
        ({"PROXY_API_KEYS": f"phone:{DIGEST}, laptop: {LONG} ,x"}, LONG),
        ({"PROXY_API_KEYS": f'"{LONG}" # mine'}, LONG),
        ({"PROXY_API_KEYS": "other", "JARVIS_KEY": LONG}, LONG),
    ],
)
def test_client_key_in_clear_is_found(env: dict[str, str], expected: str | None) -> None:
    assert clear_client_key(env) == expected


def test_every_secret_is_found() -> None:
    env = {
        "PROXY_API_KEYS": f"one-client-key,laptop:two-client-key,{DIGEST}",
        "JARVIS_KEY": "three-client-key",
    }
    found = settings(
        PROXY_API_KEYS=LONG,
        OPENAI_API_KEY="sk-canary-1,sk-canary-2",
        UPSTREAM_PROXY="http://user:canary-3@proxy.example:3128",
        REDIS_URL="redis://:canary-4@127.0.0.1:6379/0",
    )

    assert secrets(env, None) == {
        "one-client-key",
        "two-client-key",
        "three-client-key",
        "ab" * 32,
    }
    assert {"sk-canary-1", "sk-canary-2", "canary-3", "canary-4"} <= secrets(env, found)
    assert secrets({}, settings()) == set()
