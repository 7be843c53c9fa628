"""Settings.from_env: defaults, every kind of wrong value, secrets, hints."""

import re
from dataclasses import FrozenInstanceError
from hashlib import sha256
from pathlib import Path

import pytest

from jarvis_proxy.config.settings import (
    ALL_SETTINGS,
    Settings,
    SettingsError,
)

ROOT = Path(__file__).resolve().parents[2]
KEY = "k" * 32
GOOD = {"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", "OPENAI_API_KEY": "o", "GEMINI_API_KEY": "g"}
CANARY = "caNaryN0tToBeSeenAnywhere,=|* /?#"

BROKEN = {
    "no client key": ({"PROXY_API_KEYS": ""}, "PROXY_API_KEYS"),
    "client key is a comment": ({"PROXY_API_KEYS": "# my key"}, "PROXY_API_KEYS"),
    "client key is a placeholder": ({"PROXY_API_KEYS": "your-proxy-key"}, "PROXY_API_KEYS"),
    "only commas for client keys": ({"PROXY_API_KEYS": " , ,"}, "PROXY_API_KEYS"),
    "client key with a space": ({"PROXY_API_KEYS": "Bearer abcdefgh"}, "PROXY_API_KEYS"),
    "client key not ASCII": ({"PROXY_API_KEYS": "schlüssel"}, "PROXY_API_KEYS"),
    "client key name without key": ({"PROXY_API_KEYS": "laptop:"}, "PROXY_API_KEYS"),
    "client key name empty": ({"PROXY_API_KEYS": ":abcdefgh"}, "PROXY_API_KEYS"),
    "client key with two colons": ({"PROXY_API_KEYS": "a:b:c"}, "PROXY_API_KEYS"),
    "client key name with a space": ({"PROXY_API_KEYS": "my phone:abc"}, "PROXY_API_KEYS"),
    "digest too short": ({"PROXY_API_KEYS": "sha256:abc123"}, "PROXY_API_KEYS"),
    "digest not hexadecimal": ({"PROXY_API_KEYS": "a:sha256:" + "g" * 64}, "PROXY_API_KEYS"),
    "client key twice": ({"PROXY_API_KEYS": f"a:{KEY},b:{KEY}"}, "PROXY_API_KEYS"),
    "client key twice, once as digest": (
        {"PROXY_API_KEYS": f"{KEY},sha256:{sha256(KEY.encode()).hexdigest()}"},
        "PROXY_API_KEYS",
    ),
    "client name twice": ({"PROXY_API_KEYS": f"a:{KEY},a:{KEY}2"}, "PROXY_API_KEYS"),
    "quote left open": ({"PROXY_API_KEYS": f"{KEY}\nHOST=127.0.0.1"}, "PROXY_API_KEYS"),
    "upstream key with a space": ({"OPENAI_API_KEY": "Bearer sk-1"}, "OPENAI_API_KEY"),
    "upstream key not ASCII": ({"GEMINI_API_KEY": "AIzaSy–1"}, "GEMINI_API_KEY"),
    "upstream key with a zero-width space": ({"GEMINI_API_KEY": "AI\u200bza"}, "GEMINI_API_KEY"),
    "base URL without scheme": ({"OPENAI_BASE_URL": "api.openai.com/v1"}, "OPENAI_BASE_URL"),
    "base URL ftp": ({"OPENAI_BASE_URL": "ftp://api.openai.com"}, "OPENAI_BASE_URL"),
    "base URL without host": ({"OPENAI_BASE_URL": "https:///v1"}, "OPENAI_BASE_URL"),
    "base URL with a query": ({"OPENAI_BASE_URL": "https://a.example/v1?k=1"}, "OPENAI_BASE_URL"),
    "base URL with a user": ({"OPENAI_BASE_URL": "https://u:p@a.example"}, "OPENAI_BASE_URL"),
    "base URL with a wrong port": ({"GEMINI_BASE_URL": "https://a.example:99999"}, "GEMINI"),
    "base URL with an open bracket": ({"GEMINI_BASE_URL": "https://[::1/v1"}, "GEMINI_BASE_URL"),
    "base URL with a backslash": ({"GEMINI_BASE_URL": r"https://a.example\v1"}, "GEMINI_BASE_URL"),
    "base URL with the endpoint": (
        {"OPENAI_BASE_URL": "https://a.example/v1/chat/completions"},
        "OPENAI_BASE_URL",
    ),
    "upstream name wrong": ({"UPSTREAMS": "9lives"}, "UPSTREAMS"),
    "upstream name that is a key": ({"UPSTREAMS": "sk-abc"}, "UPSTREAMS"),
    "upstream name too long": ({"UPSTREAMS": "a" * 25}, "UPSTREAMS"),
    "upstream name taken": ({"UPSTREAMS": "OpenAI"}, "UPSTREAMS"),
    "upstream name twice": (
        {"UPSTREAMS": "my-llm,my_llm", "MY_LLM_BASE_URL": "https://a.example"},
        "UPSTREAMS",
    ),
    "upstream without base URL": ({"UPSTREAMS": "deepseek"}, "DEEPSEEK_BASE_URL"),
    "upstream with a wrong base URL": (
        {"UPSTREAMS": "deepseek", "DEEPSEEK_BASE_URL": "deepseek"},
        "DEEPSEEK_BASE_URL",
    ),
    "star inside a model": (
        {"UPSTREAMS": "x", "X_BASE_URL": "https://a.example", "X_MODELS": "a*b"},
        "X_MODELS",
    ),
    "model in two lists": (
        {
            "UPSTREAMS": "x,y",
            "X_BASE_URL": "https://a.example",
            "Y_BASE_URL": "https://b.example",
            "X_MODELS": "m",
            "Y_MODELS": "n,m",
        },
        "Y_MODELS",
    ),
    "default model with a space": ({"DEFAULT_MODEL": "gpt 4"}, "DEFAULT_MODEL"),
    "default model is itself": ({"DEFAULT_MODEL": "jarvis-default"}, "DEFAULT_MODEL"),
    "alias without target": ({"MODEL_ALIASES": "fast"}, "MODEL_ALIASES"),
    "alias to a bare model": ({"MODEL_ALIASES": "fast=gpt-4o"}, "MODEL_ALIASES"),
    "alias to an unknown upstream": ({"MODEL_ALIASES": "fast=acme/gpt"}, "MODEL_ALIASES"),
    "alias to no model": ({"MODEL_ALIASES": "fast=openai/"}, "MODEL_ALIASES"),
    "alias twice": ({"MODEL_ALIASES": "a=openai/x,a=openai/y"}, "MODEL_ALIASES"),
    "fallback without target": ({"FALLBACKS": "gpt-4o="}, "FALLBACKS"),
    "fallback with an empty target": ({"FALLBACKS": "gpt-4o=a||b"}, "FALLBACKS"),
    "fallback to itself": ({"FALLBACKS": "gpt-4o=gpt-4o"}, "FALLBACKS"),
    "fallback twice": ({"FALLBACKS": "a=b,a=c"}, "FALLBACKS"),
    "host with a port": ({"HOST": "0.0.0.0:9000"}, "HOST"),
    "host with a scheme": ({"HOST": "http://localhost"}, "HOST"),
    "host mistyped": ({"HOST": "256.0.0.1"}, "HOST"),
    "host in brackets but no address": ({"HOST": "[localhost]"}, "HOST"),
    "port not a number": ({"PORT": "http"}, "PORT"),
    "port 0": ({"PORT": "0"}, "PORT"),
    "port too large": ({"PORT": "65536"}, "PORT"),
    "port negative": ({"PORT": "-1"}, "PORT"),
    "port in other digits": ({"PORT": "٩٠٠٠"}, "PORT"),
    "port of five thousand digits": ({"PORT": "9" * 5000}, "PORT"),
    "passthrough wrong": ({"PASSTHROUGH": "none"}, "PASSTHROUGH"),
    "body size with a unit": ({"MAX_BODY_MB": "64MB"}, "MAX_BODY_MB"),
    "body size 0": ({"MAX_BODY_MB": "0"}, "MAX_BODY_MB"),
    "body larger than all bodies": ({"MAX_BODY_MB": "512"}, "MAX_INFLIGHT_MB"),
    "timeout with a unit": ({"CONNECT_TIMEOUT": "5s"}, "CONNECT_TIMEOUT"),
    "timeout 0": ({"FIRST_BYTE_TIMEOUT": "0"}, "FIRST_BYTE_TIMEOUT"),
    "timeout negative": ({"IDLE_TIMEOUT": "-1"}, "IDLE_TIMEOUT"),
    "timeout nan": ({"IDLE_TIMEOUT": "nan"}, "IDLE_TIMEOUT"),
    "timeout infinite": ({"STREAM_TOTAL_TIMEOUT": "inf"}, "STREAM_TOTAL_TIMEOUT"),
    "timeout too large": ({"DRAIN_TIMEOUT": "86401"}, "DRAIN_TIMEOUT"),
    "workers not whole": ({"WORKERS": "1.5"}, "WORKERS"),
    "workers without Redis": ({"WORKERS": "2"}, "WORKERS"),
    "Redis without scheme": ({"REDIS_URL": "localhost:6379"}, "REDIS_URL"),
    "Redis over http": ({"REDIS_URL": "http://localhost:6379"}, "REDIS_URL"),
    "Redis with a wrong port": ({"REDIS_URL": "redis://localhost:redis"}, "REDIS_URL"),
    "Redis database not a number": ({"REDIS_URL": "redis://localhost/db"}, "REDIS_URL"),
    "log level wrong": ({"LOG_LEVEL": "verbose"}, "LOG_LEVEL"),
    "log format wrong": ({"LOG_FORMAT": "xml"}, "LOG_FORMAT"),
    "TLS certificate alone": ({"TLS_CERT_FILE": "cert.pem"}, "TLS_KEY_FILE"),
    "TLS key alone": ({"TLS_KEY_FILE": "key.pem"}, "TLS_CERT_FILE"),
    "origin with a path": ({"CORS_ORIGINS": "https://a.example/chat"}, "CORS_ORIGINS"),
    "star among origins": ({"CORS_ORIGINS": "*,https://a.example"}, "CORS_ORIGINS"),
    "trusted proxy by name": ({"TRUSTED_PROXIES": "proxy.example"}, "TRUSTED_PROXIES"),
    "trusted network with host bits": ({"TRUSTED_PROXIES": "10.1.2.3/8"}, "TRUSTED_PROXIES"),
    "SOCKS4 proxy": ({"UPSTREAM_PROXY": "socks4://127.0.0.1:1080"}, "UPSTREAM_PROXY"),
    "proxy without scheme": ({"UPSTREAM_PROXY": "proxy.example:3128"}, "UPSTREAM_PROXY"),
    "no-proxy entry with a scheme": ({"UPSTREAM_NO_PROXY": "http://a"}, "UPSTREAM_NO_PROXY"),
    "an upstream's proxy without scheme": ({"OPENAI_PROXY": "proxy:3128"}, "OPENAI_PROXY"),
    "upstream whose proxy would be everyone's": (
        {"UPSTREAMS": "upstream", "UPSTREAM_BASE_URL": "https://a.example"},
        "UPSTREAMS",
    ),
    "proxy with a path": ({"UPSTREAM_PROXY": "http://proxy.example/x"}, "UPSTREAM_PROXY"),
    "image URLs wrong": ({"IMAGE_URLS": "yes"}, "IMAGE_URLS"),
    "strict not a flag": ({"STRICT_PARAMS": "maybe"}, "STRICT_PARAMS"),
    "limit 0": ({"MAX_STREAMS": "0"}, "MAX_STREAMS"),
    "JSON depth too large": ({"MAX_JSON_DEPTH": "100000"}, "MAX_JSON_DEPTH"),
    "metrics key too short": ({"METRICS_KEY": "short"}, "METRICS_KEY"),
    "metrics key that is a client's": ({"METRICS_KEY": KEY}, "METRICS_KEY"),
    "admin key that is a client's": ({"ADMIN_KEY": KEY}, "ADMIN_KEY"),
    "policy of an unknown key": ({"KEY_LAPTOP_RPM": "1"}, "KEY_LAPTOP_RPM"),
    "upstream named like a key's policy": (
        {"UPSTREAMS": "key-laptop", "KEY_LAPTOP_BASE_URL": "https://a.example"},
        "UPSTREAMS",
    ),
}


