"""docs/reliability.md, made from the matrix: ``python -m tests.faults.document`` writes it. IO."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from tests.faults import client_rows, upstream_rows
from tests.faults.api_rows import API_ROWS
from tests.faults.dialects import Surface
from tests.faults.elsewhere import ELSEWHERE
from tests.faults.inner_rows import INNER
from tests.faults.kinds import ClientKind, clients_of, sdk_class
from tests.faults.leaving_rows import LEAVINGS
from tests.faults.rows import ALL, OPENAI_STREAMS, STREAMS, Row, Sight
from tests.faults.session_rows import CLIENT_ROWS as CLIENT_SESSION_ROWS
from tests.faults.session_rows import ROWS as SESSION_ROWS

PATH: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_NAMES: Final[dict[Surface, str]] = {
    "chat": "chat streams",
    "whole": "whole answers",
    "responses": "Responses streams",
    "gemini": "Gemini streams",
}
_GROUPS: Final[dict[frozenset[Surface], str]] = {
    frozenset(ALL): "",
    frozenset(STREAMS): "streams",
    frozenset(OPENAI_STREAMS): "OpenAI streams",
    frozenset(("chat", "whole", "responses")): "OpenAI",
}
_INTRO: Final = """\
# What happens when something breaks

[README](../README.md) · [Streams](streams.md) · [Errors](errors.md)

`python -m tools.docs` writes this page from the data of the tests, and a test compares it.

## The promise

A streamed answer ends in one of two ways, and clients can tell them apart:

- It is complete: every event that the upstream sent has arrived, in order and unchanged \
(translated, for Gemini), and then the end mark: `[DONE]`, `response.completed` or \
`message_stop`. Google's API has a finish reason only.
- It is incomplete, and the client gets an error: a status of 400 or above if only heartbeats \
were sent before, otherwise an error event as the last one, with a code and without `[DONE]` \
(on `/v1/responses`, `response.failed` follows it). \
OpenAI's, Anthropic's and Google's SDKs raise both as exceptions; each API has the error in its \
own form.

If the proxy cannot send the error event either, it aborts the connection in a way that HTTP \
clients report as an error.
Never: an answer that ends early and looks complete, an end that the upstream did not send, or \
half an event.
(If only the end mark is missing after a finish reason, the proxy adds it: that answer was \
complete.)

No answer is another call's, whatever an upstream sends before, within, after or between answers: \
bytes that no request asked for cost the upstream its connection.
A request is sent again only if its connection came from the pool and ended before a single byte \
of an answer, interim answers included; then once. Uploads are never sent again.
An upload that the upstream refuses early gets the upstream's answer.

Not promised: that a broken answer continues, or that a failed call costs nothing at the upstream.

## How it is tested

For each row a scripted upstream or client on raw sockets plays the fault against a real proxy, on \
loopback.
Upstream faults are played on chat streams, buffered chat answers, Responses streams and Gemini \
chat streams, where they can occur.
Four clients see each of them: OpenAI's SDK for Python with and without asyncio, OpenAI's SDK for \
Node.js (where Node is installed), and a raw socket that compares bytes.
The SDKs must raise the right class of exception with the right `code`; the raw client must see \
whole events, one end, and no key, address or traceback of the proxy's side.
Anthropic's and Google's SDKs for Python and Node.js see the main faults of each kind, on streams \
that are relayed and on streams that are translated.
The tests also count the requests that reach the upstream.
`tests/faults/test_every_call.py` plays the network's faults on forms, uploads and unread calls \
too, and through an outbound proxy; `test_other_calls.py` and `test_media_calls.py` beside it on \
sound, pictures, texts and client secrets, relayed and on Gemini.
`tests/upstream_client/test_every_kind.py` plays each test of the connection on every kind of \
call, with and without TLS and outbound proxies, on both event loops.
Time limits are scaled down from minutes to tenths of a second.

The tables below show one fault at a time.
These programs go further; the suite runs them briefly. Each prints its figures and fails beyond \
its limits:

- Random faults, many at once: `python -m tests.soak --streams 100000 --seed 1`.
- Thousands of streams for minutes, and what each costs: \
`python -m tests.support.load_scenarios hold --streams 2000 --minutes 10`.
- Sessions of `/v1/realtime` that end in every way, for minutes: \
`python -m tests.realtime_soak --sockets 500 --seconds 600`.
- Clients that do not read, and their effect on others: \
`python -m tests.support.load_scenarios slow`.
- Any bytes into every parser and translator: `python -m tests.fuzz --seconds 600`.
- Requests counted at the upstream over 5,000 faults, uploads refused while they are sent, and \
open files after 10,000 calls: `JARVIS_TEST_FAULTS=625 JARVIS_TEST_UPLOADS=75 \
JARVIS_TEST_CALLS=1250 ./start.sh test tests/upstream_client`.
- Restarts and drains: `JARVIS_TEST_DRAINS=50 JARVIS_TEST_RESTARTS=20 \
./start.sh test tests/test_lifecycle.py`.

A machine that is gone is played by dropping all that comes for its end of a session.
What needs a network of several machines (packet loss) is not tested.

The last column names the test: `./start.sh test tests/faults -k reset-in-event`.
"""
_APIS: Final = """\
### The Messages API and Google's API

