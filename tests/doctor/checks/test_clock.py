"""The clock, by the dates of answers."""

from email.utils import formatdate

import pytest

from jarvis_proxy.doctor.checks.clock import evaluate, skew
from jarvis_proxy.doctor.net.http_answer import HttpAnswer

NOW = 1_795_000_000.0


def answer(at: float, **headers: str) -> HttpAnswer:
    return HttpAnswer(200, {"date": formatdate(at, usegmt=True), **headers})


def test_the_skew_is_this_clock_less_the_other() -> None:
    assert skew(answer(NOW - 90), NOW) == 90
    assert skew(answer(NOW + 90), NOW) == -90


def test_what_a_cache_kept_is_older_by_its_age() -> None:
    assert skew(answer(NOW - 600, age="600"), NOW) == 0
    assert skew(answer(NOW - 600, age="soon"), NOW) == 600
    assert skew(answer(NOW - 600, age="9" * 400), NOW) == 600


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT"])
def test_an_answer_without_a_date_tells_nothing(date: str) -> None:
    assert skew(HttpAnswer(200, {"date": date}), NOW) is None
    assert skew(HttpAnswer(200, {}), NOW) is None


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [
        (0.0, "ok", "agrees with openai"),
        (29.9, "ok", "agrees"),
        (-29.9, "ok", "agrees"),
        (45.0, "warning", "45 s ahead of openai"),
        (-200.0, "warning", "3 min behind openai"),
        (-4000.0, "problem", "67 min behind openai"),
        (40_000.0, "problem", "11 h ahead of openai"),
        (-31_536_000.0, "problem", "365 days behind openai"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(seconds: float, status: str, words: str) -> None:
    found = evaluate(seconds, "openai")

    assert status == found.status
    assert words in found.detail
    assert bool(found.example) == (status != "ok")