def problems_of(env: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env)
    return caught.value.problems


@pytest.mark.every_case
@pytest.mark.parametrize(("change", "setting"), BROKEN.values(), ids=BROKEN)
def test_a_wrong_value_is_one_problem_that_names_its_setting(
    change: dict[str, str], setting: str
) -> None:
    problems = problems_of(GOOD | change)

    assert len(problems) == 1
    assert problems[0].startswith(setting)
    assert re.fullmatch(r"[A-Z0-9_]+: [^\n]{15,}\.", problems[0])


def test_there_are_enough_wrong_values() -> None:
    assert len(BROKEN) >= 45


def test_all_problems_are_reported_at_once() -> None:
    problems = problems_of({"PORT": "x", "HOST": "a b", "LOG_LEVEL": "loud", "IDLE_TIMEOUT": "0"})

    assert [problem.partition(":")[0] for problem in problems] == [
        "PROXY_API_KEYS",
        "IDLE_TIMEOUT",
        "HOST",
        "PORT",
        "LOG_LEVEL",
    ]


def test_the_message_of_the_error_holds_every_problem() -> None:
    error = SettingsError(("A: one.", "B: two."))

    assert str(error) == "A: one.\nB: two."


@pytest.mark.parametrize("name", [setting.name for setting in ALL_SETTINGS])
def test_no_problem_shows_a_value(name: str) -> None:
    """Whatever the setting: a key that was pasted into the wrong line must not be printed."""
    env = {
        **GOOD,
        "UPSTREAMS": "x",
        "X_BASE_URL": "https://a.example",
        name.replace("<NAME>", "X"): f"{CANARY}\x07{CANARY}",
    }
    shown = "\n".join(problems_of(env))

    assert "caNary" not in shown
    assert "canary" not in shown.lower()


