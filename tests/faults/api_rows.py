"""The faults that clients of the Messages API and of Google's API see, row by row. No IO.

Each kind of fault of network_rows.py and content_rows.py is here, on a stream that is relayed, and
on ones that are translated from a chat service's, from Gemini's and from Claude's. A status of 200
is that of a Messages stream whose error comes within it; Google's SDKs report the status that the
error itself names.
"""

from typing import Final

from tests.faults import scripts as play
from tests.faults.dialects import FIRST, TEXT, Surface
from tests.faults.rows import Address, Limits, Row, Sight
from tests.faults.scripts import Script, Step

MESSAGES: Final[tuple[Surface, ...]] = ("messages", "messages-on-chat", "messages-on-gemini")
GOOGLE: Final[tuple[Surface, ...]] = ("google", "google-on-chat", "google-on-claude")
_PAGE: Final = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
_BAD: Final = play.chunk(b"data: {oops}\n\n")

_Pair = tuple[Sight, Sight]
"""What clients of the Messages API see, and those of Google's."""
_WHOLE: Final[_Pair] = (Sight(finish="end_turn"), Sight(finish="STOP"))


def _row(
    name: str,
    fault: str,
    script: Script,
    sights: _Pair,
    *,
    translated: _Pair | None = None,
    native: _Pair | None = None,
    address: Address = "scripted",
    limits: Limits = "default",
    keys: int = 1,
    fresh: bool = False,
    retried: bool = False,
) -> Row:
    """Return a row.

    *translated* is what is seen where that is not what a relayed stream gives; *native* is what is
    seen of Gemini by clients of the Messages API, and of Claude by Google's, if that differs again.
    """
    pairs = (sights, translated or sights, native or translated or sights)
    cases: dict[Surface, tuple[Script, Sight]] = {}
    for (messages, google), on_messages, on_google in zip(pairs, MESSAGES, GOOGLE, strict=True):
        cases[on_messages] = (script, messages)
        cases[on_google] = (script, google)
    return Row(
        f"sdk-{name}",
        fault,
        cases,
        address=address,
        limits=limits,
        keys=keys,
        fresh=fresh,
        retried=retried,
    )


def _refused(
    status: int, kind: str, word: str, google: int = 0, *, calls: int = 1, sdk_calls: int = 1
) -> _Pair:
    """Return an error in place of an answer; *google* is its status there, if that differs."""
    return (
        Sight(status, kind, "", calls=calls, sdk_calls=sdk_calls),
        Sight(google or status, word, "", calls=calls),
    )


def _broken(kind: str, status: int, word: str, text: str = FIRST) -> _Pair:
    """Return an error behind *text*."""
    return Sight(200, kind, text), Sight(status, word, text)


_BAD_GATEWAY: Final = _refused(502, "api_error", "UNAVAILABLE")
_EMPTY: Final = Sight(502, "api_error", "", calls=2)
"""Gemini said nothing, twice."""
_LATE: Final = _refused(504, "timeout_error", "DEADLINE_EXCEEDED")
_CUT: Final = _broken("api_error", 502, "UNAVAILABLE")


def _cut(name: str, fault: str, *ending: Step) -> Row:
    return _row(name, fault, (play.head, play.events(0), *ending), _CUT)