These are Anthropic's SDKs and Google's, each for Python and for Node.js, with their exceptions.
They see the same of relayed streams and of those that are translated from a chat service's, from \
Gemini's (Messages) and from Claude's (Google), where the table does not say otherwise.
Google's SDK for Node.js raises a plain `Error` if it reads the last frame and the error at once; \
the proxy waits a moment between the two.
"""
_KINDS: Final[dict[Surface, str]] = {
    "messages": "relayed",
    "messages-on-chat": "from chat",
    "messages-on-gemini": "from Gemini",
    "google": "relayed",
    "google-on-chat": "from chat",
    "google-on-claude": "from Claude",
}
_SDKS: Final[tuple[tuple[str, ClientKind], ...]] = (
    ("Anthropic, Python", "anthropic-python"),
    ("Anthropic, Node.js", "anthropic-node"),
    ("Google, Python", "google-python"),
    ("Google, Node.js", "google-node"),
)
_SESSIONS: Final = """\
## Sessions of `/v1/realtime`

OpenAI's SDK for Python with and without asyncio, the one for Node.js with its own WebSocket, and \
a raw socket see each fault of an upstream and of the proxy; the upstream's end is checked too.
A WebSocket of Node.js or of a browser does not show the status of a handshake that is refused.
`python -m tests.realtime_soak` plays all of these at once.
"""
_CLIENTS: Final = """\
## Clients at fault

The proxy refuses the request before it calls an upstream; one log line has status and code.
"""
_LEAVING: Final = """\
## Clients that leave

The call ends, the upstream's connection is closed at once, there is no retry, and the log has one \
line with status 499.
"""
_INNER: Final = """\
## The proxy itself

The error of a bug has the id under which the log shows its place; neither holds content.
"""
_ELSEWHERE: Final = """\
## In other tests

These need more than one upstream and one client.
"""


def render() -> str:
    """Return the page."""
    parts = [_INTRO, "## Upstreams at fault\n"]
    for title, rows in upstream_rows.GROUPS:
        parts += [f"### {title}\n", _table(_upstream_line(row) for row in rows)]
    parts += [_APIS, _sdk_table(), _CLIENTS]
    for title, faults in client_rows.GROUPS:
        lines = [(fault.fault, fault.sight.describe(), fault.name) for fault in faults]
        parts += [f"### {title}\n", _table(lines)]
    parts += [_LEAVING, _table((row.fault, "nothing: it is gone", row.name) for row in LEAVINGS)]
    parts += [_SESSIONS, _session_table()]
    parts += [_INNER, _table((row.fault, row.streamed.describe(), row.name) for row in INNER)]
    parts.append(_ELSEWHERE)
    for title, others in ELSEWHERE:
        lines = [(o.fault + ".", o.seen, f"{o.file}::{o.test}") for o in others]
        parts += [f"### {title}\n", _table(lines)]
    return "\n".join(parts)


def _table(lines: Iterable[Sequence[str]]) -> str:
    body = [f"| {fault} | {seen} | `{name}` |\n" for fault, seen, name in lines]
    return "".join(["| Fault | What the client sees | Test |\n", "|---|---|---|\n", *body])


def _upstream_line(row: Row) -> tuple[str, str, str]:
    by_sight: dict[str, list[Surface]] = {}
    for surface, (_, sight) in row.cases.items():
        by_sight.setdefault(sight.describe(), []).append(surface)
    seen = "; ".join(_where(surfaces, words) for words, surfaces in by_sight.items())
    return row.fault, seen, row.name


def _sdk_table() -> str:
    head = ["Fault", *(name for name, _ in _SDKS), "Test"]
    lines = [
        (row.fault, *(_seen_by(client, row) for _, client in _SDKS), f"`{row.name}`")
        for row in API_ROWS
    ]
    rule = "---".join("|" * (len(head) + 1))
    return "\n".join([_cells(head), rule, *map(_cells, lines), ""])


def _session_table() -> str:
    """Return the table of sessions: faults of upstreams and of the proxy, then those of clients."""
    lines = [(row.fault, row.sees.describe(), row.upstream, row.name) for row in SESSION_ROWS]
    lines += [(row.fault, row.sees, row.upstream, row.name) for row in CLIENT_SESSION_ROWS]
    body = [
        _cells((fault, seen, "–" if code is None else f"close {code}", f"`{name}`"))
        for fault, seen, code, name in lines
    ]
    head = ("Fault", "What the client sees", "What the upstream sees", "Test")
    return "\n".join([_cells(head), "|---|---|---|---|", *body, ""])


def _cells(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _seen_by(client: ClientKind, row: Row) -> str:
    by_words: dict[str, list[str]] = {}
    for surface, (_, sight) in row.cases.items():
        if client in clients_of(surface):
            by_words.setdefault(_raised(client, sight), []).append(_KINDS[surface])
    if len(by_words) == 1:
        return "".join(by_words)
    return "; ".join(f"{' and '.join(kinds)}: {words}" for words, kinds in by_words.items())


def _raised(client: ClientKind, sight: Sight) -> str:
    """Return what an SDK does, with the status where the exception has one of the API's."""
    if sight.code is None:
        return "the whole answer"
    status = "" if sight.status == 200 else f"{sight.status} "
    raised = f"`{sdk_class(sight, client)}` {status}`{sight.code}`"
    return f"{raised} behind a part" if sight.text else raised


def _where(surfaces: Sequence[Surface], words: str) -> str:
    place = _GROUPS.get(frozenset(surfaces))
    if place is None:
        place = " and ".join(_NAMES[surface] for surface in surfaces)
    return f"{place}: {words}" if place else words


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
