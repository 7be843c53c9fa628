"""Encodes, decodes and merges the metrics of several processes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from jarvis_proxy.observability.metrics import Histogram, Labels, Merge, MetricFamily, MetricKind


class _EncodedFamily(msgspec.Struct, array_like=True):
    """An encoded MetricFamily; a histogram becomes its bounds, counts and sum."""

    name: str
    kind: MetricKind
    help_text: str
    labels: Labels
    merge: Merge
    samples: list[tuple[Labels, float]]
    histograms: list[tuple[Labels, tuple[float, ...], list[int], float]]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[_EncodedFamily])


def encode(families: Iterable[MetricFamily]) -> bytes:
    """Return *families* in their encoded form."""
    return _ENCODER.encode([_written(family) for family in families])


def decode(data: bytes) -> list[MetricFamily]:
    """Return the families in *data*, none for ``b""``."""
    return [_family(written) for written in _DECODER.decode(data)] if data else []


def without_gauges(families: Iterable[MetricFamily]) -> list[MetricFamily]:
    """Return the families that outlive their process, which excludes gauges."""
    return [family for family in families if family.kind != "gauge"]


def merge_families(parts: Iterable[Sequence[MetricFamily]]) -> list[MetricFamily]:
    """Return the merged families of all *parts*, in the order of their first appearance."""
    same: dict[str, list[MetricFamily]] = {}
    for part in parts:
        for family in part:
            same.setdefault(family.name, []).append(family)
    return [_sum(families) for families in same.values()]


def _sum(families: Sequence[MetricFamily]) -> MetricFamily:
    first = families[0]
    samples: dict[Labels, float] = {}
    histograms: dict[Labels, Histogram] = {}
    for family in families:
        for labels, value in family.samples.items():
            before = samples.get(labels, 0)
            samples[labels] = max(before, value) if first.merge == "max" else before + value
        for labels, histogram in family.histograms.items():
            histograms.setdefault(labels, Histogram(histogram.bounds)).merge(histogram)
    return replace(first, samples=samples, histograms=histograms)


def _written(family: MetricFamily) -> _EncodedFamily:
    return _EncodedFamily(
        family.name,
        family.kind,
        family.help_text,
        family.labels,
        family.merge,
        list(family.samples.items()),
        [(labels, h.bounds, h.counts, h.sum) for labels, h in family.histograms.items()],
    )


def _family(written: _EncodedFamily) -> MetricFamily:
    histograms = {}
    for labels, bounds, counts, total in written.histograms:
        histogram = histograms[labels] = Histogram(bounds)
        histogram.counts, histogram.sum = counts, total
    return MetricFamily(
        written.name,
        written.kind,
        written.help_text,
        written.labels,
        dict(written.samples),
        histograms,
        written.merge,
    )
