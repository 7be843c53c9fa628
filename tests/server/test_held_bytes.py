"""Every place that keeps bytes for a client counts them in MAX_INFLIGHT_MB: at the socket."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest

from jarvis_proxy.server.concurrency import Offload
from tests.conftest import BEARER, Proxy, running_proxy
from tests.server.limited import CHAT, JSON, MIB, outcome
from tests.support.eventually import eventually
from tests.support.raw_client import RawConnection, RawResponse, connect, fetch
from tests.support.raw_site import PNG, Site, fetching, listening, reply
from tests.support.raw_upstream import Peer, RawUpstream, Received, Script, chat_chunk, completion

pytestmark = pytest.mark.slow

T = TypeVar("T")
SMALL = {"MAX_BODY_MB": "1", "MAX_INFLIGHT_MB": "2"}
RESPONSES = "/v1/responses"


def asked(name: str = "gpt-4o", *, stream: bool = True, **more: object) -> bytes:
    said = more.pop("messages", [{"role": "user", "content": "Hi"}])
    return json.dumps({"model": name, "messages": said, "stream": stream, **more}).encode()


def gemini_frame(text: str, finish: str | None = None) -> bytes:
    candidate: dict[str, object] = {"content": {"role": "model", "parts": [{"text": text}]}}
    if finish:
        candidate["finishReason"] = finish
    return json.dumps({"candidates": [candidate]}).encode()


@contextlib.asynccontextmanager
async def calling(
    script: Script, body: bytes, path: str = CHAT, **env: str
) -> AsyncIterator[tuple[Proxy, RawConnection, RawUpstream]]:
    """Ask one thing of a proxy with little memory, over an upstream that plays *script*."""
    upstream = RawUpstream(script)
    async with (
        upstream.running(),
        running_proxy(upstream.base_url, upstream.base_url, **{**SMALL, **env}) as proxy,
    ):
        async with connect(proxy.port) as connection:
            await connection.post(path, body, JSON)
            yield proxy, connection, upstream
        await eventually(lambda: proxy.context.admission.bytes_in_flight == 0)


def event(dialect: str, text: str) -> bytes:
    if dialect == "gpt-4o":
        return chat_chunk(text)
    return b"data: " + gemini_frame(text) + b"\n\n"


def last(dialect: str) -> bytes:
    if dialect == "gpt-4o":
        return chat_chunk(finish="stop") + b"data: [DONE]\n\n"
    return b"data: " + gemini_frame("", "STOP") + b"\n\n"


# D12: events that are not whole


@pytest.mark.parametrize("name", ["gpt-4o", "gemini-2.5-flash"])
async def test_event_that_is_not_whole_counts_until_it_is(name: str) -> None:
    go_on = asyncio.Event()
    large = event(name, "x" * MIB)

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(event(name, "Hello"))
        for at in range(0, len(large) - 10, 50_000):
            await peer.chunk(large[at : min(at + 50_000, len(large) - 10)])
        await go_on.wait()
        await peer.chunk(large[-10:] + last(name))
        await peer.last_chunk()

    async with calling(play, asked(name)) as (proxy, connection, _):
        await eventually(lambda: proxy.context.admission.bytes_in_flight >= MIB - 4096)
        go_on.set()
        response = await asyncio.wait_for(connection.response(), 5)

    assert response.whole
    assert response.body.count(b"x" * MIB) == 1
    assert response.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("name", ["gpt-4o", "gemini-2.5-flash"])
async def test_event_for_which_there_is_no_memory_ends_the_stream_with_an_error(
    name: str,
) -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(event(name, "Hello"))
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                await peer.chunk(b"data: " if not _ else b"x" * 50_000)
        await peer.closed()

    async with calling(play, asked(name)) as (proxy, connection, upstream):
        response = await asyncio.wait_for(connection.response(), 5)
        await eventually(lambda: upstream.open_connections == 0)
        log = proxy.logged()

    assert b"Hello" in response.body
    assert b'"code":"overloaded"' in response.body
    assert response.whole
    assert len(upstream.received) == 1
    assert "outcome=refused" in log


async def test_events_of_several_calls_count_together() -> None:
    """Each is far below the limit of one event."""

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("Hello") + b"data: ")
        for _ in range(10):
            await peer.chunk(b"x" * 50_000)
        await peer.closed()

    async with calling(play, asked()) as (proxy, _, upstream), contextlib.AsyncExitStack() as stack:
        others = [await stack.enter_async_context(connect(proxy.port)) for _ in range(5)]
        for other in others:
            await other.post(CHAT, asked(), JSON)
        await eventually(lambda: len(upstream.received) == 6)
        answers = [asyncio.create_task(other.response()) for other in others]
        done, waiting = await asyncio.wait(answers, timeout=5, return_when="FIRST_COMPLETED")
        assert proxy.context.admission.bytes_in_flight <= 2 * MIB + 256 * 1024
        for task in waiting:
            task.cancel()
        await asyncio.wait(answers)

    assert all(b'"code":"overloaded"' in task.result().body for task in done)


async def test_before_the_first_byte_there_is_a_status() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                await peer.chunk(b"data: " if not _ else b"x" * 50_000)
        await peer.closed()

    async with calling(play, asked()) as (_, connection, upstream):
        response = await asyncio.wait_for(connection.response(), 5)

    assert outcome(response) == (503, "overloaded")
    assert response.headers["x-should-retry"] == "false"  # it is too much for itself
    assert len(upstream.received) == 1


async def test_what_waits_for_a_slow_reader_counts() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("x" * 16 * MIB))
        await peer.chunk(last("gpt-4o"))
        await peer.last_chunk()

    async with calling(play, asked(), MAX_INFLIGHT_MB="24") as (proxy, connection, _):
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined] # a transport's
        calls = proxy.context.deadline_monitor
        await eventually(lambda: any(c.client_side and c.client_side.stalled for c in calls))
        (call,) = calls
        assert call.client_side is not None
        assert call.client_side.pending() > MIB
        assert proxy.context.admission.bytes_in_flight >= call.client_side.pending()
        connection.writer.transport.resume_reading()  # type: ignore[attr-defined] # as above
        response = await asyncio.wait_for(connection.response(), 10)

    assert response.body.endswith(b"data: [DONE]\n\n")


async def test_a_response_counts_what_its_last_event_repeats() -> None:
    go_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for _ in range(10):
            await peer.chunk(b"data: " + gemini_frame("x" * 50_000) + b"\n\n")
        await go_on.wait()
        await peer.chunk(last("gemini"))
        await peer.last_chunk()

    body = json.dumps({"model": "gemini-2.5-flash", "input": "Hi", "stream": True}).encode()
    async with calling(play, body, RESPONSES) as (proxy, connection, _):
        await eventually(lambda: proxy.context.admission.bytes_in_flight >= 490_000)
        go_on.set()
        response = await asyncio.wait_for(connection.response(), 5)

    assert b"response.completed" in response.body


# D12: whole answers


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["gpt-4o", "gemini-2.5-flash"])
async def test_whole_answer_counts_until_it_is_delivered(name: str, packed: bool) -> None:
    text = "x" * (MIB // 2)
    body = completion(text) if name == "gpt-4o" else gemini_frame(text, "STOP")
    sent = gzip.compress(body) if packed else body
    go_on = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        extra = ["Content-Encoding: gzip"] if packed else []
        await peer.head(200, "application/json", extra=extra, length=len(sent))
        await peer.send(sent[:-10])
        await go_on.wait()
        await peer.send(sent[-10:])

    async with calling(play, asked(name, stream=False)) as (proxy, connection, _):
        await eventually(lambda: proxy.context.admission.bytes_in_flight >= len(sent) - 10)
        go_on.set()
        response = await asyncio.wait_for(connection.response(), 5)

    assert text.encode() in response.body


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_whole_answer_for_which_there_is_no_memory_is_503(packed: bool) -> None:
    body = completion("x" * 3 * MIB)

    async def play(peer: Peer, request: Received) -> None:
        with contextlib.suppress(ConnectionError):
            if packed:
                await peer.reply(gzip.compress(body), extra=["Content-Encoding: gzip"])
            else:
                await peer.reply(body)

    async with calling(play, asked(stream=False)) as (_, connection, upstream):
        response = await asyncio.wait_for(connection.response(), 5)

    assert outcome(response) == (503, "overloaded")
    assert len(upstream.received) == 1


async def test_error_for_which_there_is_no_memory_keeps_its_status() -> None:
    async def play(peer: Peer, request: Received) -> None:
        with contextlib.suppress(ConnectionError):
            await peer.reply(completion("x" * (MIB - 1000)), status=422)

    large = asked(stream=False, pad="x" * (MIB - 200))
    async with calling(play, large, MAX_INFLIGHT_MB="1") as (proxy, connection, _):
        held = proxy.context.admission
        response = await asyncio.wait_for(connection.response(), 5)
        assert held.bytes_in_flight < MIB + 300_000

    assert response.status == 422
    assert len(response.body) < 2000


async def test_choices_count_each() -> None:
    go_on = asyncio.Event()
    body = gemini_frame("x" * 300_000, "STOP")

    async def play(peer: Peer, request: Received) -> None:
        await peer.head(200, "application/json", length=len(body))
        await peer.send(body[:-10])
        await go_on.wait()
        await peer.send(body[-10:])

    asking = asked("gemini-2.5-flash", stream=False, n=3)
    async with calling(play, asking) as (proxy, connection, _):
        await eventually(lambda: proxy.context.admission.bytes_in_flight >= 900_000)
        go_on.set()
        response = await asyncio.wait_for(connection.response(), 5)

    assert len(json.loads(response.body)["choices"]) == 3


# D4: links


async def links(
    urls: list[str], site: Site, proxy: Proxy, name: str = "gemini-2.5-flash"
) -> RawResponse:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    body: dict[str, object] = {"model": name, "messages": [{"role": "user", "content": parts}]}
    async with fetching(site.port, names={"site.test": ["127.0.0.1"]}) as fetcher:
        fetcher_before, proxy.context.fetcher = proxy.context.fetcher, fetcher
        try:
            return await asyncio.wait_for(fetch(proxy.port, CHAT, body, BEARER), 10)
        finally:
            proxy.context.fetcher = fetcher_before


async def gemini(peer: Peer, request: Received) -> None:
    await peer.reply(gemini_frame("Hello", "STOP"))


@contextlib.asynccontextmanager
async def site_and_proxy(
    size: int, script: Script = gemini
) -> AsyncIterator[tuple[Site, Proxy, RawUpstream]]:
    upstream = RawUpstream(script)
    async with (
        listening(("127.0.0.1",)) as site,
        upstream.running(),
        running_proxy(gemini=upstream.base_url, **SMALL) as proxy,
    ):
        for number in range(20):
            site.answers[f"/{number}"] = reply(PNG + bytes(size))
        yield site, proxy, upstream
        assert proxy.context.admission.bytes_in_flight == 0


def url(site: Site, number: int) -> str:
    return f"http://site.test:{site.port}/{number}"


async def test_downloads_and_the_request_made_of_them_are_counted() -> None:
    seen: list[int] = []
    proxies: list[Proxy] = []

    async def play(peer: Peer, request: Received) -> None:
        seen.append(proxies[0].context.admission.bytes_in_flight)
        await gemini(peer, request)

    async with site_and_proxy(300_000, play) as (site, proxy, upstream):
        proxies.append(proxy)
        response = await links([url(site, 0), url(site, 1)], site, proxy)

    assert response.status == 200
    assert len(upstream.received[0].body) > 800_000
    assert seen[0] >= 2 * 300_000 + len(upstream.received[0].body)


async def test_downloads_without_room_are_503_before_they_are_all_here() -> None:
    async with site_and_proxy(MIB) as (site, proxy, upstream):
        response = await links([url(site, n) for n in range(8)], site, proxy)
        assert upstream.received == []
        small = await links([], site, proxy)

    assert outcome(response) == (503, "overloaded")
    assert small.status == 200


async def test_downloads_of_several_calls_count_together() -> None:
    held = asyncio.Event()

    async def wait(peer: Peer, request: Received) -> None:
        await held.wait()
        await gemini(peer, request)

    async with site_and_proxy(MIB // 2, wait) as (site, proxy, upstream):
        first = asyncio.create_task(links([url(site, 0)], site, proxy))
        await eventually(lambda: len(upstream.received) == 1)
        second = await links([url(site, 1), url(site, 2)], site, proxy)
        held.set()

        assert outcome(second) == (503, "overloaded")
        assert second.headers["x-should-retry"] == "true"
        assert (await first).status == 200


async def test_at_most_16_links_are_downloaded_for_a_request() -> None:
    async with site_and_proxy(10) as (site, proxy, _):
        enough = await links([url(site, number) for number in range(16)], site, proxy)
        site.requests.clear()
        many = await links([url(site, number) for number in range(17)], site, proxy)
        same = await links([url(site, 0)] * 17, site, proxy)

        assert site.requests == []
    assert enough.status == 200
    for response in (many, same):
        assert outcome(response) == (400, "array_above_max_length")
        assert "16" in str(response.error()["message"])


async def test_download_that_fails_is_freed() -> None:
    async with site_and_proxy(10) as (site, proxy, _):
        for number in range(16):
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"
            site.answers[f"/{number}"] = head + b"<html>" + bytes(MIB // 2)  # no picture
        for _ in range(2):
            response = await links([url(site, n) for n in range(2)], site, proxy)
            assert outcome(response) == (400, "invalid_image_url")


async def test_new_settings_count_what_the_old_ones_hold() -> None:
    from jarvis_proxy.config.settings import Settings
    from jarvis_proxy.observability.logging import configure_logging
    from jarvis_proxy.server.app import PersistentState, build_context

    settings = Settings.from_env({"PROXY_API_KEYS": f"a:{'k' * 20}", "STATE_DIR": ""})
    persistent = PersistentState()
    log = configure_logging("text", "error")[1]
    contexts = [build_context(settings, log, persistent) for _ in range(2)]
    old = contexts[0].admission.admit("a", "1", 0)
    old.reserve_bytes(1000)

    assert [context.admission.bytes_in_flight for context in contexts] == [1000, 1000]
    for context in contexts:
        await context.fetcher.close()
        for place in context.endpoints.values():
            await place.api.transport.close()


# D3: what is decoded


async def test_what_is_decoded_does_not_wait_while_others_have_their_turn() -> None:
    turns: list[int] = []

    class Counting(Offload):
        async def run(self, size: int, client: str, job: Callable[[], T]) -> T:
            turns.append(size)
            return await super().run(size, client, job)

    upstream = RawUpstream(gemini)
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        proxy.context.offload = Counting()
        body = asked("gemini-2.5-flash", stream=False, messages=[
            {"role": "user", "content": "x" * 300_000}])  # fmt: skip
        response = await asyncio.wait_for(fetch(proxy.port, CHAT, body, JSON), 10)
        proxy.context.offload.close()

    assert response.status == 200
    assert turns == [len(body)] * 2  # to be routed, and to be translated
