"""What a stream, as it arrived, tells."""

import json
import random

import pytest

from jarvis_proxy.dialects.responses.writer import write_message
from jarvis_proxy.doctor.checks.streaming import (
    PACE,
    TEXT,
    WORDS,
    StreamTiming,
    evaluate_stream,
    request_body,
    seems_bunched,
)
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, TimedBytes
from jarvis_proxy.upstreams import echo
from jarvis_proxy.wire.sse import DONE

EVENTS = echo.reply(request_body(stream=True), reply_id="x", created=0, write=write_message).pieces
SENT = [number * PACE for number in range(WORDS)]
STREAM = {"content-type": "text/event-stream"}
NGINX = {**STREAM, "server": "nginx"}


ByteBuffer = list[TimedBytes]


def stream(pieces: ByteBuffer, headers: dict[str, str] = STREAM) -> HttpAnswer:
    return HttpAnswer(200, headers, b"", pieces)


def words_at(times: list[float]) -> ByteBuffer:
    """Return a stream whose words arrive at *times*."""
    moments = [times[0], *times, times[-1], times[-1]]
    return [TimedBytes(at, event) for at, event in zip(moments, EVENTS, strict=True)]


def paced() -> ByteBuffer:
    return words_at(SENT)


def at_once() -> ByteBuffer:
    return [TimedBytes(1.3, b"".join(EVENTS))]


def bunched() -> ByteBuffer:
    """Return the timeline of a stream that a hop buffers ten events at a time."""
    return [
        TimedBytes(start * PACE + 1, b"".join(EVENTS[start : start + 10]))
        for start in range(0, 43, 10)
    ]


def test_all_words_are_read() -> None:
    timing = StreamTiming(paced())

    assert (timing.text, timing.fault, timing.kind) == (TEXT, "", "paced")
    assert len(timing.times) == WORDS
    assert StreamTiming(at_once()).kind == "buffered"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_events_may_be_split_anywhere(size: int) -> None:
    data = b"".join(EVENTS)
    pieces = [TimedBytes(0.0, data[at : at + size]) for at in range(0, len(data), size)]

    assert StreamTiming(pieces).fault == ""


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"".join(EVENTS[:10]), "it broke off after 9 of 40 words"),
        (b"", "it broke off after 0 of 40 words"),
        (b"".join(EVENTS[:10]) + DONE, "the words that came are not those that were sent"),
        (EVENTS[0] + b'data: {"error":{"code":"x"}}\n\n', "an error, or something"),
        (b"data: <html>\n\n", "an error, or something"),
        (b"data: [1]\n\n", "an error, or something"),
        (b'data: {"choices":[{"delta":null}]}\n\n', "an error, or something"),
        (b'data: {"choices":{"a":1}}\n\n', "an error, or something"),
        (b'data: {"choices":[{}]}\n\n', "an error, or something"),
        (b": keepalive\n\n" + EVENTS[1], "it broke off after 1 of 40 words"),
    ],
    ids=[
        "cut",
        "empty",
        "other words",
        "error event",
        "page",
        "array",
        "no delta",
        "odd choices",
        "empty choice",
        "comment",
    ],
)
def test_incomplete_stream_is_a_problem(data: bytes, words: str) -> None:
    found = evaluate_stream(stream([TimedBytes(0.1, data)], NGINX), is_local=False)

    assert found.status == "problem"
    assert words in found.detail
    assert "nginx" in found.advice


def test_endless_event_is_an_error() -> None:
    pieces = [TimedBytes(0.0, b"data: " + b"x" * (33 * 1024 * 1024))]

    assert StreamTiming(pieces).fault == "error"


def test_paced_stream_is_ok_and_names_the_intermediary() -> None:
    direct = evaluate_stream(stream(paced(), STREAM), is_local=True)
    through = evaluate_stream(stream(paced(), NGINX), is_local=False)

    assert (direct.status, through.status) == ("ok", "ok")
    assert direct.detail == "40 events came one by one over 1.2 s"
    assert through.detail.endswith(", through nginx")


def test_compression_without_delay_is_a_warning() -> None:
    found = evaluate_stream(stream(paced(), {**NGINX, "content-encoding": "gzip"}), is_local=False)

    assert found.status == "warning"
    assert "nginx compresses them (gzip)" in found.detail


