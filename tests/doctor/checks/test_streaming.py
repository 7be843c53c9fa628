"""What a stream, as it arrived, tells."""

import json

import pytest

from jarvis_proxy.doctor.checks.stream_timing import PACE
from jarvis_proxy.doctor.checks.streaming import (
    TEXT,
    WORDS,
    StreamTimeline,
    evaluate_refusal,
    evaluate_stream,
    request_body,
)
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.sse import DONE
from jarvis_proxy.upstreams import echo

EVENTS = echo.reply(request_body(stream=True), reply_id="x", created=0).pieces
STREAM = {"content-type": "text/event-stream"}
NGINX = {**STREAM, "server": "nginx"}


def arrived(*pieces: tuple[float, bytes]) -> StreamTimeline:
    arrivals = StreamTimeline()
    for at, data in pieces:
        arrivals.take(at, data)
    return arrivals


def paced() -> StreamTimeline:
    return arrived(*((number * PACE, event) for number, event in enumerate(EVENTS)))


def at_once() -> StreamTimeline:
    return arrived((1.3, b"".join(EVENTS)))


def bunched() -> StreamTimeline:
    """Return a stream that left a buffer of ten events."""
    return arrived(
        *((start * PACE + 1, b"".join(EVENTS[start : start + 10])) for start in range(0, 43, 10))
    )


def test_the_words_come_back_whole() -> None:
    arrivals = paced()

    assert (arrivals.text, arrivals.whole, arrivals.pacing.kind) == (TEXT, True, "paced")
    assert len(arrivals.times) == WORDS
    assert at_once().pacing.kind == "held"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_events_may_be_cut_anywhere(size: int) -> None:
    data = b"".join(EVENTS)
    pieces = ((0.0, data[at : at + size]) for at in range(0, len(data), size))

    assert arrived(*pieces).whole


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"".join(EVENTS[:10]), "it broke off after 9 of 40 words"),
        (b"", "it broke off after 0 of 40 words"),
        (b"".join(EVENTS[:10]) + DONE, "the words that came are not those that were sent"),
        (EVENTS[0] + b'data: {"error":{"code":"x"}}\n\n', "an error, or something"),
        (b"data: <html>\n\n", "an error, or something"),
        (b"data: [1]\n\n", "an error, or something"),
        (b": keepalive\n\n" + EVENTS[1], "it broke off after 1 of 40 words"),
    ],
    ids=["cut", "empty", "other words", "error event", "page", "array", "comment"],
)
def test_a_stream_that_is_not_whole_is_a_problem(data: bytes, words: str) -> None:
    found = evaluate_stream(HttpAnswer(200, NGINX), arrived((0.1, data)), here=False)

    assert found.status == "problem"
    assert words in found.detail
    assert "nginx" in found.advice


def test_an_event_without_end_is_a_fault() -> None:
    arrivals = StreamTimeline()
    arrivals.take(0.0, b"data: " + b"x" * (33 * 1024 * 1024))

    assert arrivals.failed


def test_a_paced_stream_is_well_and_names_who_let_it_through() -> None:
    direct = evaluate_stream(HttpAnswer(200, STREAM), paced(), here=True)
    through = evaluate_stream(HttpAnswer(200, NGINX), paced(), here=False)

    assert (direct.status, through.status) == ("ok", "ok")
    assert direct.detail == "40 events came one by one over 1.2 s"
    assert through.detail.endswith(", through nginx")


def test_compression_is_a_warning_even_where_it_holds_nothing_back() -> None:
    found = evaluate_stream(
        HttpAnswer(200, {**NGINX, "content-encoding": "gzip"}), paced(), here=False
    )

    assert found.status == "warning"
    assert "nginx compresses them (gzip)" in found.detail


@pytest.mark.parametrize(
    ("headers", "name", "example"),
    [
        (NGINX, "nginx holds streams back", "proxy_buffering off;"),
        ({**STREAM, "cf-ray": "1"}, "Cloudflare holds streams back", ""),
        ({**NGINX, "cf-ray": "1"}, "Cloudflare and nginx holds", "proxy_buffering off;"),
        (STREAM, "something on the way that does not name itself holds", ""),
        ({**STREAM, "server": "Own/1"}, "Own/1 holds streams back", ""),
    ],
)
def test_a_buffer_is_found_and_named(headers: dict[str, str], name: str, example: str) -> None:
    found = evaluate_stream(HttpAnswer(200, headers), at_once(), here=False)

    assert found.status == "problem"
    assert found.detail.startswith("40 events came all at once after 1.3 s: ")
    assert name in found.detail
    assert example in found.example
    assert found.advice


def test_advice_for_two_hops_says_whose_it_is() -> None:
    found = evaluate_stream(HttpAnswer(200, {**NGINX, "cf-ray": "1"}), at_once(), here=False)

    assert "Cloudflare: " in found.advice
    assert " nginx: Set proxy_http_version 1.1" in found.advice


def test_a_small_buffer_is_found_by_its_bursts() -> None:
    found = evaluate_stream(HttpAnswer(200, NGINX), bunched(), here=False)

    assert found.detail.startswith("40 events came in 5 bursts: nginx holds")


def test_nobody_is_accused_where_nobody_is_in_between() -> None:
    found = evaluate_stream(HttpAnswer(200, STREAM), at_once(), here=True)

    assert found.status == "warning"
    assert "very busy" in found.advice


@pytest.mark.parametrize(
    ("answer", "body", "detail", "advice"),
    [
        (
            HttpAnswer(404, NGINX),
            b"<html>",
            "no stream, but 404 (text/event-stream)",
            "Does nginx pass on",
        ),
        (HttpAnswer(405, {}), b"", "no stream, but 405 (no type)", "every path below it"),
        (
            HttpAnswer(503, {}),
            b'{"error":{"code":"server_shutdown"}}',
            "no stream, but 503 server_shutdown",
            "log",
        ),
        (
            HttpAnswer(200, {"content-type": "text/html"}),
            b"",
            "no stream, but 200 (text/html)",
            "log",
        ),
    ],
)
def test_what_is_no_stream_is_told(
    answer: HttpAnswer, body: bytes, detail: str, advice: str
) -> None:
    found = evaluate_refusal(answer, body)

    assert found.detail == detail
    assert advice in found.advice


def test_a_padded_request_has_the_size_that_was_asked_for() -> None:
    body = request_body(stream=False, padding=1000)

    assert len(body) > 1000
    assert json.loads(body)["stream"] is False
