"""A stream that is cut, at every byte and in every way, on every surface."""

import asyncio
import json
import re

import pytest

from tests.conftest import BEARER, running_proxy
from tests.faults.dialects import DIALECTS, Dialect, Surface
from tests.faults.scripts import Stage, Step, eof, fin, head, rst
from tests.support.oracle import DONE, Outcome, outcome, same, translated
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

ENDS: dict[str, Step] = {"eof": eof, "fin": fin, "rst": rst}
AT_ONCE = 32
SAMPLED = 7
ROOMY = {"MAX_STREAMS_PER_KEY": "1000", "MAX_CONNECTIONS_PER_IP": "1000"}
MODEL = re.compile(rb"(?:gpt|gemini)-cut-(\d+)-(eof|fin|rst)")


def upstream_of(dialect: Dialect) -> RawUpstream:
    """Return an upstream that cuts its answer as the model's name says."""

    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"object":"list","data":[],"models":[]}')
            return
        found = MODEL.search(request.path.encode() + request.body)
        assert found is not None
        stage = Stage(peer, dialect)
        await head(stage)
        await stage.chunk(dialect.stream[: int(found[1])])
        await ENDS[found[2].decode()](stage)

    return RawUpstream(play)


def is_complete(dialect: Dialect, cut: int, end: str) -> bool | None:
    """Tell whether the answer must be complete, must not be, or may be (None).

    It must be where all that matters has come and nothing says that more was to come; it must not
    be before the last event's JSON is whole.
    """
    last = dialect.stream.removesuffix(dialect.end).rstrip()
    if cut < len(last):
        return False
    if dialect.surface == "gemini":
        return end == "eof"  # nothing but the body's end tells that it is one
    ended = DONE if dialect.end else dialect.events[2][-2:]
    if end == "eof" or cut >= dialect.stream.rindex(ended) + len(ended):
        return True
    return None


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("surface", ["chat", "responses", "gemini"])
async def test_cut_at_every_byte_is_complete_or_told(surface: Surface, end: str) -> None:
    dialect = DIALECTS[surface]
    upstream = upstream_of(dialect)
    at_once = asyncio.Semaphore(AT_ONCE)
    wrong: list[tuple[int, Outcome]] = []

    async def cut_at(port: int, cut: int) -> None:
        model = f"{'gemini' if surface == 'gemini' else 'gpt'}-cut-{cut}-{end}"
        request = dialect.request(model)
        good = same(dialect.stream)
        if surface == "gemini":
            good = translated(model, json.dumps(request).encode(), dialect.stream)
        async with at_once:
            seen = outcome(await fetch(port, dialect.path, request, BEARER), good)
        expected = is_complete(dialect, cut, end)
        fits = seen.kind == "complete" if expected else seen.is_explicit
        if not (fits or (expected is None and seen.kind == "complete")):
            wrong.append((cut, seen))

    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url, **ROOMY) as proxy,
    ):
        # How the connection ends matters less than where: the ends but one sample the bytes.
        cuts = range(1, len(dialect.stream) + 1, 1 if end == "eof" else SAMPLED)
        await asyncio.gather(*(cut_at(proxy.port, cut) for cut in cuts))

    assert wrong == []
