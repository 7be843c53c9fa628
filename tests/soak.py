"""Many streams and other calls, with random faults: ``python -m tests.soak --minutes 10``. IO.

Each call's course follows from the seed and its number alone, so one that went wrong can be
played again: ``--only NUMBER``. The proxy runs in a process of its own.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests import soak_visits
from tests.conftest import BEARER
from tests.faults.dialects import Dialect, chat_event, event, gemini_event
from tests.faults.scripts import Stage
from tests.soak_visits import Visit, visit
from tests.support.measured_proxy import raise_file_limit, start
from tests.support.oracle import DONE, Outcome, outcome, same, translated
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

_SETTINGS: Final = {
    "IDLE_TIMEOUT": "3",
    "COMMIT_AFTER": "60",
    "HEARTBEAT_INTERVAL": "60",
    "UPSTREAMS": "early",
    "EARLY_API_KEY": "early-key-0123456789",
    "EARLY_MODELS": "early-*",
}
_UNTIL_IDLE: Final = 40.0
"""Seconds after which the proxy has closed its idle connections to upstreams."""
IDLE: Final = 3.0
"""Seconds of silence after which the proxy gives up, in this test."""
_LONGEST_PAUSE: Final = 0.02
_WORDS: Final = ("a", " bee", " é", " 日本", "\n", ' "q"', " \\", " 🦀", " data: x", "")
_MODEL: Final = re.compile(rb"(?:gpt|gemini)-soak-(\d+)")
_SDK: Final = {**BEARER, "x-stainless-retry-count": "0"}
"""The proxy does not try again for one that says that it does itself: a stream is played once."""


@dataclass
class Course:
    """One stream: the good answer, what the upstream does instead, and what may come of it."""

    number: int
    dialect: Dialect
    good: bytes
    pieces: list[bytes]
    fault: str
    pauses: list[float]

    @property
    def model(self) -> str:
        """The model that the client asks for."""
        family = "gemini" if self.dialect.surface == "gemini" else "gpt"
        return f"{family}-soak-{self.number}"

    def fits(self, seen: Outcome) -> bool:
        """Return whether *seen* is what must come of the course."""
        if self.fault in ("none", *_HARMLESS):
            return seen.kind == "complete"
        return seen.is_explicit or (self.fault in _MAYBE and seen.kind == "complete")


_HARMLESS: Final = ("two dones", "data after done", "reset after done", "held after done")
_MAYBE: Final = ("fin", "rst", "eof", "half event", "bad frame", "error event")
"""Behind the last event, or behind the finish reason, they do no harm."""
_FAULTS: Final = (*_MAYBE, "error first", "stall", *_HARMLESS)


def course_of(seed: int, number: int) -> Course:
    """Return the course of stream *number*: half of them have no fault."""
    rng = random.Random(f"{seed}:{number}")
    is_gemini = rng.random() < 0.5
    words = [rng.choice(_WORDS) for _ in range(rng.randint(0, 12))]
    if is_gemini:
        events = [gemini_event(word) for word in words] + [gemini_event("end", "STOP")]
    else:
        events = [chat_event(word) for word in words] + [chat_event(None, "stop"), DONE]
    fault = rng.choice(_FAULTS) if rng.random() < 0.5 else "none"
    if is_gemini and fault in _HARMLESS:
        fault = "rst"
    good = b"".join(events)
    sent = _spoil(rng, fault, events)
    dialect = Dialect("gemini" if is_gemini else "chat", "/v1/chat/completions", (b"", b"", b""))
    pieces = _cut(rng, sent)
    slow = rng.random() < 0.3
    pauses = [rng.uniform(0, _LONGEST_PAUSE) if slow else 0.0 for _ in pieces]
    return Course(number, dialect, good, pieces, fault, pauses)


def _spoil(rng: random.Random, fault: str, events: list[bytes]) -> bytes:
    good, at = b"".join(events), rng.randrange(len(events))
    error = event({"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}})
    match fault:
        case "fin" | "rst" | "eof" | "stall":
            # A stall is one only while something is still to come.
            return good[: rng.randrange(len(good) - (30 if fault == "stall" else 0))]
        case "half event":
            return b"".join(events[:at]) + events[at][: rng.randrange(1, len(events[at]))]
        case "bad frame":
            return b"".join(events[:at]) + b'data: {"choices":[}\n\n' + b"".join(events[at:])
        case "error event":
            return b"".join(events[:at]) + error + b"".join(events[at:])
        case "error first":
            return error
        case "two dones":
            return good + DONE
        case "data after done":
            return good + chat_event("late") + error
    return good


def _cut(rng: random.Random, data: bytes) -> list[bytes]:
    """Cut *data* anywhere: through lines, events and characters."""
    if not data:
        return []  # an empty chunk would be the last one: the body's end, where none is meant
    if rng.random() < 0.3:
        return [data]
    marks = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 8)))
    return [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True) if a != b]


@dataclass
class Report:
    """What came of all streams."""

    seed: int
    streams: int = 0
    faultless: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    left: str = ""
    errors: int = 0
    """Lines of errors of its own in the proxy's log."""
    files: int = 0
    """Descriptors that the proxy has more than before, a while after the last call."""

    def note_visit(self, one: Visit, seen: Outcome) -> None:
        """Count one call of another kind."""
        self.streams += 1
        self.outcomes[f"{one.kind}: {seen.kind} {seen.code}".rstrip()] += 1
        if seen.kind in ("cut", "wrong"):
            self.wrong.append(f"call {one.number} ({one.kind}): {seen}")

    def note(self, course: Course, seen: Outcome) -> None:
        """Count one stream."""
        self.streams += 1
        self.faultless += course.fault == "none"
        self.outcomes[f"{course.fault}: {seen.kind} {seen.code}".rstrip()] += 1
        if not course.fits(seen):
            self.wrong.append(f"stream {course.number} ({course.fault}): {seen}")

    def __str__(self) -> str:
        lines = [f"  {count:7} {name}" for name, count in sorted(self.outcomes.items())]
        head = (
            f"seed {self.seed}: {self.streams} calls, {self.faultless} streams without a fault, "
            f"{self.seconds:.1f} s, {len(self.wrong)} wrong, {self.errors} errors in the log, "
            f"{self.files} descriptors left; {self.left}"
        )
        return "\n".join([head, *lines, *self.wrong[:20]])


