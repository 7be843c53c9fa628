"""The keys of an upstream: which is used next, and which rest."""

import pytest

from jarvis_proxy.routing.key_pool import KeyPool, Quarantine

REFUSED = Quarantine(900.0, for_all=True, proven=True)
A, B = "alice", "bob"


def test_keys_are_taken_in_turn() -> None:
    pool = KeyPool(["a", "b", "c"])

    assert [pool.pick("m", 0.0) for _ in range(4)] == [0, 1, 2, 0]


def test_a_single_key_is_used_however_it_failed() -> None:
    pool = KeyPool(["a"])
    pool.quarantine(0, "m", 0.0, REFUSED)

    assert pool.pick("m", 1.0) == 0
    assert pool.pick("m", 1.0, frozenset({0})) is None


def test_an_empty_pool_has_no_key() -> None:
    assert KeyPool([]).pick("m", 0.0) is None


def test_refused_key_is_quarantined_for_all_models() -> None:
    pool = KeyPool(["a", "b"])
    pool.quarantine(0, "m", 100.0, REFUSED)

    assert [pool.pick(model, 100.0 + at) for model, at in (("m", 1), ("n", 500), ("m", 899))] == [
        1,
        1,
        1,
    ]
    assert pool.quarantined(500.0) == 1
    assert {pool.pick("m", 1000.0), pool.pick("m", 1000.0)} == {0, 1}
    assert pool.quarantined(1000.0) == 0


@pytest.mark.parametrize(("asked", "rest"), [(7.0, 7.0), (86_400.0, 3600.0)])
def test_limited_key_is_quarantined_for_its_model_as_long_as_asked(
    asked: float, rest: float
) -> None:
    pool = KeyPool(["a", "b"])
    pool.quarantine(0, "m", 0.0, Quarantine(asked))

    assert [pool.pick("m", rest - 1), pool.pick("m", rest - 1)] == [1, 1]
    assert pool.quarantined(rest - 1) == 1
    assert {pool.pick("other", 1.0), pool.pick("other", 1.0)} == {0, 1}
    assert {pool.pick("m", rest), pool.pick("m", rest)} == {0, 1}


def test_with_all_in_quarantine_the_one_that_failed_longest_ago_is_used() -> None:
    pool = KeyPool(["a", "b", "c"])
    for index, moment in ((1, 1.0), (0, 2.0), (2, 3.0)):
        pool.quarantine(index, "m", moment, REFUSED)

    assert pool.pick("m", 4.0) == 1
    assert pool.pick("m", 4.0, frozenset({1})) is None


def test_keys_quarantined_by_one_client_stay_usable_for_another() -> None:
    pool = KeyPool(["a", "b", "c"])
    for index in range(3):
        pool.quarantine(index, "m", float(index), Quarantine(900.0), client=A)
    first = pool.pick("m", 5.0, client=B)
    assert first is not None
    second = pool.pick("m", 5.0, frozenset({first}), client=B)

    assert (first, second) == (0, 1)
    assert pool.pick("m", 5.0, frozenset({0}), client=A) is None


@pytest.mark.parametrize(
    ("rest", "client"),
    [(REFUSED, A), (Quarantine(900.0), B), (Quarantine(900.0), "")],
    ids=["proven", "met-by-both", "cause-unknown"],
)
def test_proven_quarantine_applies_to_all_clients(rest: Quarantine, client: str) -> None:
    pool = KeyPool(["a", "b"])
    pool.quarantine(1, "m", 0.0, Quarantine(900.0), client=A)
    pool.quarantine(1, "m", 1.0, rest, client=client)

    assert pool.pick("m", 2.0, frozenset({0}), client="carol") is None


def test_names_of_models_do_not_pile_up() -> None:
    pool = KeyPool(["a", "b"])
    for number in range(257):
        pool.quarantine(0, f"m{number}", 0.0, Quarantine(3600.0), client=A)

    assert [pool.pick(f"m{number}", 1.0, frozenset({1}), client=A) for number in (0, 1, 256)] == [
        0,  # the oldest quarantine has ended
        None,
        None,
    ]


def test_key_is_quarantined_when_another_process_reports_it() -> None:
    pool = KeyPool(("a", "b", "c"))

    pool.apply_remote(0, None, 50.0, 10.0)
    pool.apply_remote(0, None, 20.0, 10.0)
    pool.apply_remote(1, "m", 30.0, 10.0)
    pool.apply_remote(1, "m", 10.0, 10.0)

    assert pool.quarantined_for(10.0) == [40.0, 20.0, 0.0]
    assert pool.quarantined(10.0) == 2
    assert pool.pick("m", 10.0) == 2


def test_new_quarantine_is_reported() -> None:
    pool = KeyPool(("a", "b"))
    asked: list[tuple[int, str | None, float, str]] = []
    pool.on_change = lambda *rest: asked.append(rest)

    pool.quarantine(1, "m", 10.0, Quarantine(5.0), client=A)
    pool.quarantine(0, "m", 10.0, REFUSED, client=A)

    assert asked == [(1, "m", 15.0, A), (0, None, 910.0, "")]
