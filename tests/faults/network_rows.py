"""The faults of the network between the proxy and an upstream, row by row. No IO.

Where a row says nothing of a surface, the fault cannot happen there or is the same by another row.
"""

from typing import Final

from tests.faults import scripts as play
from tests.faults.dialects import DONE, TEXT, Surface
from tests.faults.rows import (
    ALL,
    OPENAI_STREAMS,
    STREAMS,
    WHOLE_ANSWER,
    Address,
    Row,
    Sight,
    broken,
    on,
    refused,
)

_HALF_JSON: Final = b'{"id":"chatcmpl-1","choices":[{"index":0,"mess'
_PAGE: Final = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
_HOURS: Final = '{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7200s"}'
_SECONDS: Final = '{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}'
_NOW: Final = _SECONDS.replace("7s", "0s")
_OLD_HEAD: Final = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_WHOLE: Final[tuple[Surface, ...]] = ("whole",)
_CHAT: Final[tuple[Surface, ...]] = ("chat",)
_GEMINI: Final[tuple[Surface, ...]] = ("gemini",)
_OPENAI: Final[tuple[Surface, ...]] = ("chat", "whole", "responses")


def _unreachable(name: str, fault: str, address: Address, sight: Sight) -> Row:
    return Row(name, fault, on(ALL, (), sight), address=address, retried=True)


CONNECTING: Final = (
    _unreachable(
        "refused-connection",
        "Nothing listens at the upstream's port.",
        "closed port",
        refused(502, "upstream_connect_error", "true", calls=0),
    ),
    _unreachable(
        "black-hole",
        "The upstream's host swallows packets.",
        "swallows packets",
        refused(504, "upstream_connect_timeout", "true", calls=0),
    ),
    _unreachable(
        "unknown-name",
        "The upstream's name is not known to DNS.",
        "unknown name",
        refused(502, "upstream_dns_error", "true", calls=0),
    ),
    _unreachable(
        "name-hangs",
        "DNS never answers.",
        "name never resolves",
        refused(504, "upstream_connect_timeout", "true", calls=0),
    ),
    _unreachable(
        "expired-certificate",
        "The upstream's certificate has expired.",
        "expired certificate",
        refused(502, "upstream_tls_error", "false", calls=0),
    ),
    _unreachable(
        "wrong-certificate",
        "The upstream's certificate is for another host.",
        "wrong certificate",
        refused(502, "upstream_tls_error", "false", calls=0),
    ),
    _unreachable(
        "unknown-authority",
        "Nobody who is trusted has signed the upstream's certificate.",
        "unknown authority",
        refused(502, "upstream_tls_error", "false", calls=0),
    ),
    _unreachable(
        "old-tls",
        "The upstream speaks only a TLS that is too old.",
        "old TLS",
        refused(502, "upstream_tls_error", "true", calls=0),
    ),
    _unreachable(
        "cut-handshake",
        "The upstream hangs up during the TLS handshake.",
        "cut handshake",
        refused(502, "upstream_connect_error", "true", calls=0),
    ),
    Row(
        "stale-connection",
        "The pooled connection was closed while it was idle.",
        on(ALL, (play.good, play.rst), Sight(calls=3)),
        times=3,
    ),
    Row(
        "closed-without-answer",
        "A fresh connection is closed instead of an answer.",
        on(ALL, (play.fin,), refused(502, "upstream_disconnected")),
        fresh=True,
    ),
)

SILENCE: Final = (
    Row(
        "never-answers",
        "The upstream takes the request and never answers.",
        {
            **on(STREAMS, (play.hold,), broken("upstream_timeout", "", beats=True)),
            **on(_WHOLE, (play.hold,), refused(504, "upstream_timeout", "false")),
        },
        limits="limits",
    ),
    Row(
        "never-answers-early",
        "The same, where the time limit comes before the first heartbeat.",
        on(ALL, (play.hold,), refused(504, "upstream_timeout", "false")),
        limits="status",
    ),
    Row(
        "silent-after-head",
        "Status 200, then silence.",
        {
            **on(STREAMS, (play.head, play.hold), broken("upstream_idle_timeout", "", beats=True)),
            **on(
                _WHOLE,
                (play.head_with(content_type="application/json"), play.hold),
                refused(504, "upstream_idle_timeout", "false"),
            ),
        },
        limits="limits",
    ),
    Row(
        "silent-in-the-middle",
        "The upstream falls silent in the middle of its answer.",
        {
            **on(
                STREAMS,
                (play.head, play.events(0), play.hold),
                broken("upstream_idle_timeout", beats=True),
            ),
            **on(
                _WHOLE,
                (
                    play.head_with(content_type="application/json"),
                    play.chunk(_HALF_JSON),
                    play.hold,
                ),
                refused(504, "upstream_idle_timeout", "false"),
            ),
        },
        limits="limits",
    ),
    Row(
        "long-thought",
        "Long pauses before and within an answer that does come.",
        on(
            STREAMS,
            (
                play.pause(0.7),
                play.head,
                play.pause(0.5),
                play.events(0),
                play.part(1, 0.4),
                play.pause(0.7),
                play.later_part(1, 0.4),
                play.last_events,
            ),
            Sight(beats=True),
        ),
        limits="beats",
    ),
    Row(
        "endless-drip",
        "The upstream sends a little now and then, for ever.",
        on(STREAMS, (play.head, play.drip), broken("upstream_timeout", "…")),
        limits="total",
    ),
)

