"""Calls that the proxy answers by itself: token counts, and what only fills a cache."""

import json
from typing import Any

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion

ASK: dict[str, Any] = {
    "model": "gpt-4o",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "hello"}],
}


async def test_tokens_are_counted_without_asking_an_upstream() -> None:
    async with running_proxy() as proxy:
        response = await fetch(proxy.port, "/v1/messages/count_tokens", ASK, BEARER)
        assert response.status == 200
        assert json.loads(response.body)["input_tokens"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_no_upstream_is_asked_to_fill_a_cache_that_it_has_not(stream: bool) -> None:
    async with running_proxy() as proxy:
        body = {**ASK, "model": "gpt-4o", "max_tokens": 0, "stream": stream}
        response = await fetch(proxy.port, "/v1/messages", body, BEARER)
    assert response.status == 200
    if stream:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.body.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    else:
        empty = json.loads(response.body)
        assert (empty["content"], empty["stop_reason"]) == ([], "max_tokens")


async def test_field_of_a_tool_does_not_look_like_a_cache_to_fill() -> None:
    async def chat(peer: Peer, request: Received) -> None:
        await peer.reply(completion())

    schema = {"type": "object", "default": {"max_tokens": 0}}
    tools = [{"name": "f", "input_schema": schema}]
    async with RawUpstream(chat).running() as upstream, running_proxy(upstream.base_url) as proxy:
        body = {**ASK, "model": "gpt-4o", "tools": tools}
        response = await fetch(proxy.port, "/v1/messages", body, BEARER)
    assert json.loads(response.body)["content"]
    assert len(upstream.received) == 1