@pytest.mark.parametrize("name", [setting.name for setting in ALL_SETTINGS])
def test_no_problem_and_no_hint_shows_a_printable_value(name: str) -> None:
    setting = name.replace("<NAME>", "X")
    env = {**GOOD, "UPSTREAMS": "x", "X_BASE_URL": "https://a.example", setting: CANARY}
    try:
        shown = "\n".join(Settings.from_env(env).warnings)
    except SettingsError as exc:
        shown = str(exc)

    assert "canary" not in shown.lower()


def test_secrets_are_in_no_repr_and_no_hint() -> None:
    settings = Settings.from_env(
        {
            "PROXY_API_KEYS": "short-canary,named:" + "canary" * 9 + ",sha256:" + "ca" * 32,
            "OPENAI_API_KEY": "sk-canary1,sk-canary2,sk-xxx,sk-canary1",
            "GEMINI_API_KEY": "sk-canary3",
            "UPSTREAMS": "more",
            "MORE_BASE_URL": "http://llm.example.com/v1",
            "MORE_API_KEY": "canary4",
            "REDIS_URL": "redis://user:canary5@localhost",
            "UPSTREAM_PROXY": "http://user:canary6@proxy.example:3128",
        }
    )
    assert settings.upstreams[0].proxy is not None
    shown = repr(settings) + "\n".join(settings.warnings)

    assert "canary" not in shown
    assert "ca" * 32 not in shown
    for key in settings.client_keys:
        assert key.digest.hex() not in shown
        assert repr(key.digest) not in shown


