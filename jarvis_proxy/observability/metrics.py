"""Metrics: sums over CallRecords in plain numbers, at a few µs per call. Pure.

The number of labels is bounded: routes, keys and upstreams come from the settings, and only the
first hundred models that an upstream has answered for get labels of their own.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.wire.text import printable

OTHER: Final = "other"
_MODEL_LABELS: Final = ("upstream", "model")
_NONE: Final = "-"
_MAX_MODELS: Final = 100
_BATCH: Final = 256
_NANO: Final = 1e9

# fmt: off
_WAITS: Final = (.05, .1, .25, .5, 1., 2.5, 5., 10., 20., 30., 60., 120., 300., 600.)
_DURATIONS: Final = (.005, .025, .1, .25, .5, 1., 2.5, 5., 10., 30., 60., 120., 300., 600., 1800.)
_OVERHEADS: Final = (
    .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1., 5.
)
_LAGS: Final = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1., 2.5, 5.)
# fmt: on

MetricKind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max"]
"""How values of several processes are merged: most are added, some are equal in each."""


class Histogram:
    """Counts of observations at or below each bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        # The last count is for observations above all bounds.
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, values: Sequence[float]) -> None:
        """Count observations."""
        counts, bounds = self.counts, self.bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.sum += sum(values)

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Yield each bound as text, with the number of observations at or below it."""
        total = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            total += count
            yield "+Inf" if bound == float("inf") else repr(bound), total

    def merge(self, other: "Histogram") -> None:
        """Add the counts of *other*, which has the same bounds."""
        self.counts = [mine + more for mine, more in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum

    def copy(self) -> "Histogram":
        """Return an independent copy."""
        other = Histogram(self.bounds)
        other.counts, other.sum = self.counts[:], self.sum
        return other


Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """One metric: *samples* by label values. A counter's *name* lacks the suffix ``_total``."""

    name: str
    kind: MetricKind
    help_text: str
    labels: Labels = ()
    samples: Mapping[Labels, float] = field(default_factory=dict)
    histograms: Mapping[Labels, Histogram] = field(default_factory=dict)
    merge: Merge = "sum"


