"""Many sessions that end in different ways: ``python -m tests.realtime_soak``. IO.

How a session goes follows from the seed and its number alone. The proxy runs in a process of its
own, whose memory and files are compared before and after.
"""

import argparse
import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.support.both_ends import (
    DEATHS,
    OFFENCES,
    Act,
    BothEnds,
    Death,
    die,
    path_of,
    reach,
    see_end,
)
from tests.support.measured_proxy import MeasuredProxy, raise_file_limit, start
from tests.support.raw_upstream import Peer
from tests.support.raw_websocket import BINARY, TEXT, RawSocket, Refused

_PATIENCE: Final = 120.0
_SIZES: Final = (0, 1, 125, 126, 4000, 65535, 65536, 200_000)
_CODES: Final = (1000, 1001, 1008, 1011, 3000, 4999)
_TICK: Final = 0.05
_LATE: Final = 0.4
"""Seconds; the proxy waits one second for a side after it passed the end on."""
_SETTINGS: Final = {"MAX_BODY_MB": "1", "MAX_INFLIGHT_MB": "2000"}
_DYING: Final = 200
"""Upstreams for handshakes that fail: the circuit of one would open for all sessions."""
_BREAKS: Final = tuple(f"{party}: {name}" for party in ("client", "upstream") for name in OFFENCES)
_OPEN_DEATHS: Final = {
    str(death): death for death in DEATHS if death.state not in ("half a handshake", "handshake")
}
_EARLY_DEATHS: Final = {str(death): death for death in DEATHS if str(death) not in _OPEN_DEATHS}
KINDS: Final = (
    "client closes",
    "upstream closes",
    "refused",
    *_BREAKS,
    *_EARLY_DEATHS,
    *_OPEN_DEATHS,
)


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
    """What came of all sessions.

    *seconds*: the longest time from each kind of end to the other side's knowing it. *memory*:
    bytes at the start, while it ran, and at the end. *lag*: seconds by which this process was late
    at most; *unsure*: what was wrong while it was late for longer than the proxy waits for a side.
    """

    sessions: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    unavailable: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    files: int = 0
    tasks: int = 0
    memory: list[int] = field(default_factory=list)
    errors: int = 0
    lag: float = 0.0

    def slowest(self, *, late: bool) -> float:
        """Return the longest time of all; *late*: where only a time limit tells."""
        kinds = {kind for kind, death in _OPEN_DEATHS.items() if death.waits_for_stall}
        return max(took for kind, took in self.seconds.items() if (kind in kinds) is late)

    @property
    def growth(self) -> int:
        """Bytes by which the memory has grown."""
        return self.memory[-1] - self.memory[0]


def course(seed: int, number: int) -> Course:
    """Return session *number* of a run."""
    chance = random.Random(f"{seed} {number}")
    turn, place = divmod(number, len(KINDS))
    count = chance.randrange(5)
    return Course(
        number,
        random.Random(f"{seed} turn {turn}").sample(KINDS, len(KINDS))[place],
        [chance.choice(_SIZES) for _ in range(count)],
        [chance.random() * 0.02 for _ in range(count)],
        chance.choice(_CODES),
    )


class Unavailable(Exception):
    """The circuit is open: by chance five handshakes have failed, and no other one came between."""


