"""Settings that need an optional package, and what is said where it is missing."""

import pytest

from jarvis_proxy.config.extras import check_extras, check_otel, check_redis, check_socks
from jarvis_proxy.config.proxies import OutboundProxy
from jarvis_proxy.config.settings import Settings, SettingsError

MISSING = "no_such_package_as_this"
URL = "redis://127.0.0.1:1/0"
SOCKS = OutboundProxy("socks5://user:canary@127.0.0.1:1080", "OPENAI_PROXY")
HTTP = OutboundProxy("http://127.0.0.1:3128")


def test_redis_without_its_package() -> None:
    with pytest.raises(SettingsError) as caught:
        check_redis(URL, MISSING)

    assert caught.value.problems == (
        "REDIS_URL needs the Python package redis, which is not installed:"
        " ./start.sh installs it; elsewhere: pip install 'jarvis-proxy[redis]'",
    )


def test_socks_proxy_without_its_package() -> None:
    with pytest.raises(SettingsError) as caught:
        check_socks((None, HTTP, SOCKS), MISSING)

    assert caught.value.problems == (
        "OPENAI_PROXY needs the Python package aiohttp-socks, which is not installed:"
        " ./start.sh installs it; elsewhere: pip install 'jarvis-proxy[socks]'",
    )


@pytest.mark.parametrize("module", [MISSING, f"{MISSING}.inner", "opentelemetry.no_such"])
def test_collector_without_its_package(module: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_otel("http://127.0.0.1:4318", module)

    assert caught.value.problems == (
        "OTEL_EXPORTER_OTLP_ENDPOINT needs the Python package"
        " opentelemetry-exporter-otlp-proto-http, which is not installed:"
        " ./start.sh installs it; elsewhere: pip install 'jarvis-proxy[otel]'",
    )


def test_what_no_setting_asks_for_may_be_missing() -> None:
    check_redis("", MISSING)
    check_socks((None, HTTP), MISSING)
    check_otel("", MISSING)


def test_what_is_installed_is_no_problem() -> None:
    check_redis(URL)
    check_socks((SOCKS,))
    check_otel("http://127.0.0.1:4318")
    check_extras(
        Settings.from_env(
            {"PROXY_API_KEYS": "sk-jarvis-0123456789abcdef", "UPSTREAM_PROXY": SOCKS.url}
        )
    )


def test_each_setting_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jarvis_proxy.config.extras.find_spec", lambda module: None)
    keys = {"PROXY_API_KEYS": "sk-jarvis-0123456789abcdef"}
    for wanted in (
        {"REDIS_URL": URL},
        {"UPSTREAM_PROXY": SOCKS.url},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
    ):
        with pytest.raises(SettingsError, match=next(iter(wanted))):
            check_extras(Settings.from_env(keys | wanted))
    check_extras(Settings.from_env(keys))