class Upstream:
    """Plays each stream's course, found by its number in the model's name."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.raw = RawUpstream(self._play)

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[],"models":[]}')
            return
        if await soak_visits.answer(self._seed, peer, request):
            return
        found = _MODEL.search(request.path.encode() + request.body)
        assert found is not None
        course = course_of(self._seed, int(found[1]))
        stage = Stage(peer, course.dialect)
        await peer.head()
        for piece, pause in zip(course.pieces, course.pauses, strict=True):
            if pause:
                await asyncio.sleep(pause)
            await stage.chunk(piece)
        await self._end(peer, course)

    async def _end(self, peer: Peer, course: Course) -> None:
        match course.fault:
            case "fin":
                peer.close()
            case "rst" | "reset after done":
                peer.reset()
            case "stall" | "held after done":
                await peer.closed()
            case _:
                await peer.last_chunk()


async def play(port: int, course: Course) -> Outcome:
    """Ask for one stream and tell what came."""
    messages = [{"role": "user", "content": "Hi"}]
    request = {"model": course.model, "messages": messages, "stream": True}
    good = same(course.good)
    if course.dialect.surface == "gemini":
        good = translated(course.model, json.dumps(request).encode(), course.good)
    try:
        async with asyncio.timeout(60):
            response = await fetch(port, course.dialect.path, request, _SDK)
    except TimeoutError:  # before OSError, whose subclass it is
        return Outcome("wrong", why="no end in 60 seconds")
    except (OSError, asyncio.IncompleteReadError) as exc:
        return Outcome("cut", why=f"no answer: {type(exc).__name__}")
    return outcome(response, good)


async def soak(
    calls: int | None,
    seed: int,
    *,
    at_once: int = 200,
    only: int | None = None,
    seconds: float | None = None,
) -> Report:
    """Play so many calls, or for so many seconds, *at_once* at the same time."""
    report = Report(seed)
    numbers = itertools.count() if calls is None else iter(range(calls))
    if only is not None:
        numbers = iter([only])
    upstream = Upstream(seed).raw
    began = time.monotonic()

    async def work(port: int) -> None:
        for number in numbers:
            if seconds is not None and time.monotonic() - began > seconds:
                return
            one = visit(seed, number)
            if one is not None:
                report.note_visit(one, await soak_visits.play(port, one))
            else:
                stream = course_of(seed, number)
                report.note(stream, await play(port, stream))

    async with upstream.running(), soak_visits.early_upstream() as early:
        url = upstream.base_url
        async with start(openai=url, gemini=url, EARLY_BASE_URL=early, **_SETTINGS) as proxy:
            before = await proxy.measure()
            await asyncio.gather(*(work(proxy.port) for _ in range(at_once)))
            report.seconds = time.monotonic() - began
            after = await proxy.unchanged(before, _UNTIL_IDLE)
            report.errors, report.files = after.errors, after.files - before.files
            report.left = f"RSS {before.rss >> 20} to {after.rss >> 20} MiB"
    return report


def main() -> int:
    """Run the command; 1 if something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, help="how many, where no minutes are given")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--only", type=int, help="play this call alone")
    given = parser.parse_args()
    raise_file_limit()
    seconds = None if given.minutes is None else given.minutes * 60
    calls = given.calls or (100_000 if seconds is None else None)
    run = soak(calls, given.seed, at_once=given.at_once, only=given.only, seconds=seconds)
    report = asyncio.run(run)
    sys.stdout.write(f"{report}\n")
    return 1 if report.wrong or report.errors or report.files > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