@pytest.mark.parametrize(
    ("headers", "name", "example"),
    [
        (NGINX, "nginx buffers streams", "proxy_buffering off;"),
        ({**STREAM, "cf-ray": "1"}, "Cloudflare buffers streams", ""),
        ({**NGINX, "cf-ray": "1"}, "Cloudflare and nginx buffers", "proxy_buffering off;"),
        (STREAM, "an unnamed server buffers", ""),
        ({**STREAM, "server": "Own/1"}, "Own/1 buffers streams", ""),
    ],
)
def test_buffering_intermediary_is_found_and_named(
    headers: dict[str, str], name: str, example: str
) -> None:
    found = evaluate_stream(stream(at_once(), headers), is_local=False)

    assert found.status == "problem"
    assert found.detail.startswith("40 events came all at once after 1.3 s: ")
    assert name in found.detail
    assert example in found.example
    assert found.advice


def test_advice_for_two_intermediaries_names_each() -> None:
    found = evaluate_stream(stream(at_once(), {**NGINX, "cf-ray": "1"}), is_local=False)

    assert "Cloudflare: " in found.advice
    assert " nginx: Set proxy_http_version 1.1" in found.advice


def test_small_buffer_is_found_by_its_bursts() -> None:
    found = evaluate_stream(stream(bunched(), NGINX), is_local=False)

    assert found.detail.startswith("40 events came in 5 bursts: nginx buffers")


def test_bursts_of_the_local_server_name_no_intermediary() -> None:
    found = evaluate_stream(stream(at_once(), STREAM), is_local=True)

    assert found.status == "warning"
    assert "very busy" in found.advice


@pytest.mark.parametrize(
    ("answer", "detail", "advice"),
    [
        (HttpAnswer(404, NGINX), "no stream, but 404 (text/event-stream)", "Does nginx pass on"),
        (HttpAnswer(405, {}), "no stream, but 405 (no type)", "every path below it"),
        (
            HttpAnswer(503, {}, b'{"error":{"code":"server_shutdown"}}'),
            "no stream, but 503 server_shutdown (no type)",
            "log",
        ),
        (
            HttpAnswer(200, {"content-type": "text/html"}),
            "no stream, but 200 (text/html)",
            "log",
        ),
    ],
)
def test_answer_that_is_no_stream_has_a_finding(
    answer: HttpAnswer, detail: str, advice: str
) -> None:
    found = evaluate_stream(answer, is_local=False)

    assert found.detail == detail
    assert advice in found.advice


def test_padded_request_has_the_requested_size() -> None:
    body = request_body(stream=False, padding=1000)

    assert len(body) > 1000
    assert json.loads(body)["stream"] is False


def timing(times: list[float]) -> StreamTiming:
    return StreamTiming(words_at(times))


def test_only_a_complete_bunched_stream_is_retried() -> None:
    assert seems_bunched(stream(bunched()))
    assert not seems_bunched(stream(bunched()[:-1]))
    assert not seems_bunched(stream(paced()))
    assert not seems_bunched(stream(at_once()))
    assert not seems_bunched(HttpAnswer(502, {}))


def released(times: list[float], every: float) -> list[float]:
    """Return when events arrive that a buffer lets go all *every* seconds."""
    return [every * (1 + time // every) for time in times]


def test_pace_equals_that_of_the_built_in_model() -> None:
    reply = echo.reply(request_body(stream=True), reply_id="x", created=0, write=write_message)

    assert reply.pace == PACE


def test_events_at_their_own_pace_are_paced() -> None:
    found = timing(SENT)

    assert (found.kind, len(found.times), found.bursts) == ("paced", WORDS, WORDS)
    assert found.span == pytest.approx(1.17)


def test_network_jitter_is_not_buffering() -> None:
    rng = random.Random(7)
    late = [time + rng.uniform(0, 0.02) for time in SENT]

    assert timing(sorted(late)).kind == "paced"


def test_one_pause_is_not_buffering() -> None:
    stalled = [max(time, 0.6) if 0.3 < time < 0.6 else time for time in SENT]

    assert timing(stalled).kind == "paced"


@pytest.mark.parametrize("every", [0.15, 0.2, 0.3])
def test_events_in_bursts_of_a_buffer_are_bunched(every: float) -> None:
    assert timing(released(SENT, every)).kind == "bunched"


@pytest.mark.parametrize(
    "arrivals",
    [
        [1.2] * WORDS,
        [1.2 + number * 0.0001 for number in range(WORDS)],
        [0.6] * 20 + [1.2] * 20,
        [1.0 + number * 0.006 for number in range(WORDS)],
    ],
    ids=["at once", "nearly at once", "two buffers", "as fast as a slow line"],
)
def test_events_in_one_burst_are_buffered(arrivals: list[float]) -> None:
    assert timing(arrivals).kind == "buffered"