class Soak:
    """A run: its courses, their upstream, and what came of them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.report = Report()
        self.ends = BothEnds()
        self._late_until = 0.0

    async def visit(self, port: int, number: int) -> None:
        """Play one session at the proxy on *port*."""
        plan, started = course(self.seed, number), time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._visit(port, plan)
        except Unavailable:
            self.report.unavailable += 1
        except (AssertionError, ConnectionError, Refused, TimeoutError, ValueError) as exc:
            is_sure = self._late_until < started
            wrong = self.report.wrong if is_sure else self.report.unsure
            wrong.append(f"{number} {plan.kind}: {exc!r}")
        self.report.sessions += 1
        self.report.kinds[plan.kind] += 1

    async def _visit(self, port: int, plan: Course) -> None:
        death = _EARLY_DEATHS.get(plan.kind)
        try:
            if plan.kind == "refused":
                await self._refuse(port, plan, _say_503, 503)
            elif death is None:
                await self._open(port, plan)
            elif death.party == "client":
                self._took(plan, await self.ends.leave_early(port, plan.number, death))
            else:
                status = 504 if death.way == "vanishes" else 502
                await self._refuse(port, plan, _dying(death), status)
        except Refused as refused:
            if refused.response.error()["code"] == "upstream_unavailable":
                raise Unavailable from None
            raise

    async def _refuse(self, port: int, plan: Course, act: Act, status: int) -> None:
        path = path_of(plan.number, f"dies{plan.number % _DYING}")
        refused = await self.ends.refuse(port, path, plan.number, act)
        if refused.response.status != status:
            raise refused

    async def _open(self, port: int, plan: Course) -> None:
        async with self.ends.session(port, plan.number) as (client, upstream):
            await _talk(client, upstream, plan)
            death = _OPEN_DEATHS.get(plan.kind)
            party, _, offence = plan.kind.partition(": ")
            is_clients = (death.party if death else party.split()[0]) == "client"
            acting, other = (client, upstream) if is_clients else (upstream, client)
            if death is not None:
                await reach(death, acting, other)
                started = time.monotonic()
                die(acting.writer, death.way)
                await see_end(death, other)
                self._took(plan, started)
            elif offence:
                await self._break(plan, acting, other, offence)
            else:
                await self._close(plan, acting, other)

    async def _break(self, plan: Course, acting: RawSocket, other: RawSocket, offence: str) -> None:
        """Send an invalid or too large frame; both sides get a close code."""
        code = 1009 if offence.startswith("too large") else 1002
        started = time.monotonic()
        acting.writer.write(OFFENCES[offence](acting.mask))
        events, closed = await acting.until_close()
        assert closed == code, closed
        others, other_closed = await other.until_close()
        self._took(plan, started)
        if other.mask:  # a client learns of its upstream's fault
            events, expected = others, (code if code == 1009 else 1011)
        else:
            expected = 1001
        assert other_closed == expected, other_closed
        assert len(events) == 1, events
        await other.close(1000)

    async def _close(self, plan: Course, acting: RawSocket, other: RawSocket) -> None:
        started, code = time.monotonic(), plan.code
        await acting.close(code, b"why")
        events, closed = await other.until_close()
        self._took(plan, started)
        assert (events, closed) == ([], code)
        await other.close(code)
        assert (await acting.until_close())[1] == code

    async def watch_lag(self) -> None:
        """Note when this process is late, until it is cancelled."""
        while True:
            due = time.monotonic() + _TICK
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            self.report.lag = max(self.report.lag, now - due)
            if now - due > _LATE:
                self._late_until = now

    def _took(self, plan: Course, started: float) -> None:
        seconds = self.report.seconds
        seconds[plan.kind] = max(seconds.get(plan.kind, 0.0), time.monotonic() - started)


async def _say_503(peer: Peer) -> None:
    await peer.reply(b"{}", 503)


def _dying(death: Death) -> Act:
    async def act(peer: Peer) -> None:
        die(peer.writer, death.way)

    return act


async def _talk(client: RawSocket, upstream: RawSocket, plan: Course) -> None:
    """Send messages to the upstream, and each of them back."""
    for size, pause in zip(plan.sizes, plan.pauses, strict=True):
        opcode, data = BINARY if size % 2 else TEXT, b"x" * size
        for sender, receiver in ((client, upstream), (upstream, client)):
            sending = asyncio.create_task(sender.send(opcode, data))
            frame = await receiver.receive()
            await sending
            assert frame is not None, "cut"
            assert (frame.opcode, frame.data) == (opcode, data)
        await asyncio.sleep(pause)


async def soak(sockets: int, seconds: float, seed: int, *, limit: int) -> Report:
    """Play sessions, *sockets* at a time, for *seconds*; return what came of them.

    *limit*: seconds that sides have to answer a handshake, and to take what is sent. A machine with
    other work needs more.
    """
    raise_file_limit()
    run = Soak(seed)
    upstream = run.ends.upstream
    async with upstream.running(), start(**_settings(upstream.base_url, limit)) as proxy:
        numbers = itertools.count()

        async def worker(until: float) -> None:
            while time.monotonic() < until:
                await run.visit(proxy.port, next(numbers))

        async def all_workers(length: float) -> None:
            until = time.monotonic() + length
            await asyncio.gather(*(worker(until) for _ in range(sockets)))

        await all_workers(min(2.0, seconds / 2))  # what is allocated once is allocated now
        before = await proxy.settled()
        run.report.memory.append(before.rss)
        watching = [
            asyncio.create_task(_watch_memory(proxy, seconds / 10, run.report)),
            asyncio.create_task(run.watch_lag()),
        ]
        await all_workers(seconds)
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        after = await proxy.unchanged(before)
    report = run.report
    report.files, report.tasks = after.files - before.files, after.tasks - before.tasks
    report.memory.append(after.rss)
    report.errors = after.errors
    return report


def _settings(base_url: str, limit: int) -> dict[str, str]:
    names = [f"DIES{n}" for n in range(_DYING)]
    settings = {**_SETTINGS, "openai": base_url, "UPSTREAMS": ",".join(names).lower()}
    settings |= {"WRITE_STALL_TIMEOUT": str(limit), "FIRST_BYTE_TIMEOUT": str(limit)}
    for name in names:
        settings |= {f"{name}_BASE_URL": base_url, f"{name}_API_KEY": "any-word"}
    return settings


async def _watch_memory(proxy: MeasuredProxy, pause: float, report: Report) -> None:
    while True:
        await asyncio.sleep(pause)
        report.memory.append((await proxy.measure()).rss)


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=500, help="how many at a time")
    parser.add_argument("--seconds", type=float, default=600.0, help="for how long")
    parser.add_argument("--seed", type=int, default=1, help="what follows from it")
    parser.add_argument("--limit", type=int, default=10, help="seconds that sides have to answer")
    options = parser.parse_args()
    report = asyncio.run(soak(options.sockets, options.seconds, options.seed, limit=options.limit))
    late, soon = report.slowest(late=True), report.slowest(late=False)
    sys.stdout.write(f"{report}\n")
    sys.stdout.write(f"told after {soon:.2f} s at most, where a time limit tells {late:.2f} s\n")
    return 1 if report.wrong or report.files > 0 or report.tasks > 0 or report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
