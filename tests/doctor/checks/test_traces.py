"""What the doctor says of the collector of traces."""

import pytest

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.checks.settings import secrets
from jarvis_proxy.doctor.checks.traces import check_traces
from jarvis_proxy.doctor.findings import Finding, Status
from jarvis_proxy.doctor.net.machine import ProbeEnv
from tests.conftest import KEY
from tests.support.otlp_collector import Collector
from tests.support.server_process import free_port


def settings(url: str) -> Settings:
    return Settings.from_env(
        {
            "PROXY_API_KEYS": KEY,
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20canary",
        }
    )


async def checked(url: str) -> Finding:
    (found,) = await check_traces(ProbeEnv(), settings(url))
    assert "canary" not in repr(found)
    return found


async def test_without_a_collector_there_is_no_finding() -> None:
    assert await check_traces(ProbeEnv(), settings("")) == []


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [
        (200, Status.OK, "takes them"),
        (401, Status.WARNING, "refuses them (401)"),
        (404, Status.WARNING, "no answer of a collector (404)"),
    ],
)
async def test_a_collector_is_sent_a_message_without_spans(
    status: int, result: Status, words: str
) -> None:
    collector = Collector(status)
    async with collector.running() as url:
        found = await checked(url)

    assert (found.status, collector.spans) == (result, [])
    assert words in found.detail
    (request,) = collector.server.received
    assert (request.method, request.path) == ("POST", "/v1/traces")
    assert request.header("authorization") == "Bearer canary"


async def test_a_collector_that_is_not_there_is_a_warning() -> None:
    found = await checked(f"http://127.0.0.1:{free_port()}")

    assert found.status is Status.WARNING
    assert found.detail == "no connection: refused"


async def test_missing_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jarvis_proxy.config.extras.find_spec", lambda module: None)
    found = await checked("http://127.0.0.1:4318")

    assert found.status is Status.PROBLEM
    assert "needs the Python package opentelemetry" in found.detail


def test_its_headers_are_secrets_of_the_report() -> None:
    assert "Bearer canary" in secrets({}, settings("http://127.0.0.1:4318"))
