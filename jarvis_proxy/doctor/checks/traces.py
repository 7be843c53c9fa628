"""Checks whether the collector accepts traces. IO.

It sends a message without a span, as OTLP over HTTP allows.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp-request (read 2026-11).
"""

from typing import Final

from jarvis_proxy.config.extras import check_otel
from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.doctor.findings import Check, Finding
from jarvis_proxy.doctor.net.http_probe import PROBE_ERRORS, describe_error, open_probe
from jarvis_proxy.doctor.net.machine import ProbeEnv

_CHECK: Final = Check("checks/traces", "traces")
_NO_SPAN: Final = b"\x0a\x00"
"""An ExportTraceServiceRequest with one empty ResourceSpans."""
_TIMEOUT: Final = 5.0


async def check_traces(env: ProbeEnv, settings: Settings) -> list[Finding]:
    """Return the finding about the collector; none without one.

    A status other than 200 is only a warning, because calls do not depend on the collector.
    """
    if not settings.otlp_endpoint:
        return []
    try:
        check_otel(settings.otlp_endpoint)
    except SettingsError as exc:
        return [_CHECK.finding("not_installed", reason=exc.problems[0])]
    headers = {**dict(settings.otlp_headers), "content-type": "application/x-protobuf"}
    url = f"{settings.otlp_endpoint}/v1/traces"
    try:
        async with open_probe(env) as client:
            answer = await client.ask(url, headers, _NO_SPAN, timeout_s=_TIMEOUT)
    except PROBE_ERRORS as exc:
        return [_CHECK.finding("unreachable", reason=describe_error(exc), url=url)]
    return [_CHECK.evaluate(answer, url=url)]
