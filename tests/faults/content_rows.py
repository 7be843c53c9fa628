"""What upstreams say instead of a good answer, or in the midst of one, row by row. No IO.

Where a row says nothing of a surface, the fault cannot happen there or is the same by another row.
"""

from typing import Final

from tests.faults import scripts as play
from tests.faults.dialects import FIRST, Surface, event, gemini_event
from tests.faults.rows import (
    ALL,
    OPENAI_STREAMS,
    STREAMS,
    WHOLE_ANSWER,
    Row,
    Sight,
    broken,
    on,
    refused,
)
from tests.faults.scripts import Script

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


CONTENT: Final = (
    Row(
        "bad-json",
        "An event is not JSON.",
        on(
            STREAMS,
            (play.head, play.events(0), play.chunk(b"data: {oops}\n\n"), play.hold),
            broken("upstream_bad_frame"),
        ),
    ),
    Row(
        "bad-json-first",
        "The first event is not JSON.",
        on(
            STREAMS,
            (play.head, play.chunk(b"data: {oops}\n\n"), play.hold),
            refused(502, "upstream_bad_frame"),
        ),
    ),
    Row("bytewise", "Every byte comes alone.", on(STREAMS, (play.bytewise,), WHOLE_ANSWER)),
    Row(
        "crlf",
        "Lines end in CRLF.",
        on(STREAMS, (play.line_ends(b"\r\n"),), Sight(as_sent=True)),
    ),
    Row("lf", "Lines end in LF.", on(STREAMS, (play.line_ends(b"\n"),), Sight(as_sent=True))),
    Row("cr", "Lines end in CR.", on(STREAMS, (play.line_ends(b"\r"),), Sight(as_sent=True))),
    Row(
        "odd-events",
        "A BOM, a comment, data over several lines, no space behind the colon.",
        on(STREAMS, (play.odd_events,), Sight(as_sent=True)),
    ),
    Row(
        "large-event",
        "An event of a megabyte.",
        on(STREAMS, (play.large(1024 * 1024),), Sight(as_sent=True)),
    ),
    Row(
        "endless-event",
        "An event that goes past 32 MiB.",
        on(STREAMS, (play.head, play.events(0), play.flood), broken("upstream_frame_too_large")),
        retried=True,
    ),
    Row(
        "pings",
        "`event: ping`, a bare `data:`, comments and `: ping` between events.",
        {
            **on(
                OPENAI_STREAMS,
                (play.decorated(b"event: ping", b"data:", b"event: ping\ndata: {}", b": ping"),),
                WHOLE_ANSWER,
            ),
            **on(_GEMINI, (play.decorated(b"event: ping\ndata: {}", b": ping"),), WHOLE_ANSWER),
        },
    ),
    Row(
        "ids",
        "`id:` and `retry:` lines in events.",
        on(STREAMS, (play.numbered(b"id: 7", b"retry: 3000"),), WHOLE_ANSWER),
    ),
    Row(
        "two-dones",
        "`[DONE]` twice.",
        on(_CHAT, (play.head, play.everything, play.end_mark, play.eof), WHOLE_ANSWER),
    ),
    Row(
        "data-after-end",
        "Data and an error come behind the end.",
        on(
            OPENAI_STREAMS,
            (
                play.head,
                play.everything,
                play.events(0),
                play.error_event(500, "late"),
                play.eof,
            ),
            WHOLE_ANSWER,
        ),
    ),
    Row(
        "held-after-end",
        "The connection stays open behind the end.",
        on(OPENAI_STREAMS, (play.head, play.everything, play.hold), WHOLE_ANSWER),
    ),
    Row(
        "reset-after-end",
        "The connection is reset behind the end.",
        on(OPENAI_STREAMS, (play.head, play.everything, play.rst), WHOLE_ANSWER),
    ),
)


def _ending(name: str, fault: str, last: bytes, sight: Sight) -> Row:
    steps: Script = (play.head, play.events(0), play.chunk(last), play.eof)
    return Row(name, fault, on(_GEMINI, steps, sight))


