"""What an upstream's refusal becomes for the client."""

from tests.conftest import BEARER, running_proxy
from tests.raw_client import fetch
from tests.raw_upstream import Peer, RawUpstream, Received


async def test_refusal_that_is_json_passes_as_it_came() -> None:
    body = b'{"error": {"message": "no", "type": "t", "param": "p", "code": "c"}}'

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(body, 422)

    upstream = RawUpstream(play)
    async with upstream.running(), running_proxy(upstream.base_url) as proxy:
        asked: dict[str, object] = {"model": "gpt-4o", "messages": []}
        response = await fetch(proxy.port, "/v1/chat/completions", asked, BEARER)

    assert (response.status, response.body) == (422, body)
