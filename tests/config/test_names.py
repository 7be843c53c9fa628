"""Mistyped names, and what the environment sets: C17."""

import pytest

from jarvis_proxy.config.names import environment_warnings, known_names, meant_by, with_origin
from jarvis_proxy.config.settings import SettingsError


def test_the_settings_of_upstreams_are_known() -> None:
    known = known_names("my-llm, other")

    assert {"PORT", "OPENAI_PROXY", "GEMINI_BASE_URL", "MY_LLM_MODELS", "OTHER_API_KEY"} <= known


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PROXY_API_KEY", "PROXY_API_KEYS"),
        ("proxy_api_keys", "PROXY_API_KEYS"),
        ("PROXY_KEY", "PROXY_API_KEYS"),
        ("API_KEYS", "PROXY_API_KEYS"),
        ("OPENAI_APIKEY", "OPENAI_API_KEY"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        ("https_proxy", "UPSTREAM_PROXY"),
        ("NO_PROXY", "UPSTREAM_NO_PROXY"),
        ("PORT", None),
        ("KEY_LAPTOP_RPM", None),
        ("COMPOSE_PROJECT_NAME", None),
        ("TZ", None),
    ],
)
def test_a_mistyped_name_in_a_file_of_settings_is_recognised(name: str, meant: str | None) -> None:
    assert meant_by(name, known_names("")) == meant


@pytest.mark.parametrize(
    ("environ", "phrases"),
    [
        ({"PROXY_API_KEY": "canary"}, ["PROXY_API_KEY in the environment is no setting"]),
        ({"OPENAI_BASEURL": "canary"}, ["is OPENAI_BASE_URL meant?"]),
        ({"MY_LLM_MODEL": "canary"}, ["is MY_LLM_MODELS meant?"]),
        ({"HOST": "x86_64-conda-linux-gnu"}, ["run `unset HOST`"]),
        ({"HOST": "127.0.0.1,canary.example"}, ["run `unset HOST`"]),
        ({"PROXY_API_KEY": "", "HOST": "", "HOSTNAME": "a", "HTTPS_PROXY": "http://a"}, []),
        ({"HOST": "0.0.0.0", "PORT": "1", "GOOGLE_API_KEY": "x", "LOGNAME": "x"}, []),
        ({"HOST": "[::1],localhost"}, []),
        ({"KEY_LAPTOP_RPM": "1", "MY_LLM_MODELS": "x"}, []),
    ],
)
def test_the_environment_gets_a_hint_where_it_is_odd(
    environ: dict[str, str], phrases: list[str]
) -> None:
    hints = environment_warnings(environ, "my-llm")

    assert len(hints) == len(phrases)
    for hint, phrase in zip(hints, phrases, strict=True):
        assert phrase in hint
        assert "canary" not in hint


def test_a_problem_says_that_the_environment_gave_the_value() -> None:
    error = SettingsError(("PORT: must be a number.", "HOST: must be an address."))

    assert with_origin(error, {"HOST": "x", "PORT": ""}).problems == (
        "PORT: must be a number.",
        "HOST: must be an address. The environment sets it, which overrides .env.",
    )
