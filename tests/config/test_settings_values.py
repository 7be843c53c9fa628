"""Each setting has its documented default, and its value arrives in its field."""

import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from jarvis_proxy.config.fields import list_settings
from jarvis_proxy.config.proxies import OutboundProxy
from jarvis_proxy.config.settings import (
    ALL_SETTINGS,
    KeyPolicy,
    ServerLimits,
    Settings,
)

ROOT = Path(__file__).resolve().parents[2]
KEY = "k" * 32
GOOD = {"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", "OPENAI_API_KEY": "o", "GEMINI_API_KEY": "g"}


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = Settings()

    assert (settings.hosts, settings.port) == (("0.0.0.0",), 9000)
    assert (
        settings.connect_timeout,
        settings.first_byte_timeout,
        settings.idle_timeout,
    ) == (5, 600, 600)
    assert (settings.commit_after, settings.heartbeat_interval) == (15, 15)
    assert (settings.body_idle_timeout, settings.body_total_timeout) == (20, 120)
    assert (
        settings.write_stall_timeout,
        settings.drain_timeout,
        settings.stream_total_timeout,
    ) == (60, 120, 3600)
    assert settings.max_body == 64 * 1024 * 1024
    assert settings.default_model == "openai/gpt-4.1-mini"
    assert (
        settings.passthrough,
        settings.image_urls,
        settings.strict_params,
    ) == ("inference", "fetch", False)
    assert (
        settings.workers,
        settings.redis_url,
        settings.log_level,
        settings.log_format,
    ) == (1, "", "info", "text")
    assert settings.cors_origins == ("*",)
    assert [upstream.name for upstream in settings.upstreams] == ["openai", "gemini", "anthropic"]
    expected = ServerLimits(
        max_streams=8192,
        max_streams_per_key=8192,
        max_connections=8192,
        max_connections_per_ip=1024,
        max_bytes_in_flight=256 * 1024 * 1024,
        json_depth=64,
    )
    assert expected == settings.limits


@pytest.mark.parametrize("setting", ALL_SETTINGS, ids=[setting.name for setting in ALL_SETTINGS])
def test_setting_the_documented_default_changes_nothing(
    setting: object, request: pytest.FixtureRequest
) -> None:
    name, default = next((s.name, s.default) for s in ALL_SETTINGS if s is setting)
    if not default:
        default = GOOD.get(name, "")
    base = {"PROXY_API_KEYS": KEY}
    changed = base if name in GOOD and name != "HOST" else {**base, name: default}

    assert Settings.from_env(base) == Settings.from_env(changed)


