"""Metrics of several processes: written down and read without a change, and added up."""

from jarvis_proxy.observability.metrics import Histogram, MetricFamily, Metrics, gauge
from jarvis_proxy.observability.metrics_merge import decode, encode, merge_families, without_gauges
from tests.support.call_records import call


def some(*records: object) -> list[MetricFamily]:
    metrics = Metrics()
    for record in records:
        metrics.observe(record)  # type: ignore[arg-type]
    return [
        *metrics.families(),
        gauge("open", "Open.", {(): 2}),
        gauge("keys", "", {("a",): 3}, ["u"], merge="max"),
    ]


def plain(families: list[MetricFamily]) -> list[object]:
    """Return families in a form that compares."""
    return [
        (
            f.name,
            f.kind,
            f.help_text,
            f.labels,
            f.merge,
            dict(f.samples),
            {labels: (h.bounds, h.counts, h.sum) for labels, h in f.histograms.items()},
        )
        for f in families
    ]


def test_encoded_families_decode_unchanged() -> None:
    families = some(call(), call(model="other", status=500))

    assert plain(decode(encode(families))) == plain(families)


def test_nothing_written_is_no_family() -> None:
    assert decode(b"") == []


def test_two_processes_count_like_one_that_had_all_calls() -> None:
    one, other = [call(), call(status=401, outcome="refused")], [call(), call(key_name="phone")]
    sums = {f.name: f for f in merge_families([some(*one), decode(encode(some(*other)))])}
    expected = {f.name: f for f in some(*one, *other)}

    assert plain([sums[name] for name in expected if name != "open"]) == plain(
        [expected[name] for name in expected if name != "open"]
    )
    assert sums["open"].samples == {(): 4}


def test_what_is_the_same_in_each_is_not_added_up() -> None:
    (keys,) = [f for f in merge_families([some(), some()]) if f.name == "keys"]

    assert keys.samples == {("a",): 3}


def test_merging_does_not_change_the_inputs() -> None:
    part = [
        MetricFamily("h", "histogram", "", histograms={(): Histogram((1.0,))}, samples={(): 1.0})
    ]
    part[0].histograms[()].observe([0.5])
    merge_families([part, part])

    assert part[0].histograms[()].counts == [1, 0]
    assert part[0].samples == {(): 1.0}


def test_a_family_that_one_process_lacks_is_kept() -> None:
    assert [f.name for f in merge_families([[gauge("a", "", {})], [gauge("b", "", {})]])] == [
        "a",
        "b",
    ]


def test_counters_continue_and_gauges_do_not() -> None:
    kinds = {family.kind for family in without_gauges(some())}

    assert kinds == {"counter", "histogram"}
