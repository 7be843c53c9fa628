"""An answer that is in the kernel's buffer when a write fails still arrives."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from typing import Final

import pytest
import trustme

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.upstream_client.tls import ReadableObject, UpstreamContext
from jarvis_proxy.upstream_client.transport import HttpTransport
from tests.conftest import running_proxy
from tests.server.test_early_answers import upload
from tests.support.raw_upstream import Peer, Received
from tests.upstream_client.hasty_upstream import HastyUpstream
from tests.upstream_client.routes import KEY, LOOPS, Way, Ways, rest, run_on

pytestmark = pytest.mark.slow

TIMES: Final = int(os.environ.get("JARVIS_TEST_UPLOADS", "10"))
"""Uploads of each kind, over each way, on each loop."""
SCHEMES: Final = ("http", "https")
every_scheme = pytest.mark.parametrize("scheme", SCHEMES)
every_loop = pytest.mark.parametrize("loop", LOOPS)


class Authority:
    """Settings of TLS for both ends."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(self.serving)
        self.trusting = UpstreamContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(self.trusting)
        self.ways = Ways(authority)

    def upstream(self, scheme: str, amounts: tuple[int, ...]) -> HastyUpstream:
        return HastyUpstream(amounts, self.serving if scheme == "https" else None)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@every_loop
@every_scheme
@pytest.mark.parametrize("has_length", [False, True], ids=["chunked", "length"])
def test_write_that_fails_loses_no_answer(
    authority: Authority, scheme: str, loop: str, *, has_length: bool
) -> None:
    """The event loop does not run between the upstream's end and the next two writes."""

    async def send() -> None:
        with authority.upstream(scheme, (100,)).running() as upstream:

            async def pieces() -> AsyncIterator[bytes]:
                yield b"x" * 1000
                for _ in range(2):
                    await asyncio.sleep(0)  # uvloop writes at the end of an iteration
                assert upstream.is_gone.wait(5)
                yield b"x" * 1000
                yield b"x" * 1000

            headers = {"content-length": "3000"} if has_length else {}
            transport = HttpTransport("x", upstream.base_url, ssl_context=authority.trusting)
            request = UpstreamRequest("POST", "/any", headers, b"")
            response = await asyncio.wait_for(transport.send(request, KEY, pieces()), 5)
            assert (response.status, await rest(response)) == (413, b"too large")
            response.release_at_end()
            assert not transport.session.connector._conns  # type: ignore[union-attr]
            await transport.close()
            with pytest.raises(OSError, match="Bad file"):
                os.fstat(response._connection._spare)

    run_on(loop, send())


@every_loop
@every_scheme
def test_early_answers_arrive_every_time(authority: Authority, scheme: str, loop: str) -> None:
    """The upstream answers at any moment of an upload, while the proxy writes, and is gone."""

    async def send() -> list[tuple[str, int]]:
        with authority.upstream(scheme, (0, 1000, 200_000, 1_000_000)).running() as upstream:
            async with running_proxy(upstream.base_url, PASSTHROUGH="all") as proxy:
                place = proxy.context.endpoints["openai"]
                replaced, place.api.transport = (
                    place.api.transport,
                    HttpTransport("openai", upstream.base_url, ssl_context=authority.trusting),
                )
                await replaced.close()
                return [
                    (kind, (await upload(proxy, kind))[0])
                    for kind in ("form", "chunked", "put", "json")
                    for _ in range(TIMES)
                ]

    answers = run_on(loop, send())
    assert [found for found in answers if found[1] != 413] == []
    assert len(answers) == 4 * TIMES


@every_loop
@pytest.mark.parametrize("way", ["tls", "tunnel"])
def test_tls_of_every_way_can_be_read_to_its_end(authority: Authority, way: Way, loop: str) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(b"{}")

    async def look() -> object:
        async with authority.ways.reached(way, play) as (transport, _):
            response = await transport.send(UpstreamRequest("GET", "/any", {}, b""), KEY)
            tls = response._connection.transport.get_extra_info("ssl_object")
            response.close()
            return tls

    assert isinstance(run_on(loop, look()), ReadableObject)
