"""How a buffer on the way looks in the times of arrival."""

import random

import pytest

from jarvis_proxy.doctor.checks.stream_timing import PACE, evaluate
from jarvis_proxy.doctor.checks.streaming import request_body
from jarvis_proxy.upstreams import echo

WORDS = 40
SENT = [number * PACE for number in range(WORDS)]


def released(times: list[float], every: float) -> list[float]:
    """Return when events arrive that a buffer lets go all *every* seconds."""
    return [every * (1 + time // every) for time in times]


def test_the_pace_is_that_of_the_embedded_model() -> None:
    reply = echo.reply(request_body(stream=True), reply_id="x", created=0)

    assert reply.pace == PACE


def test_events_that_come_as_they_were_sent_are_paced() -> None:
    found = evaluate(SENT)

    assert (found.kind, found.events, found.bursts) == ("paced", WORDS, WORDS)
    assert found.span == pytest.approx(1.17)


def test_a_shaky_network_is_no_buffer() -> None:
    rng = random.Random(7)
    late = [time + rng.uniform(0, 0.02) for time in SENT]

    assert evaluate(sorted(late)).kind == "paced"


def test_one_pause_that_bunches_a_few_events_is_no_buffer() -> None:
    stalled = [max(time, 0.6) if 0.3 < time < 0.6 else time for time in SENT]

    assert evaluate(stalled).kind == "paced"


@pytest.mark.parametrize("every", [0.15, 0.2, 0.3])
def test_events_in_pieces_of_a_buffer_are_bunched(every: float) -> None:
    assert evaluate(released(SENT, every)).kind == "bunched"


@pytest.mark.parametrize(
    "arrivals",
    [
        [1.2] * WORDS,
        [1.2 + number * 0.0001 for number in range(WORDS)],
        [0.6] * 20 + [1.2] * 20,
        [1.0 + number * 0.006 for number in range(WORDS)],
        [1.2, 1.2],
    ],
    ids=["at once", "nearly at once", "two buffers", "as fast as a slow line", "two words"],
)
def test_events_that_come_together_are_held(arrivals: list[float]) -> None:
    assert evaluate(arrivals).kind == "held"
