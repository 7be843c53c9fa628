"""The load laboratory: its upstream and its load agree, and its table tells what was added."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from bench.figures import NO_PROXY, Row, added, percentile, table
from bench.greedy_upstream import GreedyUpstream
from bench.load import Load, Tally, run
from bench.rounds import DIRECT, SCENARIOS, measure
from bench.shapes import ANSWERS, REQUESTS, Shape
from bench.stalls import probing
from bench.upstream import Connection
from bench.work_shapes import WORK

pytestmark = pytest.mark.slow

BEARER = ("Authorization: Bearer x",)
GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("path", "frames", "body_bytes"),
    [("/v1/chat/completions", 0, 0), ("/v1/chat/completions", 0, 500_000)],
)
async def test_whole_answers_are_counted(path: str, frames: int, body_bytes: int) -> None:
    tally = Tally()
    async with upstream() as port:
        await run(Load(port, path, BEARER, "m", 2, frames, 0, body_bytes), 0.01, 0.1, tally)

    assert tally.requests > 0
    assert tally.errors == 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", GEMINI])
async def test_frames_and_their_delays_are_counted(path: str) -> None:
    tally = Tally()
    async with upstream() as port:
        await run(Load(port, path, BEARER, "m", 2, frames=4, pause=0.01), 0.01, 0.3, tally)

    assert tally.requests > 0
    assert tally.frames > 4
    assert tally.errors == 0
    assert len(tally.delays) >= tally.frames * 0.7
    assert 0 <= min(tally.delays) < 1
    assert tally.first_tokens


async def test_answers_of_another_status_are_errors() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    tally = Tally()
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await run(Load(port, "/", BEARER, "m", 1), 0.0, 0.05, tally)

    assert tally.errors > 0


def test_without_a_proxy_only_times_are_measured() -> None:
    async def serve() -> Row:
        async with upstream() as port:
            scenario = next(s for s in SCENARIOS if s.name == "frames").scaled(0.05)
            return await asyncio.to_thread(measure, DIRECT, scenario, port)

    row = asyncio.run(serve())

    assert row["frames_per_second"] > 0
    assert (row["cpu_us_per_frame"], row["errors"]) == (0, 0)


def _row(**figures: float) -> Row:
    names = ("first_token_ms", "delay_ms", "delay_p99_ms", "requests_per_second", "errors")
    zero = dict.fromkeys((*names, "frames_per_second", "kib_per_stream", "start_ms"), 0.0)
    rest = {"idle_mib": 0.0, "cpu_us_per_request": 0.0, "cpu_us_per_frame": 0.0}
    return {**zero, **rest, **figures}


def test_times_are_what_is_added_to_no_proxy_in_the_same_round() -> None:
    results = {
        ("frames", NO_PROXY): [_row(delay_ms=1.0), _row(delay_ms=5.0)],
        ("frames", "jarvis"): [_row(delay_ms=1.5), _row(delay_ms=5.25)],
    }

    rows = added(results)["frames", "jarvis"]

    assert [row["added_delay_ms"] for row in rows] == [0.5, 0.25]


def test_table_has_medians_and_leaves_out_what_was_not_measured() -> None:
    rows = [_row(cpu_us_per_request=value) for value in (90.0, 1200.0, 95.5)]
    lines = table(added({("requests", NO_PROXY): rows, ("requests", "jarvis"): rows})).split("\n")

    assert len(lines) == 3
    cells = [cell.strip() for cell in lines[2].split("|")]
    assert cells[1:4] == ["requests", "jarvis", "95.50"]
    assert cells[4] == ""
    assert cells[-2] == "0"


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([], 0.5, 0), ([3, 1, 2], 0.5, 2), ([3, 1, 2], 0.99, 3)]
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize("shape", WORK, ids=lambda shape: shape.name)
def test_requests_that_ask_for_work_grow_with_the_size_that_is_asked_for(shape: Shape) -> None:
    if shape.coding or "as many" in shape.name:
        return
    sizes = [len(shape.body(size)) for size in (100_000, 200_000)]

    assert 50_000 <= sizes[0] <= 250_000
    assert 1.5 <= sizes[1] / sizes[0] <= 2.5


def test_others_are_asked_how_long_they_wait() -> None:
    async def serve() -> tuple[float, float]:
        async with upstream() as port:
            with probing(port) as probe:
                await asyncio.sleep(0.2)
                return await asyncio.to_thread(probe), await asyncio.to_thread(probe)

    first, second = asyncio.run(serve())

    assert 0 < first < 60_000
    assert 0 < second < 60_000


@pytest.mark.parametrize("shape", REQUESTS + ANSWERS, ids=lambda shape: shape.name)
def test_requests_of_every_shape_have_about_the_size_that_is_asked_for(shape: Shape) -> None:
    body = shape.body(200_000)

    assert len(body) <= 500_000
    if shape.kind == "application/json" and not shape.coding:
        assert json.loads(body)["model"]
    if shape in REQUESTS and not shape.coding and "as many" not in shape.name:
        assert len(body) >= 150_000


async def test_an_upstream_holds_its_answer_or_gives_much_of_it() -> None:
    upstream = GreedyUpstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sizes: dict[str, int] = {}
    for answer in ("event", "whole", "small"):
        upstream.answer = answer
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        head = await reader.readuntil(b"\r\n\r\n")
        sizes[answer] = len(await reader.read(65536))
        assert head.startswith(b"HTTP/1.1 200")
        writer.close()
    server.close()

    assert sizes["event"] > 100
    assert sizes["small"] == 2