def test_every_value_arrives_in_its_field() -> None:
    settings = Settings.from_env(
        {
            "PROXY_API_KEYS": f"laptop:{KEY}",
            "OPENAI_API_KEY": "o1, o2",
            "OPENAI_BASE_URL": "http://10.0.0.1:8080/v1/",
            "GEMINI_API_KEY": "g1",
            "GEMINI_BASE_URL": "https://g.example/v1beta",
            "UPSTREAMS": "My-LLM,exempt,own,other",
            "MY_LLM_BASE_URL": "http://ollama:11434/v1",
            "EXEMPT_BASE_URL": "https://llm.example.net/v1",
            "OWN_BASE_URL": "https://own.example.com/v1",
            "OTHER_BASE_URL": "https://other.example.com/v1",
            "MY_LLM_API_KEY": "m1",
            "MY_LLM_MODELS": "llama-*, qwen3",
            "DEFAULT_MODEL": "qwen3",
            "MODEL_ALIASES": "fast = GEMINI/gemini-3-flash , big=my-llm/a/b:c",
            "FALLBACKS": "gpt-4o = fast | qwen3",
            "HOST": "[::1]",
            "PORT": "9001",
            "PASSTHROUGH": "ALL",
            "MAX_BODY_MB": "32",
            "CONNECT_TIMEOUT": "2.5",
            "FIRST_BYTE_TIMEOUT": "10",
            "IDLE_TIMEOUT": "11",
            "COMMIT_AFTER": "12",
            "HEARTBEAT_INTERVAL": "13",
            "BODY_IDLE_TIMEOUT": "14",
            "BODY_TOTAL_TIMEOUT": "15",
            "WRITE_STALL_TIMEOUT": "16",
            "DRAIN_TIMEOUT": "17",
            "STREAM_TOTAL_TIMEOUT": "18",
            "WORKERS": "2",
            "REDIS_URL": "valkey://localhost:6379/1",
            "LOG_LEVEL": "Debug",
            "LOG_FORMAT": "json",
            "TLS_CERT_FILE": "cert.pem",
            "TLS_KEY_FILE": "key.pem",
            "CORS_ORIGINS": "https://Chat.example/, null",
            "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "UPSTREAM_PROXY": "http://u:p@proxy.example:3128/",
            "UPSTREAM_NO_PROXY": "example.net",
            "OWN_PROXY": "Direct",
            **{f"{name}_API_KEY": "k" for name in ("EXEMPT", "OWN", "OTHER")},
            "GEMINI_PROXY": "http://gemini.example:8080",
            "ANTHROPIC_API_KEY": "a1",
            "IMAGE_URLS": "pass",
            "STRICT_PARAMS": "True",
            "MAX_STREAMS": "1",
            "MAX_STREAMS_PER_KEY": "2",
            "MAX_CONNECTIONS": "3",
            "MAX_CONNECTIONS_PER_IP": "4",
            "MAX_INFLIGHT_MB": "33",
            "MAX_JSON_DEPTH": "7",
            "KEY_LAPTOP_RPM": "8",
        }
    )

    assert [key.name for key in settings.client_keys] == ["laptop"]
    openai, gemini, _, mine, *_ = settings.upstreams
    assert (openai.keys, openai.base_url) == (("o1", "o2"), "http://10.0.0.1:8080/v1")
    assert (gemini.keys, gemini.base_url) == (("g1",), "https://g.example/v1beta")
    assert (mine.name, mine.base_url) == ("my-llm", "http://ollama:11434/v1")
    assert (mine.keys, mine.models) == (("m1",), ("llama-*", "qwen3"))
    assert settings.default_model == "qwen3"
    assert settings.model_aliases == {"fast": "gemini/gemini-3-flash", "big": "my-llm/a/b:c"}
    assert settings.fallbacks == {"gpt-4o": ("fast", "qwen3")}
    assert (settings.hosts, settings.port, settings.passthrough) == (("::1",), 9001, "all")
    assert settings.max_body == 32 * 1024 * 1024
    assert (
        settings.connect_timeout,
        settings.first_byte_timeout,
        settings.idle_timeout,
        settings.commit_after,
        settings.heartbeat_interval,
        settings.body_idle_timeout,
        settings.body_total_timeout,
        settings.write_stall_timeout,
        settings.drain_timeout,
        settings.stream_total_timeout,
    ) == (2.5, 10, 11, 12, 13, 14, 15, 16, 17, 18)
    assert (settings.workers, settings.redis_url) == (2, "redis://localhost:6379/1")
    assert (settings.log_level, settings.log_format) == ("debug", "json")
    assert (settings.tls_cert_file, settings.tls_key_file) == ("cert.pem", "key.pem")
    assert settings.cors_origins == ("https://chat.example", "null")
    assert (ip_network("10.0.0.0/8"), ip_network("::1")) == settings.trusted_proxies
    general = OutboundProxy("http://u:p@proxy.example:3128")
    assert [upstream.proxy for upstream in settings.upstreams] == [
        None,  # on this network
        OutboundProxy("http://gemini.example:8080", "GEMINI_PROXY"),
        general,
        None,
        None,  # in UPSTREAM_NO_PROXY
        None,  # OWN_PROXY says so
        general,
    ]
    assert (settings.image_urls, settings.strict_params) == ("pass", True)
    assert settings.limits == ServerLimits(
        max_streams=1,
        max_streams_per_key=2,
        max_connections=3,
        max_connections_per_ip=4,
        max_bytes_in_flight=33 * 1024 * 1024,
        json_depth=7,
    )
    assert settings.policies == {"laptop": KeyPolicy(rpm=8)}
    assert settings.warnings == ()


def test_every_field_says_what_sets_it() -> None:
    silent = {spec.name for spec in fields(Settings) if not spec.metadata.get("settings")}

    assert {"limits", "policies", "warnings"} == silent
    assert len(fields(ServerLimits)) == len(list_settings(ServerLimits))
    assert len(ALL_SETTINGS) == len({setting.name for setting in ALL_SETTINGS})
    for setting in ALL_SETTINGS:
        assert re.fullmatch(r"[^\n]{10,400}\.", setting.text)
