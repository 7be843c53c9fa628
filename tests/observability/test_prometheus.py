"""The exposition, as Prometheus's own tools and parser read it."""

import shutil
import subprocess
import sys

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from jarvis_proxy.observability.metrics import Metrics, gauge
from jarvis_proxy.observability.prometheus import render
from tests.support.call_records import call


def text(accept: str = "") -> str:
    metrics = Metrics()
    metrics.observe(call())
    metrics.observe(call(upstream_model='odd"model\\', attempts=2))
    metrics.observe_lag(0.02)
    families = [*metrics.families(), gauge("jarvis_streams_open", "Open streams.", {(): 3})]
    body, _ = render(families, accept)
    return body.decode()


def test_every_family_is_read_back_as_it_was() -> None:
    read = {family.name: family for family in text_string_to_metric_families(text())}

    assert read["jarvis_requests"].type == "counter"
    assert [
        (sample.name, sample.labels, sample.value) for sample in read["jarvis_requests"].samples
    ] == [
        (
            "jarvis_requests_total",
            {
                "route": "/v1/chat/completions",
                "key": "laptop",
                "status": "200",
                "outcome": "ok",
            },
            2.0,
        )
    ]
    assert read["jarvis_streams_open"].type == "gauge"
    assert read["jarvis_streams_open"].samples[0].value == 3.0
    models = {s.labels["model"] for s in read["jarvis_upstream_calls"].samples}
    assert models == {"gpt-4o", 'odd"model\\'}


def test_histograms_have_their_buckets_sum_and_count() -> None:
    read = {family.name: family for family in text_string_to_metric_families(text())}
    lag = {
        (sample.name.rpartition("_")[2], sample.labels.get("le")): sample.value
        for sample in read["jarvis_event_loop_lag_seconds"].samples
    }

    assert lag["bucket", "0.01"] == 0
    assert lag["bucket", "0.025"] == 1
    assert lag["bucket", "+Inf"] == lag["count", None] == 1
    assert lag["sum", None] == 0.02


def test_process_and_python_metrics_are_included() -> None:
    names = {family.name for family in text_string_to_metric_families(text())}

    assert {"process_open_fds", "process_resident_memory_bytes", "python_info"} <= names


def test_openmetrics_is_for_those_who_ask_for_it() -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    _, plain = render([], "")
    _, open_type = render([], accept)
    families = openmetrics.text_string_to_metric_families(text(accept))  # type: ignore[no-untyped-call]
    read = {family.name for family in families}

    assert plain.startswith("text/plain")
    assert open_type.startswith("application/openmetrics-text")
    assert "jarvis_requests" in read


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text().encode(), capture_output=True, check=False
    )

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.slow
def test_prometheus_client_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, jarvis_proxy.server.app, jarvis_proxy.observability.prometheus;"
        "sys.exit('prometheus_client' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