class Metrics:
    """The counts since the start of the process."""

    def __init__(self) -> None:
        self.signatures: Counter[str] = Counter()
        """Thought signatures of tool calls sent back, counted by where they were found."""
        self._pending: list[CallRecord] = []
        self._models: set[tuple[str, str]] = set()
        self._requests: Counter[Labels] = Counter()
        self._calls: Counter[Labels] = Counter()
        self._tokens: Counter[Labels] = Counter()
        self._costs: Counter[Labels] = Counter()
        self._unpriced: Counter[Labels] = Counter()
        self._retries: Counter[Labels] = Counter()
        self._limits: Counter[Labels] = Counter()
        self._first_bytes: dict[Labels, Histogram] = {}
        self._durations: dict[Labels, Histogram] = {}
        self._overhead = Histogram(_OVERHEADS)
        self._lag = Histogram(_LAGS)

    def observe(self, record: CallRecord) -> None:
        """Count a finished call; its record must not change afterwards."""
        # Records are summed up in batches, or on a read, because calls share most of their labels.
        self._pending.append(record)
        if len(self._pending) >= _BATCH:
            self._sum_up()

    def observe_lag(self, seconds: float) -> None:
        """Count a measurement of the event loop's lag."""
        self._lag.observe([max(0.0, seconds)])

    def _sum_up(self) -> None:
        fresh, self._pending = self._pending, []
        groups: dict[tuple[object, ...], list[CallRecord]] = {}
        for r in fresh:
            names = (r.route, r.key_name, r.status, r.outcome, r.upstream, r.upstream_model)
            kind = (*names, r.limit, r.attempts, r.upstream_first_byte_at is None)
            if (group := groups.get(kind)) is None:
                groups[kind] = [r]
            else:
                group.append(r)
        for group in groups.values():
            self._observe_group(group)

    def _observe_group(self, records: Sequence[CallRecord]) -> None:
        """Count calls with equal labels."""
        first, calls = records[0], len(records)
        route = first.route or _NONE
        self._requests[route, first.key_name, str(first.status), first.outcome] += calls
        durations = _of(self._durations, (route,), _DURATIONS)
        durations.observe([record.ended_at - record.started_at for record in records])
        if first.limit:
            self._limits[first.limit, first.key_name] += calls
        if first.attempts:
            self._observe_upstream(records)

    def _observe_upstream(self, records: Sequence[CallRecord]) -> None:
        first = records[0]
        place = (first.upstream, self._model(first))
        self._calls[*place, first.outcome] += len(records)
        if first.attempts > 1:
            self._retries[first.upstream,] += (first.attempts - 1) * len(records)
        waits = [
            record.first_byte_sent_at - record.started_at
            for record in records
            if record.first_byte_sent_at is not None
        ]
        if waits:
            _of(self._first_bytes, place, _WAITS).observe(waits)
        self._overhead.observe([time for r in records if (time := r.overhead()) is not None])
        self._count_tokens((first.key_name, *place), records)

    def _count_tokens(self, owner: Labels, records: Sequence[CallRecord]) -> None:
        prompt = completion = cached = reasoning = written = cost = unpriced = 0
        for record in records:
            if record.prompt_tokens is not None:
                prompt += record.prompt_tokens
                completion += record.completion_tokens or 0
                cached += record.cached_tokens or 0
                reasoning += record.reasoning_tokens or 0
                written += record.cache_write_tokens or 0
                cost += record.cost or 0
                unpriced += record.cost is None
        for kind, tokens in (
            ("prompt", prompt),
            ("completion", completion),
            ("cached", cached),
            ("reasoning", reasoning),
            ("cache_write", written),
        ):
            if tokens:
                self._tokens[*owner, kind] += tokens
        if unpriced:
            self._unpriced[owner[1:]] += unpriced
        if cost:
            self._costs[owner] += cost

    def _model(self, record: CallRecord) -> str:
        """Return the label for the call's model; all unknown names share one."""
        place = (record.upstream, record.upstream_model)
        if place not in self._models:
            if record.upstream_first_byte_at is None or len(self._models) >= _MAX_MODELS:
                return OTHER
            self._models.add(place)
        return printable(record.upstream_model) or _NONE

    def families(self) -> list[MetricFamily]:
        """Return a copy of all metrics as they are now."""
        self._sum_up()
        return [*self._request_families(), *self._token_families(), *self._time_families()]

    def _request_families(self) -> list[MetricFamily]:
        return [
            MetricFamily(
                "jarvis_requests",
                "counter",
                "Finished requests, by route, client key, status and outcome.",
                ("route", "key", "status", "outcome"),
                samples=dict(self._requests),
            ),
            MetricFamily(
                "jarvis_upstream_calls",
                "counter",
                "Requests sent to an upstream, by the last upstream that was asked.",
                (*_MODEL_LABELS, "outcome"),
                samples=dict(self._calls),
            ),
            MetricFamily(
                "jarvis_retries",
                "counter",
                "Attempts after the first one: another key, a retry, or a fallback.",
                ("upstream",),
                samples=dict(self._retries),
            ),
            MetricFamily(
                "jarvis_limits_hit",
                "counter",
                "Requests refused by a limit of the proxy.",
                ("limit", "key"),
                samples=dict(self._limits),
            ),
        ]

    def _token_families(self) -> list[MetricFamily]:
        return [
            MetricFamily(
                "jarvis_tokens",
                "counter",
                "Tokens as upstreams count them; cached and cache_write ones are among prompt,"
                " reasoning ones among completion.",
                ("key", *_MODEL_LABELS, "kind"),
                samples=dict(self._tokens),
            ),
            MetricFamily(
                "jarvis_cost_usd",
                "counter",
                "Cost of tokens by the price table, in US dollars.",
                ("key", *_MODEL_LABELS),
                samples={labels: cost / _NANO for labels, cost in self._costs.items()},
            ),
            MetricFamily(
                "jarvis_unpriced_calls",
                "counter",
                "Calls with known tokens and an unknown price.",
                _MODEL_LABELS,
                samples=dict(self._unpriced),
            ),
            MetricFamily(
                "jarvis_signatures_recovered",
                "counter",
                "Thought signatures of tool calls sent back to Gemini, by where they were found;"
                " placeholder: none was found, so a placeholder was sent.",
                ("way",),
                samples={(way,): count for way, count in self.signatures.items()},
            ),
        ]

    def _time_families(self) -> list[MetricFamily]:
        return [
            MetricFamily(
                "jarvis_time_to_first_byte_seconds",
                "histogram",
                "From the request's arrival to the first byte of its answer.",
                _MODEL_LABELS,
                histograms=_copies(self._first_bytes),
            ),
            MetricFamily(
                "jarvis_request_duration_seconds",
                "histogram",
                "From the request's arrival to the end of its answer.",
                ("route",),
                histograms=_copies(self._durations),
            ),
            MetricFamily(
                "jarvis_overhead_seconds",
                "histogram",
                "The proxy's own part of the time to first byte: from the request's last byte to"
                " the upstream request, and from the upstream's first byte to the proxy's.",
                histograms={(): self._overhead.copy()},
            ),
            MetricFamily(
                "jarvis_event_loop_lag_seconds",
                "histogram",
                "How late the event loop woke up, measured ten times a second.",
                histograms={(): self._lag.copy()},
            ),
        ]


def gauge(
    name: str,
    help_text: str,
    samples: Mapping[Labels, float],
    labels: Iterable[str] = (),
    *,
    merge: Merge = "sum",
) -> MetricFamily:
    """Return a gauge: a metric of the current state."""
    return MetricFamily(name, "gauge", help_text, tuple(labels), samples, merge=merge)


def _of(
    histograms: dict[Labels, Histogram], labels: Labels, bounds: tuple[float, ...]
) -> Histogram:
    found = histograms.get(labels)
    if found is None:
        found = histograms[labels] = Histogram(bounds)
    return found


def _copies(histograms: Mapping[Labels, Histogram]) -> dict[Labels, Histogram]:
    return {labels: histogram.copy() for labels, histogram in histograms.items()}