def test_one_client_key_is_all_that_must_be_set() -> None:
    settings = Settings.from_env({"PROXY_API_KEYS": KEY})

    assert Settings(client_keys=settings.client_keys, warnings=settings.warnings) == settings


def test_the_documented_example_file_starts_with_hints() -> None:
    """As a container runtime hands it over: with the comments and quotes still in place."""
    settings = Settings.from_env(
        {
            "OPENAI_API_KEY": "sk-xxx          # your OpenAI key",
            "GEMINI_API_KEY": "AIzaSyxxx   # your Gemini key",
            "PROXY_API_KEYS": "jarvis-local-secret # clients send this",
            "HOST": '"0.0.0.0"   # all addresses',
            "PORT": "9000",
        }
    )

    assert [upstream.keys for upstream in settings.upstreams] == [()] * 3
    assert settings.client_keys[0].default
    shown = "\n".join(settings.warnings)
    for phrase in (
        "OPENAI_API_KEY holds a placeholder",
        "GEMINI_API_KEY holds a placeholder",
        "jarvis-local-secret",
        "TLS is off",
        "jarvis-echo",
    ):
        assert phrase in shown


def test_an_empty_cors_origins_turns_cors_off() -> None:
    assert Settings.from_env({**GOOD, "CORS_ORIGINS": ""}).cors_origins == ()


def test_a_tls_file_that_cannot_be_read_is_a_problem() -> None:
    env = {**GOOD, "TLS_CERT_FILE": "cert.pem", "TLS_KEY_FILE": "key.pem"}
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(env, is_readable=lambda path: path == "cert.pem")

    assert caught.value.problems == ("TLS_KEY_FILE: must name a file that the server may read.",)


def test_settings_cannot_be_changed() -> None:
    settings = Settings()

    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]  # that it is refused is the claim
    with pytest.raises(TypeError):
        settings.model_aliases["a"] = "b"  # type: ignore[index]  # as above
    assert not hasattr(settings, "__dict__")


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "state"),
        ({"STATE_DIR": ""}, ""),
        ({"STATE_DIR": "# nowhere"}, ""),
        ({"STATE_DIR": "/var/lib/jarvis"}, "/var/lib/jarvis"),
    ],
)
def test_an_empty_state_folder_is_not_an_absent_one(env: dict[str, str], expected: str) -> None:
    assert Settings.from_env(GOOD | env).state_dir == expected


def test_a_prices_file_must_be_readable() -> None:
    with pytest.raises(SettingsError, match=r"^PRICES_FILE: must name a file"):
        Settings.from_env(GOOD | {"PRICES_FILE": "prices.json"}, is_readable=lambda path: False)


def test_the_metrics_key_is_kept_as_its_digest() -> None:
    key = Settings.from_env(GOOD | {"METRICS_KEY": "m" * 16}).metrics_key

    assert key is not None
    assert key.digest == sha256(b"m" * 16).digest()