_REACHING: Final = (
    _row(
        "refused-connection",
        "Nothing listens at the upstream's port.",
        (),
        _refused(502, "api_error", "UNAVAILABLE", calls=0, sdk_calls=0),
        address="closed port",
        retried=True,
    ),
    _row(
        "closed-without-answer",
        "A fresh connection is closed instead of an answer.",
        (play.fin,),
        _BAD_GATEWAY,
        fresh=True,
    ),
    _row(
        "reset-without-answer",
        "A fresh connection is reset instead of an answer.",
        (play.rst,),
        _BAD_GATEWAY,
        fresh=True,
    ),
)
_SILENCE: Final = (
    _row(
        "never-answers",
        "The upstream takes the request and never answers.",
        (play.hold,),
        _broken("timeout_error", 504, "DEADLINE_EXCEEDED", ""),
        limits="limits",
    ),
    _row(
        "never-answers-early",
        "The same, where the time limit comes before the first heartbeat.",
        (play.hold,),
        _LATE,
        limits="status",
    ),
    _row(
        "silent-in-the-middle",
        "The upstream falls silent in the middle of its answer.",
        (play.head, play.events(0), play.hold),
        _broken("timeout_error", 504, "DEADLINE_EXCEEDED"),
        limits="limits",
    ),
    _row(
        "long-thought",
        "Long pauses before and within an answer that does come.",
        (
            play.pause(0.5),
            play.head,
            play.events(0),
            play.part(1, 0.4),
            play.pause(0.5),
            play.later_part(1, 0.4),
            play.last_events,
        ),
        _WHOLE,
        limits="beats",
    ),
)
_CUTS: Final = (
    _cut("reset", "The connection is reset in the middle of a stream.", play.rst),
    _cut("fin", "The connection is closed in the middle of a stream, its end unsaid.", play.fin),
    _cut("reset-in-event", "The connection is reset inside an event.", play.part(1, 0.6), play.rst),
    _cut("clean-end", "The stream ends in good order, but without finish reason.", play.eof),
    _cut(
        "clean-end-in-event",
        "The stream ends in good order inside an event.",
        play.part(1, 0.6),
        play.eof,
    ),
    _row(
        "clean-end-at-once",
        "A stream of nothing.",
        (play.head, play.eof),
        _BAD_GATEWAY,
        native=(_EMPTY, _BAD_GATEWAY[1]),
        retried=True,
    ),
    _row(
        "no-last-chunk",
        "The connection is closed behind a complete answer, the body's end unsaid.",
        (play.head, play.everything, play.fin),
        _WHOLE,
        native=(Sight(200, "api_error", TEXT), _WHOLE[1]),
    ),
)
_CONTENT: Final = (
    _cut("bad-json", "An event is not JSON.", _BAD, play.hold),
    _row(
        "bad-json-first",
        "The first event is not JSON.",
        (play.head, _BAD, play.hold),
        _BAD_GATEWAY,
    ),
    _row("bytewise", "Every byte comes alone.", (play.bytewise,), _WHOLE),
    _row(
        "page-200",
        "A gateway's page in HTML with status 200.",
        (play.reply(200, _PAGE, "text/html"),),
        _BAD_GATEWAY,
    ),
    _row(
        "no-http",
        "The upstream does not speak HTTP.",
        (play.send(b"220 mail.example ESMTP\r\n\r\n"), play.hold),
        _BAD_GATEWAY,
    ),
)


def _status(
    status: int,
    kind: str,
    google: str,
    relayed: _Pair,
    translated: _Pair,
    native: _Pair | None = None,
) -> Row:
    return _row(
        f"status-{status}",
        f"Status {status}, again and again.",
        (play.refusal(status, kind, google),),
        relayed,
        translated=translated,
        native=native,
        retried=True,
    )


def _event(*ending: Step) -> Script:
    return (play.head, *ending, play.error_event(503, "overloaded_error", "UNAVAILABLE"), play.rest)


_BUSY: Final = _refused(429, "rate_limit_error", "RESOURCE_EXHAUSTED")
_FAILED: Final = _refused(500, "api_error", "INTERNAL", calls=2)
_OVERLOADED: Final = _refused(529, "overloaded_error", "UNAVAILABLE", 503, calls=2)
_ERRORS: Final = (
    _row(
        "error-event",
        "An error event in the middle of a stream.",
        _event(play.events(0), play.seen),
        _broken("overloaded_error", 503, "UNAVAILABLE"),
        translated=_CUT,
        native=_broken("overloaded_error", 503, "UNAVAILABLE"),
    ),
    _row(
        "first-event-503",
        "Status 200, but the first event says that the upstream is overloaded.",
        _event(),
        _OVERLOADED,
        translated=_refused(502, "api_error", "UNAVAILABLE", calls=2),
        native=_OVERLOADED,
        retried=True,
    ),
    _status(429, "rate_limit_error", "RESOURCE_EXHAUSTED", _BUSY, _BUSY),
    _status(
        500,
        "api_error",
        "INTERNAL",
        _FAILED,
        _FAILED,
        (_FAILED[0], Sight(502, "UNAVAILABLE", "", calls=2)),
    ),
    _status(
        503,
        "overloaded_error",
        "UNAVAILABLE",
        _refused(503, "overloaded_error", "UNAVAILABLE", calls=2),
        _OVERLOADED,
    ),
    _status(
        529,
        "overloaded_error",
        "UNAVAILABLE",
        _refused(529, "overloaded_error", "UNAVAILABLE", calls=2),
        _OVERLOADED,
    ),
    _row(
        "all-keys-refused",
        "Every key is refused: the proxy's fault, not the client's.",
        (play.refusal(401, "authentication_error", "UNAUTHENTICATED"),),
        _refused(502, "api_error", "UNAVAILABLE", calls=2, sdk_calls=2),
        keys=2,
        retried=True,
    ),
)
API_ROWS: Final[tuple[Row, ...]] = (*_REACHING, *_SILENCE, *_CUTS, *_CONTENT, *_ERRORS)
