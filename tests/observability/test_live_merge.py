"""The dashboards of several workers: calls in one row, sums of all, nothing twice."""

from typing import Any

from jarvis_proxy.observability.live_merge import LAG, MergedLiveStats, decode_part, encode_part
from jarvis_proxy.observability.live_stats import KEPT_CALLS, LiveStats, WorkerSnapshot
from tests.observability.test_live_stats import NOW, call, failed, live


class Group:
    """A page of one worker, and the others whose parts it reads."""

    def __init__(self, own: LiveStats, *others: LiveStats) -> None:
        self.others = {f"worker {number}": other for number, other in enumerate(others)}
        self.own = own
        self.sums = MergedLiveStats(own, self.parts)

    def parts(self) -> list[WorkerSnapshot]:
        return [
            decode_part(encode_part(other.worker_snapshot(origin, NOW + 100)))
            for origin, other in self.others.items()
        ]


def test_calls_of_all_come_in_one_row_with_numbers_of_their_own() -> None:
    group = Group(live(call(NOW), call(NOW + 3)), live(call(NOW + 1), call(NOW + 2)))
    shown = group.sums.calls(0)

    assert [(c.n, c.at - 1.7e9 - NOW) for c in shown] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert group.sums.count == 4


def test_a_call_is_shown_once_however_often_the_parts_are_read() -> None:
    other = live(call(NOW))
    group = Group(live(), other)
    group.sums.calls(0)
    other.add(call(NOW + 1))
    group.own.add(call(NOW + 2))

    assert [c.n for c in group.sums.calls(1)] == [2, 3]
    assert group.sums.count == 3


def test_calls_of_a_worker_that_takes_anothers_place_are_new() -> None:
    group = Group(live(), live(call(NOW), call(NOW)))
    group.sums.calls(0)
    group.others = {"another": live(call(NOW + 1))}

    assert group.sums.count == 3


def test_the_last_calls_are_kept() -> None:
    group = Group(live(*(call(NOW) for _ in range(KEPT_CALLS))), live(call(NOW + 1)))

    assert [c.n for c in group.sums.calls(0, 2)] == [2, 3]


def test_seconds_are_added_up_and_late_by_what_others_need() -> None:
    group = Group(live(call(NOW), failed(ended=NOW + 1)), live(call(NOW), call(NOW + 9)))
    found = group.sums.seconds(0, NOW + 1 + LAG)

    assert [(s.t, s.calls, s.errors, s.prompt, s.completion) for s in found] == [
        (NOW, 2, 0, 20, 40)
    ]


def test_no_second_is_lost_or_repeated_between_reads() -> None:
    group = Group(live(*(call(NOW + n) for n in range(8))), live(call(NOW + 4)))
    found, last = [], int(NOW) - 1
    for tick in range(8 + LAG + 1):
        now = NOW + tick + 0.5
        found += group.sums.seconds(last, now)
        last = int(now) - 1

    assert [(s.t - NOW, s.calls) for s in found] == [(n, 2 if n == 4 else 1) for n in range(8)]


def test_totals_are_those_of_one_process_with_all_calls() -> None:
    one = [call(), failed(), call(model="slow", first_byte_sent_at=NOW - 0.5)]
    other = [call(key_name="phone"), failed(code="other")]
    group = Group(live(*one), live(*other))
    group.own.open["a"] = call()
    group.others["worker 0"].open["b"] = call(model="slow")
    alone = live(*one, *other)
    alone.open |= {"a": call(), "b": call(model="slow")}

    def named(sums: Any) -> Any:
        return {s.name: s for s in sums}

    mine, expected = group.sums.totals(NOW + 1), alone.totals(NOW + 1)
    assert mine.all == expected.all
    for kind in ("keys", "models", "upstreams"):
        assert named(getattr(mine, kind)) == named(getattr(expected, kind))
    assert sorted(mine.causes, key=repr) == sorted(expected.causes, key=repr)


def test_merging_does_not_change_the_inputs() -> None:
    group = Group(live(call()), live(call()))

    assert group.sums.totals(NOW) == group.sums.totals(NOW)
