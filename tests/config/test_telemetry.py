"""Where traces go, named as OpenTelemetry names it."""

import pytest

from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.config.telemetry import otlp_endpoint, otlp_headers

KEYS = {"PROXY_API_KEYS": "sk-jarvis-0123456789abcdef"}


def test_the_settings_are_read() -> None:
    settings = Settings.from_env(
        KEYS
        | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20canary, x-tenant = a",
            "OTEL_SERVICE_NAME": "home",
        }
    )

    assert settings.otlp_endpoint == "http://127.0.0.1:4318"
    assert settings.otlp_headers == (("authorization", "Bearer canary"), ("x-tenant", "a"))
    assert settings.otel_service_name == "home"
    assert "canary" not in repr(settings)


def test_without_settings_nothing_is_sent_anywhere() -> None:
    settings = Settings.from_env(KEYS)

    assert (settings.otlp_endpoint, settings.otlp_headers) == ("", ())
    assert settings.otel_service_name == "jarvis-proxy"


@pytest.mark.parametrize(
    "text", ["127.0.0.1:4318", "grpc://h:4317", "http://h/v1/traces", "http://user:canary@h:4318"]
)
def test_an_endpoint_is_a_base_url(text: str) -> None:
    with pytest.raises(ValueError, match="address of a collector without /v1/traces") as caught:
        otlp_endpoint(text)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("text", ["canary", "=canary", "a b=canary", "a=canary%0Ab", "a=%C3%A9"])
def test_headers_are_pairs_that_can_be_sent(text: str) -> None:
    with pytest.raises(ValueError, match="entry 1 must be name=value") as caught:
        otlp_headers(text)
    assert "canary" not in str(caught.value)


def test_a_wrong_endpoint_names_its_setting() -> None:
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT: must be"):
        Settings.from_env(KEYS | {"OTEL_EXPORTER_OTLP_ENDPOINT": "h"})
