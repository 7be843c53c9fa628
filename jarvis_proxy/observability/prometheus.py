"""Renders metrics for Prometheus, with prometheus-client and a registry of our own. IO.

It reads this process's memory, descriptors and CPU time from the system. prometheus-client is
imported at the first scrape, so that a server without scrapes starts faster.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (read 2026-11).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from jarvis_proxy.observability.metrics import MetricFamily

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class _Collector:
    """Supplies metrics to prometheus-client; implements its ``Collector``."""

    def __init__(self, families: Iterable[MetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator["Metric"]:
        """Yield every family in prometheus-client's form."""
        for family in self._families:
            yield _metric(family)


def render(
    families: Sequence[MetricFamily], accept: str, *, process: bool = True
) -> tuple[bytes, str]:
    """Return the exposition of *families*, and its content type.

    *process* adds this process's use of resources. *accept* is the request's header: clients that
    ask for OpenMetrics get it. Rendering thousands of series takes milliseconds, so call this in a
    thread.
    """
    from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    if process:
        ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _metric(family: MetricFamily) -> "Metric":
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    if family.kind == "histogram":
        metric = HistogramMetricFamily(family.name, family.help_text, labels=family.labels)
        for labels, histogram in family.histograms.items():
            metric.add_metric(labels, list(histogram.buckets()), histogram.sum)
        return metric
    plain = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    simple = plain(family.name, family.help_text, labels=family.labels)
    for labels, value in family.samples.items():
        simple.add_metric(labels, value)
    return simple
