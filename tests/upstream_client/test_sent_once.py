"""A request that got any byte of an answer is never sent again: counted at the upstream."""

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

import pytest
import trustme

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.support.raw_upstream import Peer, Received
from tests.upstream_client.routes import KINDS, LOOPS, WAYS, Way, Ways, run_on

pytestmark = pytest.mark.slow

FAULTS: Final = int(os.environ.get("JARVIS_TEST_FAULTS", "80"))
"""Faults for each way and event loop: 625 make 5,000 of all."""
LIMIT: Final = 100 * FAULTS
"""How long to go on until chance has had a request sent again."""
USERS: Final = 8
_NUMBER: Final = re.compile(r"/n(\d+)$")
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
SAID: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "a letter": b"H",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "two of them": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
    "a part of a head": _HEAD[:-7],
    "a head": _HEAD,
    "a part of a body": _HEAD + b"{",
}


class Faulty:
    """Cuts about half of the answers, behind what SAID has."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.seen: Counter[int] = Counter()
        self.answered: set[int] = set()
        self.faults = 0

    @property
    def is_any_sent_again(self) -> bool:
        return any(times > 1 for times in self.seen.values())

    async def __call__(self, peer: Peer, request: Received) -> None:
        found = _NUMBER.search(request.path)
        assert found is not None
        number = int(found[1])
        assert number not in self.answered, f"request {number} came again"
        self.seen[number] += 1
        if self.rng.random() < 0.5:
            await peer.send(_HEAD + (b"" if request.method == "HEAD" else b"{}"))
            return
        self.faults += 1
        said = self.rng.choice(tuple(SAID.values()))
        if said:
            self.answered.add(number)
            await peer.send(said)
            await asyncio.sleep(0.01)  # a reset overtakes what is not read yet
        self.rng.choice((Peer.close, Peer.reset))(peer)


async def _count(ways: Ways, way: Way, rng: random.Random) -> tuple[Faulty, Counter[str]]:
    faulty, results, numbers = Faulty(rng), Counter[str](), iter(range(10**9))

    async def user(transport: HttpTransport) -> None:
        while faulty.faults < FAULTS or (not faulty.is_any_sent_again and faulty.faults < LIMIT):
            kind, number = rng.choice(KINDS), next(numbers)
            try:
                status, _ = await kind.read(transport, f"/n{number}")
            except (ProxyError, *NETWORK_ERRORS) as exc:
                results[type(exc).__name__] += 1
            else:
                results[str(status)] += 1
            assert faulty.seen[number] <= (2 if kind.is_sent_again else 1)

    async with ways.reached(way, faulty) as (transport, _):
        await asyncio.gather(*(user(transport) for _ in range(USERS)))
    return faulty, results


@pytest.fixture(scope="module")
def ways() -> Ways:
    return Ways(trustme.CA())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", WAYS)
def test_what_was_answered_is_never_sent_again(ways: Ways, way: Way, loop: str) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    faulty, results = run_on(loop, _count(ways, way, random.Random(seed)))

    again = Counter(faulty.seen.values())
    print(f"{faulty.faults} faults, requests that came so often: {dict(again)}, {dict(results)}")
    assert faulty.faults >= FAULTS
    assert again[2]  # those without any byte of an answer
    assert max(again) == 2
    assert results["200"] > FAULTS / 4
