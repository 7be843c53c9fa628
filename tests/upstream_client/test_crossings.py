"""Through a whole proxy: what an upstream sends with one user's answer never reaches the next."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pytest
import trustme

from tests.conftest import running_proxy
from tests.support.eventually import eventually
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstream_client.crossings import CROSSINGS, MINE, STRAY, Crossing, answer
from tests.upstream_client.routes import LOOPS, WAYS, Way, Ways, run_on

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

ALICE: Final = "alice-key-0123456789abcdef"
BOB: Final = "bob-key-0123456789abcdef"
_PATIENCE: Final = 0.05
"""Seconds that Alice waits for an answer without an end before she leaves."""
_ARRIVAL: Final = 0.02
"""Seconds that the proxy gets to find what came unasked, unless it closes its connection first."""


@dataclass(frozen=True)
class Call:
    """A call as a client sends it."""

    path: str
    method: str = "POST"
    media_type: str = "application/json"
    body: bytes = b""

    def sent(self, key: str) -> bytes:
        """Return its bytes."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: x", f"Authorization: Bearer {key}"]
        if self.method == "POST":
            lines += [f"Content-Type: {self.media_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + self.body


def _chat(*, stream: bool) -> Call:
    body = {"model": "gpt-4.1", "messages": [{"role": "user", "content": "?"}], "stream": stream}
    return Call("/v1/chat/completions", body=json.dumps(body).encode())


CHAT: Final = _chat(stream=False)
STREAM: Final = _chat(stream=True)
FORM: Final = (
    b'--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nzzz\r\n--X--\r\n'
)
UPLOAD: Final = Call(
    "/v1/audio/transcriptions", media_type="multipart/form-data; boundary=X", body=FORM
)
CALLS: Final[Mapping[str, tuple[Call, Call]]] = {
    "chat": (CHAT, CHAT),
    "upload": (UPLOAD, CHAT),
    "get": (Call("/v1/files", "GET"), Call("/v1/files", "HEAD")),
}
"""Bob's two calls; Alice's is as his first."""


class Careless:
    """An upstream that plays a crossing to the first user, and answers the second as it should."""

    def __init__(self) -> None:
        self.crossing: Crossing | None = None
        self.goes_on = asyncio.Event()

    async def __call__(self, peer: Peer, request: Received) -> None:
        good = answer(MINE, has_body=request.method != "HEAD")
        crossing, self.crossing = self.crossing, None
        if crossing is None:
            await peer.send(good)
            return
        first = crossing.answer or good
        if not crossing.later:
            await peer.send(first + crossing.behind)
            return
        await peer.send(first)
        await self.goes_on.wait()
        await peer.send(crossing.behind)


async def _ask(port: int, call: Call, key: str, patience: float = 5.0) -> bytes:
    """Return all that comes for a call, until its client's patience ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(call.sent(key))
    pieces = []
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(patience):
            while piece := await reader.read(65536):
                pieces.append(piece)
    writer.close()
    return b"".join(pieces)


def _is_right(call: Call, seen: bytes) -> bool:
    ends = b"" if call.method == "HEAD" else answer(MINE).partition(b"\r\n\r\n")[2]
    return (
        seen.startswith(b"HTTP/1.1 200 ")
        and b"x-request-id: MINE" in seen
        and seen.partition(b"\r\n\r\n")[2] == ends
        and STRAY.encode() not in seen
    )


async def _crossed(ways: Ways, way: Way, calls: tuple[Call, Call]) -> list[str]:
    """Play every crossing; return what any user saw that was not his."""
    wrong = []
    upstream = RawUpstream(careless := Careless())
    async with (
        ways.to(way, upstream) as (transport, _),
        running_proxy(
            upstream.base_url, PASSTHROUGH="all", PROXY_API_KEYS=f"alice:{ALICE},bob:{BOB}"
        ) as proxy,
    ):
        place = proxy.context.endpoints["openai"]
        replaced, place.api.transport = place.api.transport, transport
        await replaced.close()
        for crossing in CROSSINGS:
            careless.crossing, careless.goes_on = crossing, asyncio.Event()
            first = STREAM if crossing.streams else calls[0]
            seen = await _ask(proxy.port, first, ALICE, _PATIENCE)
            if STRAY.encode() in seen and not crossing.is_body:
                wrong.append(f"{crossing.name}: Alice saw {seen!r}")
            careless.goes_on.set()
            with contextlib.suppress(TimeoutError):
                await eventually(lambda: upstream.open_connections == 0, _ARRIVAL)
            for each in calls:
                seen = await _ask(proxy.port, each, BOB)
                if not _is_right(each, seen):
                    wrong.append(f"{crossing.name}: Bob saw {seen!r}")
    assert upstream.connections < len(upstream.received) - len(CROSSINGS) / 2  # some are reused
    return wrong


@pytest.fixture(scope="module")
def ways() -> Ways:
    return Ways(trustme.CA())


def test_the_table_is_whole() -> None:
    assert len({crossing.name for crossing in CROSSINGS}) == len(CROSSINGS) == 78


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", CALLS)
def test_no_answer_is_anothers(ways: Ways, kind: str, way: Way, loop: str) -> None:
    assert run_on(loop, _crossed(ways, way, CALLS[kind])) == []
