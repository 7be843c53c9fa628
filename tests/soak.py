"""Many streams with random faults: ``python -m tests.soak --streams 100000 --seed 1``. IO.

Each stream's course follows from the seed and its number alone, so one that went wrong can be
played again: ``--only NUMBER``. The proxy runs in a process of its own.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.conftest import BEARER
from tests.faults.dialects import Dialect, chat_event, event, gemini_event
from tests.faults.scripts import Stage
from tests.measured_proxy import raise_file_limit, start
from tests.oracle import DONE, Outcome, outcome, same, translated
from tests.raw_client import fetch
from tests.raw_upstream import Peer, RawUpstream, Received

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
        """Tell whether *seen* is what must come of the course."""
        if self.fault in ("none", *_HARMLESS):
            return seen.kind == "complete"
        return seen.is_explicit or (self.fault in _MAYBE and seen.kind == "complete")


_HARMLESS: Final = ("two dones", "data after done", "reset after done", "held after done")
_MAYBE: Final = ("fin", "rst", "eof", "half event")
"""Cuts: one behind the last event does no harm."""
_FAULTS: Final = (*_MAYBE, "bad frame", "error event", "error first", "stall", *_HARMLESS)


def course(seed: int, number: int) -> Course:
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
            f"seed {self.seed}: {self.streams} streams, {self.faultless} without a fault, "
            f"{self.seconds:.1f} s, {len(self.wrong)} wrong; {self.left}"
        )
        return "\n".join([head, *lines, *self.wrong[:20]])


class Upstream:
    """Plays each stream's course, found by its number in the model's name."""

    def __init__(self, find: Callable[[int], Course]) -> None:
        self._find = find
        self.raw = RawUpstream(self._play)

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[],"models":[]}')
            return
        found = _MODEL.search(request.path.encode() + request.body)
        assert found is not None
        course = self._find(int(found[1]))
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


async def soak(streams: int, seed: int, *, at_once: int = 200, only: int | None = None) -> Report:
    """Play so many streams, *at_once* at the same time."""
    report = Report(seed)
    numbers = iter(range(streams) if only is None else [only])
    upstream = Upstream(lambda number: course(seed, number))
    url = upstream.raw
    began = time.monotonic()

    async def work(port: int) -> None:
        for number in numbers:
            one = course(seed, number)
            report.note(one, await play(port, one))

    settings = {"IDLE_TIMEOUT": str(IDLE), "COMMIT_AFTER": "60", "HEARTBEAT_INTERVAL": "60"}
    async with url.running(), start(openai=url.base_url, gemini=url.base_url, **settings) as proxy:
        before = await proxy.measure()
        await asyncio.gather(*(work(proxy.port) for _ in range(at_once)))
        after = await proxy.settled()
        report.left = f"RSS {before.rss >> 20} to {after.rss >> 20} MiB"
    report.seconds = time.monotonic() - began
    return report


def main() -> int:
    """Run the command; 1 if a stream went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--only", type=int, help="play this stream alone")
    given = parser.parse_args()
    raise_file_limit()
    report = asyncio.run(soak(given.streams, given.seed, at_once=given.at_once, only=given.only))
    sys.stdout.write(f"{report}\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
