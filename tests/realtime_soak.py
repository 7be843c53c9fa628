"""Many sessions that end in different ways: ``python -m tests.realtime_soak``. IO.

How a session goes follows from the seed and its number alone. The proxy runs in a process of its
own, whose memory and files are compared before and after.
"""

import argparse
import asyncio
import contextlib
import itertools
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.conftest import BEARER
from tests.support.measured_proxy import raise_file_limit, start
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.raw_websocket import BINARY, TEXT, RawSocket, Refused, accept, encode, opened

CLIENT_ENDS: Final = (
    "client closes",
    "client leaves",
    "client resets",
    "client breaks",
    "in a frame",
)
UPSTREAM_ENDS: Final = ("upstream closes", "upstream leaves", "upstream resets")
KINDS: Final = (*CLIENT_ENDS, *UPSTREAM_ENDS, "refused")
_NUMBER: Final = re.compile(r"course=(\d+)")
_PATIENCE: Final = 20.0
_SIZES: Final = (0, 1, 125, 126, 4000, 65535, 65536, 200_000)
_CODES: Final = (1000, 1001, 1008, 1011, 3000, 4999)
_SETTINGS: Final = {"MAX_BODY_MB": "1"}


@dataclass
class Course:
    """One session: messages that are sent back, then an end of one *kind*."""

    number: int
    kind: str
    sizes: list[int]
    pauses: list[float]
    code: int


@dataclass
class Report:
    """What came of all sessions. *slowest*: seconds from an end to the other side's knowing it."""

    sessions: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    files: int = 0
    tasks: int = 0
    growth: int = 0
    errors: int = 0


def course(seed: int, number: int) -> Course:
    """Return session *number* of a run."""
    chance = random.Random(f"{seed} {number}")
    count = chance.randrange(5)
    return Course(
        number,
        chance.choice(KINDS),
        [chance.choice(_SIZES) for _ in range(count)],
        [chance.random() * 0.02 for _ in range(count)],
        chance.choice(_CODES),
    )


class Soak:
    """A run: its courses, their upstream, and what came of them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.report = Report()
        self.upstream = RawUpstream(self._play)
        self._ended: dict[int, asyncio.Future[tuple[float, int | None]]] = {}
        self._at: dict[int, float] = {}

    async def _play(self, peer: Peer, request: Received) -> None:
        self.upstream.received.clear()
        found = _NUMBER.search(request.path)
        assert found is not None
        number = int(found[1])
        plan = course(self.seed, number)
        if plan.kind == "refused":
            await peer.reply(b"{}", 503)
            return
        socket = await accept(peer, request)
        for _ in plan.sizes:
            frame = await socket.receive()
            if frame is None:
                break
            await socket.send(frame.opcode, frame.data)
        if plan.kind in UPSTREAM_ENDS:
            await self._end_upstream(peer, socket, plan)
        else:
            code = (await socket.until_close())[1]
            self._ended[number].set_result((time.monotonic(), code))
            if code != -1:
                with contextlib.suppress(ConnectionError):
                    await socket.close(code or 1000)
        peer.close()

    async def _end_upstream(self, peer: Peer, socket: RawSocket, plan: Course) -> None:
        await socket.receive()  # the client has all that was sent: a reset takes it away
        self._at[plan.number] = time.monotonic()
        if plan.kind == "upstream closes":
            await socket.close(plan.code, b"why")
            await socket.until_close()
        elif plan.kind == "upstream leaves":
            peer.close()
        else:
            peer.reset()

    async def visit(self, port: int, number: int) -> None:
        """Play one session at the proxy on *port*."""
        plan = course(self.seed, number)
        loop = asyncio.get_running_loop()
        self._ended[number] = loop.create_future()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._visit(port, plan)
        except (AssertionError, ConnectionError, Refused, TimeoutError, ValueError) as exc:
            self.report.wrong.append(f"{number} {plan.kind}: {exc!r}")
        finally:
            del self._ended[number]
        self.report.sessions += 1
        self.report.kinds[plan.kind] += 1

    async def _visit(self, port: int, plan: Course) -> None:
        path = f"/v1/realtime?model=gpt-{plan.number}&course={plan.number}"
        try:
            async with opened(port, path, BEARER) as socket:
                assert plan.kind != "refused", "it was not refused"
                await self._talk(socket, plan)
                if plan.kind in UPSTREAM_ENDS:
                    await self._see_end(socket, plan)
                else:
                    await self._end_client(socket, plan)
        except Refused as refused:
            if plan.kind != "refused" or refused.response.status != 503:
                raise

    async def _talk(self, socket: RawSocket, plan: Course) -> None:
        for size, pause in zip(plan.sizes, plan.pauses, strict=True):
            opcode = BINARY if size % 2 else TEXT
            await socket.send(opcode, b"x" * size)
            frame = await socket.receive()
            assert frame is not None, "cut"
            assert (frame.opcode, frame.data) == (opcode, b"x" * size)
            await asyncio.sleep(pause)

    async def _see_end(self, socket: RawSocket, plan: Course) -> None:
        await socket.send(TEXT)
        events, code = await socket.until_close()
        self._took(time.monotonic() - self._at.pop(plan.number))
        closes = plan.kind == "upstream closes"
        assert code == (plan.code if closes else 1011), code
        codes = [event["error"]["code"] for event in events]
        assert codes == ([] if closes else ["upstream_disconnected"]), events
        await socket.close(code)

    async def _end_client(self, socket: RawSocket, plan: Course) -> None:
        at, expected = time.monotonic(), 1001
        match plan.kind:
            case "client closes":
                await socket.close(plan.code)
                expected = plan.code
                assert (await socket.until_close())[1] == plan.code
            case "client leaves":
                socket.writer.close()
            case "client breaks":
                socket.writer.write(encode(TEXT, b"x" * (2**20 + 1), mask=True))
                assert (await socket.until_close())[1] == 1009
                socket.writer.close()
            case "in a frame":
                socket.writer.write(encode(TEXT, b"x" * 2000, mask=True)[:1000])
                await socket.writer.drain()
                socket.abort()
            case _:
                socket.abort()
        seen, code = await self._ended[plan.number]
        self._took(seen - at)
        assert code == expected, code

    def _took(self, seconds: float) -> None:
        self.report.slowest = max(self.report.slowest, seconds)


async def soak(sockets: int, seconds: float, seed: int) -> Report:
    """Play sessions, *sockets* at a time, for *seconds*; return what came of them."""
    raise_file_limit()
    run = Soak(seed)
    async with run.upstream.running(), start(openai=run.upstream.base_url, **_SETTINGS) as proxy:
        numbers = itertools.count()

        async def worker(until: float) -> None:
            while time.monotonic() < until:
                await run.visit(proxy.port, next(numbers))

        async def all_workers(length: float) -> None:
            until = time.monotonic() + length
            await asyncio.gather(*(worker(until) for _ in range(sockets)))

        await all_workers(min(2.0, seconds / 2))  # what is allocated once is allocated now
        before = await proxy.settled()
        await all_workers(seconds)
        after = await proxy.unchanged(before)
    report = run.report
    report.files, report.tasks = after.files - before.files, after.tasks - before.tasks
    report.growth, report.errors = after.rss - before.rss, after.errors
    return report


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=500, help="how many at a time")
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long")
    parser.add_argument("--seed", type=int, default=1, help="what follows from it")
    options = parser.parse_args()
    report = asyncio.run(soak(options.sockets, options.seconds, options.seed))
    sys.stdout.write(f"{report}\n")
    return 1 if report.wrong or report.files > 0 or report.tasks > 0 or report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