_BLOCKED = event({"promptFeedback": {"blockReason": "SAFETY"}})
_USAGE = event({"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}})
_TAIL = (
    b'\n{\n  "error": {\n    "code": 503,\n    "message": "no luck",\n'
    b'    "status": "UNAVAILABLE"\n  }\n}\n'
)
GEMINI_ENDS: Final = (
    _ending(
        "max-tokens",
        "Gemini's last frame says MAX_TOKENS and has no parts.",
        gemini_event(None, "MAX_TOKENS"),
        Sight(text=FIRST, finish="length"),
    ),
    _ending(
        "safety",
        "Gemini's last frame says SAFETY.",
        gemini_event(None, "SAFETY"),
        Sight(text=FIRST, finish="content_filter"),
    ),
    _ending(
        "unknown-reason",
        "Gemini's last frame gives a reason that nobody knows.",
        gemini_event(None, "BECAUSE"),
        Sight(text=FIRST),
    ),
    _ending(
        "usage-last",
        "Gemini sends a frame with nothing but usage behind its last one.",
        gemini_event(None, "STOP") + _USAGE,
        Sight(text=FIRST),
    ),
    _ending(
        "no-finish-reason",
        "Gemini's stream ends without a finish reason.",
        gemini_event("llo"),
        broken("upstream_truncated", "Héllo"),
    ),
    _ending(
        "raw-error-tail",
        "Gemini breaks off with a pretty-printed error that is no event.",
        _TAIL,
        broken("overloaded"),
    ),
    Row(
        "blocked-prompt",
        "Gemini blocks the prompt.",
        on(
            _GEMINI,
            (play.head, play.chunk(_BLOCKED), play.eof),
            Sight(text="", finish="content_filter"),
        ),
    ),
)


def _first_event(name: str, fault: str, status: int, code: str, google: str, **seen: Sight) -> Row:
    script: Script = (play.head, play.error_event(status, code, google), play.hold)
    sights = {"chat": seen["openai"], "responses": seen["openai"], "gemini": seen["gemini"]}
    return Row(name, fault, {s: (script, sight) for s, sight in sights.items()}, retried=True)  # type: ignore[misc]


ERRORS: Final = (
    _first_event(
        "first-event-429",
        "Status 200, but the first event says that the rate limit is reached.",
        429,
        "rate_limit_exceeded",
        "RESOURCE_EXHAUSTED",
        openai=refused(429, "rate_limit_exceeded"),
        gemini=refused(429, "rate_limit_exceeded"),
    ),
    _first_event(
        "first-event-503",
        "Status 200, but the first event says that the upstream is overloaded.",
        503,
        "overloaded",
        "UNAVAILABLE",
        openai=refused(503, "overloaded", calls=2, sdk_calls=1),
        gemini=refused(503, "overloaded", calls=2, sdk_calls=1),
    ),
    _first_event(
        "first-event-400",
        "Status 200, but the first event says that the prompt is too long.",
        400,
        "context_length_exceeded",
        "INVALID_ARGUMENT",
        openai=refused(400, "context_length_exceeded"),
        gemini=refused(400, "invalid_argument"),
    ),
    Row(
        "error-event",
        "An error event in the middle of a stream.",
        {
            **on(
                OPENAI_STREAMS,
                (
                    play.head,
                    play.events(0),
                    play.seen,
                    play.error_event(500, "its_own_code"),
                    play.rest,
                ),
                broken("its_own_code"),
            ),
            **on(
                _GEMINI,
                (
                    play.head,
                    play.events(0),
                    play.seen,
                    play.error_event(503, "", "UNAVAILABLE"),
                    play.rest,
                ),
                broken("overloaded"),
            ),
        },
    ),
    Row(
        "failed-response",
        "The Responses API ends with `response.failed`.",
        on(
            ("responses",),
            (play.head, play.events(0), play.failed_response, play.eof),
            Sight(text=FIRST, finish="failed", as_sent=True, words="that event, as it came"),
        ),
    ),
    Row(
        "rate-limit",
        "429 with a short `Retry-After`.",
        {
            **on(
                _OPENAI,
                (play.refusal(429, "rate_limit_exceeded", extra=("Retry-After: 7",)),),
                refused(429, "rate_limit_exceeded", None, retry_after="7"),
            ),
            **on(
                _GEMINI,
                (play.refusal(429, "", "RESOURCE_EXHAUSTED", _SECONDS),),
                refused(429, "rate_limit_exceeded", None, retry_after="7"),
            ),
        },
    ),
    Row(
        "quota-of-the-day",
        "429 that says to come back in two hours.",
        {
            **on(
                _OPENAI,
                (play.refusal(429, "insufficient_quota", extra=("Retry-After: 7200",)),),
                refused(429, "insufficient_quota", "false", retry_after="7200"),
            ),
            **on(
                _GEMINI,
                (play.refusal(429, "", "RESOURCE_EXHAUSTED", _HOURS),),
                refused(429, "rate_limit_exceeded", "false", retry_after=None),
            ),
        },
    ),
    *(
        Row(
            f"status-{status}",
            f"Status {status}, again and again.",
            {
                **on(
                    _OPENAI,
                    (play.refusal(status, "its_own_code"),),
                    refused(status, "its_own_code", calls=2, sdk_calls=1),
                ),
                **on(
                    _GEMINI,
                    (play.refusal(status, "", google),),
                    refused(seen, code, calls=2, sdk_calls=1),
                ),
            },
            retried=True,
        )
        for status, google, seen, code in (
            (500, "INTERNAL", 500, "internal_error"),
            (503, "UNAVAILABLE", 503, "overloaded"),
            (529, "UNAVAILABLE", 503, "overloaded"),
        )
    ),
    Row(
        "one-503",
        "Status 503 once, then an answer: only those who do not try again themselves are spared.",
        on(
            ALL,
            (play.in_turn((play.refusal(503, "its_own_code", "UNAVAILABLE"),), (play.good,)),),
            Sight(calls=3, sdk_calls=2),
        ),
        retried=True,
        times=2,
    ),
    Row(
        "breaker",
        "After five failures the circuit breaker of an upstream opens for a while.",
        {
            **on(
                _OPENAI,
                (play.refusal(500, "its_own_code", extra=("Retry-After: 0",)),),
                refused(503, "upstream_unavailable", calls=5, sdk_calls=5),
            ),
            **on(
                _GEMINI,
                (play.refusal(503, "", "UNAVAILABLE", _NOW),),
                refused(503, "upstream_unavailable", calls=5, sdk_calls=5),
            ),
        },
        retried=True,
        times=6,
    ),
    *(
        Row(
            f"one-key-{status}",
            f"One of two keys is refused with {status}.",
            on(
                ALL,
                (play.in_turn((play.refusal(status, "invalid_api_key", google),), (play.good,)),),
                Sight(calls=2),
            ),
            keys=2,
            retried=True,
        )
        for status, google in (
            (401, "UNAUTHENTICATED"),
            (403, "PERMISSION_DENIED"),
            (429, "RESOURCE_EXHAUSTED"),
        )
    ),
    Row(
        "all-keys-refused",
        "Every key is refused: the proxy's fault, not the client's.",
        on(
            ALL,
            (play.refusal(401, "invalid_api_key", "UNAUTHENTICATED"),),
            refused(502, "upstream_auth_failed", "false", calls=2),
        ),
        keys=2,
        retried=True,
    ),
    Row(
        "bad-request",
        "Status 400.",
        {
            **on(
                _OPENAI,
                (play.refusal(400, "unknown_parameter"),),
                refused(400, "unknown_parameter"),
            ),
            **on(
                _GEMINI,
                (play.refusal(400, "", "INVALID_ARGUMENT"),),
                refused(400, "invalid_argument"),
            ),
        },
    ),
    *(
        Row(
            f"page-{status}",
            f"A gateway's page in HTML with status {status}.",
            {
                **on(
                    _OPENAI,
                    (play.reply(status, _PAGE, "text/html"),),
                    refused(status, "upstream_bad_response", calls=2, sdk_calls=1),
                ),
                **on(
                    _GEMINI,
                    (play.reply(status, _PAGE, "text/html"),),
                    refused(502, "upstream_bad_response", calls=2, sdk_calls=1),
                ),
            },
            retried=True,
        )
        for status in (502, 520, 524)
    ),
    Row(
        "page-200",
        "A gateway's page in HTML with status 200.",
        on(ALL, (play.reply(200, _PAGE, "text/html"),), refused(502, "upstream_bad_response")),
    ),
    Row(
        "empty-200",
        "Status 200 with an empty body.",
        on(_OPENAI, (play.reply(200, b""),), refused(502, "upstream_bad_response")),
    ),
    Row(
        "xml-500",
        "An error page in XML.",
        on(
            _OPENAI,
            (play.reply(500, b"<Error/>", "application/xml"),),
            refused(500, "upstream_bad_response", calls=2, sdk_calls=1),
        ),
        retried=True,
    ),
    *(
        Row(
            f"redirect-{status}",
            f"A redirect with status {status}, which would carry key and prompt elsewhere.",
            on(
                ALL,
                (play.redirect(status),),
                refused(502, "upstream_redirect", "false"),
            ),
        )
        for status in (301, 302, 303, 307, 308)
    ),
    Row(
        "compressed-stream",
        "The stream is compressed although nobody asked for it.",
        on(
            STREAMS,
            (play.head_with("Content-Encoding: gzip"), play.gzipped(1.0), play.eof),
            WHOLE_ANSWER,
        ),
    ),
    Row(
        "cut-archive",
        "A compressed whole answer ends too early.",
        on(_WHOLE, (play.gzipped_reply(0.5),), refused(502, "upstream_truncated")),
    ),
)