_CUT = broken("upstream_truncated")
_CUT_WHOLE = refused(502, "upstream_truncated")


def _cut(name: str, fault: str, *ending: play.Step) -> Row:
    return Row(name, fault, on(STREAMS, (play.head, play.events(0), *ending), _CUT))


CUTS: Final = (
    _cut("reset", "The connection is reset in the middle of a stream.", play.rst),
    _cut("fin", "The connection is closed in the middle of a stream, its end unsaid.", play.fin),
    _cut("reset-in-event", "The connection is reset inside an event.", play.part(1, 0.6), play.rst),
    _cut("fin-in-event", "The connection is closed inside an event.", play.part(1, 0.6), play.fin),
    _cut("clean-end", "The stream ends in good order, but without finish reason.", play.eof),
    _cut(
        "clean-end-in-event",
        "The stream ends in good order inside an event.",
        play.part(1, 0.6),
        play.eof,
    ),
    Row(
        "clean-end-at-once",
        "A stream of nothing.",
        {
            **on(OPENAI_STREAMS, (play.head, play.eof), refused(502, "upstream_truncated")),
            **on(
                _GEMINI, (play.head, play.eof), refused(502, "empty_response", calls=2, sdk_calls=2)
            ),
        },
        retried=True,
    ),
    Row(
        "no-done",
        "The end mark `[DONE]` is missing behind a finish reason.",
        on(_CHAT, (play.head, play.events(0, 1, 2), play.eof), WHOLE_ANSWER),
    ),
    Row(
        "done-too-early",
        "`[DONE]` comes in place of `response.completed`.",
        on(("responses",), (play.head, play.events(0), play.chunk(DONE), play.eof), _CUT),
    ),
    Row(
        "no-last-chunk",
        "The connection is closed behind a complete answer, the body's end unsaid.",
        {
            **on(OPENAI_STREAMS, (play.head, play.everything, play.fin), WHOLE_ANSWER),
            **on(
                _GEMINI, (play.head, play.everything, play.fin), broken("upstream_truncated", TEXT)
            ),
        },
    ),
    Row(
        "short-body",
        "A whole answer is shorter than its length says.",
        on(
            _WHOLE,
            (
                play.send(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 999\r\n\r\n{"
                ),
                play.fin,
            ),
            _CUT_WHOLE,
        ),
    ),
    Row(
        "cut-chunks",
        "A whole answer in chunks is cut before the last one.",
        on(
            _WHOLE,
            (play.head_with(content_type="application/json"), play.chunk(_HALF_JSON), play.rst),
            _CUT_WHOLE,
        ),
    ),
    Row(
        "chunk-size",
        "A chunk's size is no number.",
        {
            **on(
                STREAMS,
                (play.head, play.events(0), play.seen, play.send(b"zz\r\nnonsense\r\n"), play.hold),
                broken("upstream_truncated"),
            ),
            **on(
                _WHOLE,
                (
                    play.head_with(content_type="application/json"),
                    play.seen,
                    play.send(b"zz\r\nnonsense\r\n"),
                    play.hold,
                ),
                refused(502, "upstream_truncated"),
            ),
        },
    ),
)


def _head(name: str, fault: str, raw: bytes) -> Row:
    return Row(
        name, fault, on(ALL, (play.send(raw), play.hold), refused(502, "upstream_bad_response"))
    )


HEADS: Final = (
    _head("no-http", "The upstream does not speak HTTP.", b"220 mail.example ESMTP\r\n\r\n"),
    _head(
        "long-header",
        "A response header of 20 kB.",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
    ),
    _head(
        "many-headers",
        "Five hundred response headers.",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: a\r\n" * 500 + b"\r\n",
    ),
    Row(
        "hundred-continues",
        "A hundred interim responses before the answer.",
        on(ALL, (play.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100), play.good), WHOLE_ANSWER),
    ),
    Row(
        "http-1.0-cut",
        "An HTTP/1.0 stream, whose end is the connection's end, is cut.",
        on(
            STREAMS,
            (play.send(_OLD_HEAD), play.bare(0), play.fin),
            _CUT,
        ),
    ),
    Row(
        "http-1.0",
        "An HTTP/1.0 stream, whose end is the connection's end, is whole.",
        on(STREAMS, (play.send(_OLD_HEAD), play.bare(0, 1, 2), play.fin), WHOLE_ANSWER),
    ),
)
