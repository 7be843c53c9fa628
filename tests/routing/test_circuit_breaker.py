"""Circuit breakers: whose calls are held off, for which model, and for how long."""

from collections.abc import Iterable

import pytest

from jarvis_proxy.routing.circuit_breaker import CallPermit, CircuitBreaker, CircuitBreakers

A, B, C = "alice", "bob", "carol"
MODEL, OTHER = "m", "other"


def fail(breaker: CircuitBreaker, clients: Iterable[str], now: float = 0.0) -> None:
    for client in clients:
        breaker.failed(client, now)


def ticket(
    breakers: CircuitBreakers, client: str = A, model: str = MODEL, now: float = 0.0
) -> CallPermit:
    found = breakers.allow(model, client, now)
    assert isinstance(found, CallPermit)
    return found


def test_five_failures_in_ten_seconds_hold_a_client_off() -> None:
    breaker = CircuitBreaker()
    for moment in range(4):
        breaker.failed(A, float(moment))
    assert breaker.seconds_until_allowed(A, 4.0) is None
    breaker.failed(A, 4.0)

    assert breaker.is_open(4.0)
    assert breaker.seconds_until_allowed(A, 5.0) == 9.0


def test_slow_failures_and_good_answers_hold_no_one_off() -> None:
    slow, mixed = CircuitBreaker(), CircuitBreaker()
    for moment in range(0, 100, 5):
        slow.failed(A, float(moment))
    for moment in range(20):
        mixed.failed(A, float(moment))
        if moment % 4 == 3:
            mixed.succeeded()

    assert not slow.is_open(100.0)
    assert not mixed.is_open(20.0)


@pytest.mark.parametrize(
    ("failed", "held"),
    [
        ((A,) * 50, {A}),
        ((A,) * 50 + (B,), {A}),
        ((A,) * 50 + (B, B), {A, B}),
        ((A, B, A, B, A), {A, B}),
        ((A, B, B, B), set()),
        ((A, B, C, A, B), {A, B, C}),
        ((A, B, A, B, A, C), {A, B, C}),
    ],
    ids=[
        "one",
        "one-and-a-stray-failure",
        "one-then-another",
        "two-in-turn",
        "four-are-too-few",
        "three",
        "a-third-after-two",
    ],
)
def test_circuit_opens_only_for_clients_whose_own_calls_failed(
    failed: tuple[str, ...], held: set[str]
) -> None:
    breaker = CircuitBreaker()
    fail(breaker, failed)

    assert {
        name for name in (A, B, C) if breaker.seconds_until_allowed(name, 1.0) is not None
    } == held


def test_what_no_request_can_cause_is_proven_by_one_client() -> None:
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.failed(A, 0.0, proven=True)
    assert breaker.seconds_until_allowed(B, 1.0) is None
    breaker.failed(B, 1.0, proven=True)

    assert breaker.seconds_until_allowed(B, 1.0) == 10.0


def test_old_failures_do_not_count_against_others() -> None:
    breaker = CircuitBreaker()
    fail(breaker, (A,) * 5)
    fail(breaker, (B, B), now=60.0)

    assert breaker.seconds_until_allowed(B, 60.0) is None


def test_an_answer_to_another_client_lets_all_in_again() -> None:
    breaker = CircuitBreaker()
    fail(breaker, (A, B, A, B, A))
    assert breaker.seconds_until_allowed(C, 1.0) is None
    assert not breaker.start_call(C)
    breaker.succeeded()

    assert breaker.seconds_until_allowed(A, 1.0) is None
    assert breaker.seconds_until_allowed(B, 1.0) is None


def test_one_call_probes_and_each_failure_doubles_the_pause() -> None:
    breaker = CircuitBreaker()
    fail(breaker, (A,) * 5)
    pauses = []
    now = 10.0
    for _ in range(5):
        assert breaker.seconds_until_allowed(A, now) is None
        assert breaker.start_call(A)
        assert breaker.seconds_until_allowed(A, now) == 1.0
        breaker.failed(A, now, is_probe=True)
        pause = breaker.seconds_until_allowed(A, now)
        assert pause is not None
        pauses.append(pause)
        now += pause

    assert pauses == [20.0, 40.0, 80.0, 120.0, 120.0]
    assert breaker.seconds_until_allowed(A, now) is None
    breaker.succeeded()
    assert not breaker.is_open(now)


def test_anothers_failed_probe_does_not_lengthen_ones_pause() -> None:
    breaker = CircuitBreaker()
    fail(breaker, (A, B, A, B, A))
    breaker.start_call(A)
    breaker.failed(A, 10.0, is_probe=True)

    assert breaker.seconds_until_allowed(A, 10.0) == 20.0
    assert breaker.seconds_until_allowed(B, 10.0) is None


def test_calls_from_before_do_not_lengthen_the_pause_nor_end_the_probe() -> None:
    breaker = CircuitBreaker()
    fail(breaker, (A,) * 50)
    assert breaker.seconds_until_allowed(A, 1.0) == 9.0
    assert breaker.start_call(A)
    breaker.failed(A, 10.5)

    assert breaker.seconds_until_allowed(A, 10.5) == 1.0


def test_a_probe_whose_client_left_leaves_room_for_the_next() -> None:
    breaker = CircuitBreaker()
    fail(breaker, (A,) * 5)
    breaker.start_call(A)
    breaker.abandoned(A)

    assert breaker.seconds_until_allowed(A, 10.0) is None


