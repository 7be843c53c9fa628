"""Settings of OpenTelemetry, with the names of its specification. Pure.

Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ (read 2026-11).
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from jarvis_proxy.config.addresses import base_url
from jarvis_proxy.config.fields import SettingsSection, setting
from jarvis_proxy.config.parsers import split
from jarvis_proxy.config.tables import Timeouts

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


def otlp_endpoint(text: str) -> str:
    """Parse the collector's base URL, to which ``/v1/traces`` is added."""
    try:
        url = base_url(text)
    except ValueError:
        url = ""
    if not url or url.endswith("/v1/traces"):
        raise ValueError(
            "must be the http:// or https:// address of a collector without /v1/traces,"
            " such as http://127.0.0.1:4318"
        )
    return url


def otlp_headers(text: str) -> tuple[tuple[str, str], ...]:
    """Parse ``name=value`` pairs, percent-encoded and separated by commas."""
    found = []
    for number, entry in enumerate(split(text), 1):
        name, equals, value = (unquote(part.strip()) for part in entry.partition("="))
        is_name = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not equals or not is_name or not (value.isascii() and value.isprintable()):
            raise ValueError(f"entry {number} must be name=value, percent-encoded")
        found.append((name.lower(), value))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry(Timeouts):
    """The destination of traces."""

    otlp_endpoint: str = setting(
        ENDPOINT,
        parser=otlp_endpoint,
        value="",
        section=SettingsSection.NUMBERS,
        text=(
            "Collector of OpenTelemetry traces (OTLP over HTTP), such as "
            "`http://127.0.0.1:4318`: a span for each call, and one for each attempt at an "
            "upstream, never with content. `./start.sh` installs what it needs, else "
            "`pip install 'jarvis-proxy[otel]'`."
        ),
    )
    otlp_headers: tuple[tuple[str, str], ...] = setting(
        "OTEL_EXPORTER_OTLP_HEADERS",
        parser=otlp_headers,
        value=(),
        section=SettingsSection.NUMBERS,
        text="Headers for the collector, such as `authorization=Bearer%20KEY`, comma-separated.",
        repr=False,
    )
    otel_service_name: str = setting(
        "OTEL_SERVICE_NAME",
        parser=str,
        default="jarvis-proxy",
        section=SettingsSection.NUMBERS,
        text="Name of this server in traces.",
    )
