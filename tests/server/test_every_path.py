"""Every address that costs something is under the limits of its key, and in the metrics.

The requests are as small as the proxy takes them; upstreams hold or answer them.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from jarvis_proxy.routing.endpoints import CLIENT_SECRETS, COUNT_TOKENS, MESSAGES, REALTIME
from jarvis_proxy.wire.chat_types import INFERENCE
from tests.conftest import BEARER, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.forms import CONTENT_TYPE, form, part
from tests.support.raw_client import connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, completion
from tests.support.raw_websocket import handshake

pytestmark = pytest.mark.slow

FORMS: Final = ("images/edits", "images/variations", "audio/transcriptions", "audio/translations")
UNCOUNTED: Final = ("responses/input_tokens", COUNT_TOKENS, "countTokens")
"""What counts tokens costs nothing, and has limits of its own."""


@dataclass(frozen=True)
class Asked:
    """A request; *route* is its address in the log and the metrics."""

    path: str
    route: str
    body: bytes = b""
    method: str = "POST"
    media_type: str = "application/json"

    @property
    def headers(self) -> Mapping[str, str]:
        """What it is sent with."""
        if self.method == "GET" and "realtime" in self.path:
            return handshake(BEARER)
        return {**BEARER, "Content-Type": self.media_type}

    async def status(self, proxy: Proxy) -> int:
        """Send it; return the status."""
        return (await fetch(proxy.port, self.path, self.body, self.headers, self.method)).status


def _calls(proxy: Proxy) -> list[str]:
    """Return the log's lines of calls."""
    return [line for line in proxy.logged().splitlines() if " call " in line]


def _asked(endpoint: str, model: str) -> Asked:
    path = f"/v1/{endpoint}"
    if endpoint in FORMS:
        files = [part(name, "OggS", more='; filename="a"') for name in ("file", "image")]
        body = form(part("model", model), part("prompt", "x"), *files)
        return Asked(path, path, body, media_type=CONTENT_TYPE)
    said = [{"role": "user", "content": "x"}]
    fields: dict[str, object] = {"model": model, "input": "x", "prompt": "x", "messages": said}
    if endpoint.startswith("responses"):
        del fields["messages"], fields["prompt"]
    if endpoint == "audio/speech":
        fields |= {"voice": "alloy", "response_format": "pcm"}
    return Asked(path, path, json.dumps({**fields, "max_tokens": 9}).encode())


def _others() -> list[Asked]:
    contents = json.dumps({"contents": [{"parts": [{"text": "x"}]}]}).encode()
    google = "/v1beta/models/gpt-4o:generateContent"
    secret = json.dumps({"session": {"model": "gpt-realtime"}}).encode()
    return [
        Asked(google, "/v1beta/models/{model}:generateContent", contents),
        *(
            Asked(f"/v1/{name}?model=gpt-realtime", f"/v1/{name}", method="GET")
            for name in REALTIME
        ),
        *(Asked(f"/v1/{name}", f"/v1/{name}", secret) for name in CLIENT_SECRETS),
        Asked("/v1/rerank", "/v1/*", b'{"model":"gpt-4o"}'),
        Asked("/v1/files", "/v1/*", method="GET"),
        Asked("/v1/files", "/v1/*", form(part("file", "x")), media_type=CONTENT_TYPE),
        Asked("/v1/realtime/calls", "/v1/*", b"v=0", media_type="application/sdp"),
        Asked("/v1beta/cachedContents", "/v1beta/*", contents),
    ]


RELAYED: Final = [_asked(endpoint, "gpt-4o") for endpoint in (*INFERENCE, MESSAGES)]
MEDIA: Final = [
    _asked("completions", "gemini-3.5-flash"),
    _asked("audio/speech", "gemini-2.5-flash-preview-tts"),
    _asked("audio/transcriptions", "gemini-3.5-flash"),
    _asked("audio/translations", "gemini-3.5-flash"),
    _asked("images/generations", "gemini-2.5-flash-image"),
    _asked("images/generations", "imagen-4"),
    _asked("images/edits", "gemini-2.5-flash-image"),
]
ALL: Final = [
    asked
    for asked in (*RELAYED, *MEDIA, *_others())
    if not any(asked.path.endswith(name) for name in UNCOUNTED)
]
every_path = pytest.mark.parametrize("asked", ALL, ids=lambda one: f"{one.method} {one.path}")


async def refuse(peer: Peer, request: Received) -> None:
    """Answer as upstreams of any API may."""
    await peer.reply(b'{"error":{"message":"no","code":"no"}}', 400)


@contextlib.asynccontextmanager
async def before(upstream: RawUpstream, **env: str) -> AsyncIterator[Proxy]:
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url, PASSTHROUGH="all", **env) as proxy,
    ):
        yield proxy


@every_path
async def test_requests_a_minute_are_limited(asked: Asked) -> None:
    async with before(RawUpstream(refuse), KEY_TESTER_RPM="1") as proxy:
        seen = [await asked.status(proxy) for _ in range(2)]

    assert seen == [400, 429]
    assert "code=rate_limit_exceeded" in _calls(proxy)[1]


@every_path
async def test_calls_at_once_are_limited(asked: Asked) -> None:
    reached, over = asyncio.Event(), asyncio.Event()

    async def hold(peer: Peer, request: Received) -> None:
        reached.set()
        await over.wait()
        peer.close()

    async with (
        before(RawUpstream(hold), KEY_TESTER_CONCURRENCY="1") as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post(asked.path, asked.body, asked.headers, asked.method)
        await asyncio.wait_for(reached.wait(), 20)
        second = await asked.status(proxy)
        over.set()
        await eventually(lambda: len(proxy.context.deadline_monitor) == 0)

    assert second == 429
    assert "code=rate_limit_exceeded" in _calls(proxy)[0]


@every_path
async def test_a_spent_budget_ends_it(asked: Asked) -> None:
    async def answer(peer: Peer, request: Received) -> None:
        await peer.reply(completion())

    upstream = RawUpstream(answer)
    async with before(upstream, KEY_TESTER_BUDGET="5 tokens/day") as proxy:
        await _asked("chat/completions", "gpt-4o").status(proxy)
        seen = await asked.status(proxy)

    assert seen == 429
    assert "code=insufficient_quota" in _calls(proxy)[1]
    assert len(upstream.received) == 1


@every_path
async def test_it_is_in_the_metrics_and_in_the_log(asked: Asked) -> None:
    async with before(RawUpstream(refuse)) as proxy:
        await asked.status(proxy)
        own = {"Host": "localhost"}
        metrics = (await fetch(proxy.port, "/metrics", headers=own, method="GET")).body.decode()
    (line,) = [one for one in _calls(proxy) if "/metrics" not in one]

    assert f" route={asked.route} " in line
    samples = [one for one in metrics.splitlines() if one.startswith("jarvis_requests_total{")]
    (sample,) = [one for one in samples if 'key="tester"' in one]
    assert f'route="{asked.route}"' in sample
    assert 'status="400"' in sample
    assert "jarvis_upstream_calls_total{" in metrics