def test_circuit_opens_when_another_process_reports_it() -> None:
    breaker = CircuitBreaker()

    breaker.apply_remote(A, 50.0)
    breaker.apply_remote(A, 20.0)
    assert (breaker.seconds_until_allowed(A, 10.0), breaker.seconds_until_allowed(B, 10.0)) == (
        40.0,
        None,
    )
    breaker.apply_remote(A, 60.0)
    assert breaker.seconds_until_allowed(A, 10.0) == 50.0
    breaker.apply_remote("", None)
    assert breaker.seconds_until_allowed(A, 10.0) is None


def test_good_answer_is_reported_only_if_the_circuit_was_open() -> None:
    changes: list[tuple[str, float | None]] = []
    breaker = CircuitBreaker()
    breaker.on_change = lambda client, until: changes.append((client, until))

    breaker.succeeded()
    breaker.failed(A, 0.0)
    breaker.succeeded()
    assert changes == []

    fail(breaker, (A,) * 5)
    breaker.succeeded()
    assert changes == [(A, 10.0), ("", None)]


def test_answers_of_500_count_for_their_model_only() -> None:
    breakers = CircuitBreakers()
    for _ in range(5):
        ticket(breakers).failed(0.0)

    assert breakers.allow(MODEL, A, 1.0) == 9.0
    assert isinstance(breakers.allow(OTHER, A, 1.0), CallPermit)
    assert isinstance(breakers.allow(MODEL, B, 1.0), CallPermit)
    assert (breakers.is_upstream_open(1.0), breakers.open_models(1.0)) == (False, 1)


@pytest.mark.parametrize("kind", ["unreachable", "unanswered"])
def test_connect_failures_and_timeouts_count_for_the_upstream(kind: str) -> None:
    breakers = CircuitBreakers()
    for number in range(5):
        getattr(ticket(breakers, model=f"m{number}"), kind)(0.0)

    assert breakers.allow(OTHER, A, 1.0) == 9.0
    assert (breakers.is_upstream_open(1.0), breakers.open_models(1.0)) == (True, 0)


def test_an_answer_of_500_shows_that_the_upstream_is_reached() -> None:
    breakers = CircuitBreakers()
    for _ in range(5):
        ticket(breakers).unreachable(0.0)
    ticket(breakers, now=10.0).failed(10.0)

    assert isinstance(breakers.allow(MODEL, A, 11.0), CallPermit)


def test_a_good_answer_lets_upstream_and_model_be_asked_again() -> None:
    breakers = CircuitBreakers()
    changes: list[tuple[str, str, float | None]] = []
    breakers.on_change = lambda *what: changes.append(what)
    for _ in range(5):
        ticket(breakers).failed(0.0)
    probe = ticket(breakers, now=10.0)
    assert breakers.allow(MODEL, A, 10.0) == 1.0
    probe.answered()

    assert isinstance(breakers.allow(MODEL, A, 10.0), CallPermit)
    assert changes == [(MODEL, A, 10.0), (MODEL, "", None)]
    assert len(breakers) == 0


@pytest.mark.parametrize("kind", ["abandoned", "unreachable"])
def test_a_models_probe_without_a_result_leaves_it_to_the_next(kind: str) -> None:
    breakers = CircuitBreakers()
    for _ in range(5):
        ticket(breakers).failed(0.0)
    probe = ticket(breakers, now=10.0)
    getattr(probe, kind)(*(() if kind == "abandoned" else (10.0,)))

    assert isinstance(breakers.allow(MODEL, A, 10.0), CallPermit)


def test_a_failed_probe_of_the_upstream_doubles_its_pause() -> None:
    breakers = CircuitBreakers()
    for _ in range(5):
        ticket(breakers).unreachable(0.0)
    ticket(breakers, now=10.0).unreachable(10.0)

    assert breakers.allow(OTHER, A, 10.0) == 20.0


@pytest.mark.slow
def test_names_of_models_and_clients_do_not_pile_up() -> None:
    breakers = CircuitBreakers()
    for number in range(3000):
        ticket(breakers, model=f"m{number}").failed(0.0)
    assert len(breakers) <= 256


def test_of_many_clients_the_oldest_is_forgotten() -> None:
    breakers = CircuitBreakers()
    breakers.apply_remote(MODEL, A, 50.0)
    for number in range(255):
        breakers.apply_remote(MODEL, f"c{number}", 60.0)
    assert breakers.allow(MODEL, A, 1.0) == 49.0
    breakers.apply_remote(MODEL, "one more", 60.0)

    assert isinstance(breakers.allow(MODEL, A, 1.0), CallPermit)
    assert breakers.allow(MODEL, "c0", 1.0) == 59.0


def test_what_other_processes_say_is_taken_over() -> None:
    breakers = CircuitBreakers()
    breakers.apply_remote(MODEL, A, 50.0)
    breakers.apply_remote("", B, 50.0)
    found = [breakers.allow(model, name, 10.0) for model, name in ((MODEL, A), (OTHER, B))]
    breakers.apply_remote(MODEL, "", None)
    breakers.apply_remote("", "", None)

    assert found == [40.0, 40.0]
    assert isinstance(breakers.allow(MODEL, A, 10.0), CallPermit)
    assert isinstance(breakers.allow(MODEL, B, 10.0), CallPermit)
