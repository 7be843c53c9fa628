"""What the fetcher sends, follows and takes, and how much and how long; against real listeners.

That it dials nothing else is in test_fetch_guard.py.
"""

import asyncio
import socket
import ssl
import threading
from contextlib import closing

import pytest
import trustme

from jarvis_proxy import __version__
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.upstream_client.media_fetcher import FetchLimits, ThreadResolver
from tests.support.raw_site import (
    CANARY,
    JPEG,
    PNG,
    SITE,
    Answer,
    Request,
    fetch,
    fetching,
    is_refusal,
    listening,
    redirect,
    reply,
)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_three_redirects_are_followed(status: int) -> None:
    names = {"site.test": [SITE], "other.test": [SITE]}
    async with listening((SITE,)) as site:
        site.answers["/a"] = redirect(f"http://other.test:{site.port}/b", status)
        site.answers["/b"] = redirect("c?d=1", status)
        site.answers["/c?d=1"] = redirect(f"//site.test:{site.port}/d#fragment", status)
        site.answers["/d"] = reply()
        async with fetching(site.port, names=names) as fetcher:
            result = await fetch(fetcher, f"http://site.test:{site.port}/a")

        assert result == Media("image/png", PNG)
        assert [request.target for request in site.requests] == ["/a", "/b", "/c?d=1", "/d"]


async def test_a_fourth_redirect_is_refused() -> None:
    async with listening((SITE,)) as site:
        for number in range(5):
            site.answers[f"/{number}"] = redirect(f"/{number + 1}")
        site.answers["/4"] = reply()
        async with fetching(site.port) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/0"))
        assert [request.target for request in site.requests] == ["/0", "/1", "/2", "/3"]


async def test_a_redirect_to_itself_ends() -> None:
    async with listening((SITE,)) as site:
        site.answers["/a"] = redirect("/a")
        async with fetching(site.port) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a"))
        assert site.connections == 4


# What is sent.


async def test_these_headers_are_sent_and_no_others() -> None:
    async with listening((SITE,)) as site:
        site.answers["/a%20b?c=%C3%A9"] = reply()
        async with fetching(site.port) as fetcher:
            url = f"http://{SITE}:{site.port}/a b?c=é"
            assert await fetch(fetcher, url) == Media("image/png", PNG)

        assert site.requests[0].headers == {
            "Host": f"{SITE}:{site.port}",
            "User-Agent": f"jarvis-proxy/{__version__}",
            "Accept": "image/*, audio/*, video/*, application/pdf",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }


async def test_cookies_are_not_kept() -> None:
    names = {"site.test": [SITE]}
    async with listening((SITE,)) as site:
        site.answers["/a"] = reply(PNG, "Set-Cookie: a=b; Path=/")
        site.answers["/b"] = reply()
        async with fetching(site.port, names=names) as fetcher:
            for path in "ab":
                await fetch(fetcher, f"http://site.test:{site.port}/{path}")

        assert "Cookie" not in site.requests[1].headers


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening((SITE,)) as site, listening((CANARY,)) as canary:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{CANARY}:{canary.port}")
        site.answers["/a"] = reply()
        async with fetching(site.port) as fetcher:
            result = await fetch(fetcher, f"http://{SITE}:{site.port}/a")

        assert result == Media("image/png", PNG)
        assert canary.connections == 0


async def test_the_same_url_is_fetched_once() -> None:
    async with listening((SITE,)) as site:
        site.answers["/a"] = reply()
        site.answers["/b"] = reply(JPEG)
        first, second = (f"http://{SITE}:{site.port}/{path}" for path in "ab")
        async with fetching(site.port) as fetcher:
            results = await fetcher.fetch_all([first, second, first, first])

        assert results == {first: Media("image/png", PNG), second: Media("image/jpeg", JPEG)}
        assert site.connections == 2


async def test_no_urls_give_nothing() -> None:
    async with fetching(80) as fetcher:
        assert await fetcher.fetch_all([]) == {}


async def test_one_failure_does_not_spoil_the_others() -> None:
    async with listening((SITE,)) as site:
        site.answers["/a"] = reply()
        good, bad = f"http://{SITE}:{site.port}/a", f"http://{SITE}:{site.port}/missing"
        async with fetching(site.port) as fetcher:
            results = await fetcher.fetch_all([bad, good])

        assert list(results) == [bad, good]
        assert is_refusal(results[bad])
        assert results[good] == Media("image/png", PNG)


# What is taken.

HTTP10 = b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

TAKEN = [
    (reply(), Media("image/png", PNG)),
    (reply(mime_type="IMAGE/PNG; charset=binary"), Media("image/png", PNG)),
    (reply(mime_type="image/jpeg"), Media("image/png", PNG)),
    (reply(mime_type="application/octet-stream"), Media("image/png", PNG)),
    (reply(mime_type=""), Media("image/png", PNG)),
    (reply(PNG, "Content-Encoding: identity"), Media("image/png", PNG)),
    (reply(b"\0\0\0\x10ftypisom\0\0\0\0", mime_type="audio/mp4"), None),
    (HTTP10 + PNG, Media("image/png", PNG)),
    (CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(PNG), PNG), Media("image/png", PNG)),
]

NOT_TAKEN = [
    (reply(mime_type="text/html; charset=utf-8"), "bytes of a picture, served as a page"),
    (reply(b"<html></html>", mime_type="image/png"), "a page, served as a picture"),
    (reply(b"<svg/>", mime_type="image/svg+xml"), "SVG"),
    (reply(b"secret", mime_type="text/plain"), "text"),
    (reply(b'{"a":1}', mime_type="application/json"), "JSON"),
    (reply(b""), "nothing"),
    (reply(PNG, "Content-Encoding: gzip"), "compressed"),
    (reply(PNG, "Content-Encoding: br"), "compressed"),
    (reply(status="201 Created"), "201"),
    (reply(status="206 Partial Content"), "206"),
    (reply(b"", status="204 No Content"), "204"),
    (reply(b"", status="304 Not Modified"), "304"),
    (redirect("", 300), "300"),
    (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "a redirect to nowhere"),
    (reply(status="401 Unauthorized"), "401"),
    (reply(status="404 Not Found"), "404"),
    (reply(status="500 Oops"), "500"),
    (b"", "hangs up"),
    (b"HTTP/1.1", "hangs up in the status line"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "another protocol"),
    (b"HTTP/1.1 200 OK\r\nbroken\r\n\r\n", "a broken header"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", "an endless header"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n", "too many headers"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + PNG[:8], "cut short"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "a length that is no number"),
    (CHUNKED + b"8\r\n" + PNG[:8] + b"\r\n", "cut between chunks"),
    (CHUNKED + b"8\r\n" + PNG[:4], "cut within a chunk"),
    (CHUNKED + b"zz\r\n" + PNG, "a chunk size that is no number"),
]


@pytest.mark.parametrize(("answer", "expected"), TAKEN, ids=range(len(TAKEN)))
async def test_media_is_taken_and_named_by_its_bytes(answer: bytes, expected: Media | None) -> None:
    async with listening((SITE,)) as site:
        site.answers["/a"] = answer
        async with fetching(site.port) as fetcher:
            result = await fetch(fetcher, f"http://{SITE}:{site.port}/a")

    assert result == (expected or Media("audio/mp4", b"\0\0\0\x10ftypisom\0\0\0\0"))


@pytest.mark.parametrize(("answer", "what"), NOT_TAKEN, ids=[what for _, what in NOT_TAKEN])
async def test_all_else_gives_the_same_error_to_the_byte(answer: bytes, what: str) -> None:
    async with listening((SITE,)) as site:
        site.answers["/a"] = answer
        limits = FetchLimits(ports=frozenset((site.port,)), seconds=2)
        async with fetching(site.port, limits=limits) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a")), what


async def test_a_refused_connection_gives_the_same_error() -> None:
    with closing(socket.socket()) as unused:
        unused.bind((SITE, 0))
        port = unused.getsockname()[1]
        async with fetching(port) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{port}/"))


async def test_untrusted_certificate_is_refused() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(SITE).configure_cert(tls)
    dialled: list[str] = []

    def watch(address: str) -> bool:
        dialled.append(address)
        return True

    async with listening((SITE,), tls=tls) as site:
        site.answers["/a"] = reply()
        async with fetching(site.port, allow=watch) as fetcher:
            assert is_refusal(await fetch(fetcher, f"https://{SITE}:{site.port}/a"))
        assert dialled == [SITE]
        assert site.requests == []


# How much and how long.


def test_the_limits_are_those_of_the_specification() -> None:
    limits = FetchLimits()

    assert limits.max_bytes == 20 * 1024 * 1024
    assert limits.seconds == 10
    assert limits.concurrency == 4
    assert limits.redirects == 3
    assert limits.ports == {80, 443, 8080, 8443}


def small(port: int, size: int, call: int | None = None) -> FetchLimits:
    return FetchLimits(ports=frozenset((port,)), max_bytes=size, max_call_bytes=call or 10**6)


async def test_a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    async with listening((SITE,)) as site:
        site.answers["/declared"] = reply()
        site.answers["/chunked"] = chunked % (len(PNG), PNG)
        urls = [f"http://{SITE}:{site.port}/{path}" for path in ("declared", "chunked")]
        async with fetching(site.port, limits=small(site.port, len(PNG))) as fetcher:
            enough = await fetcher.fetch_all(urls)
        async with fetching(site.port, limits=small(site.port, len(PNG) - 1)) as fetcher:
            short = await fetcher.fetch_all(urls)

    assert list(enough.values()) == [Media("image/png", PNG)] * 2
    assert all(is_refusal(result) for result in short.values())


async def test_a_declared_size_is_believed_before_a_byte_of_the_body_comes() -> None:
    async def declare(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20971521\r\n\r\n")
        await site.closed_by_peer.wait()

    async with listening((SITE,)) as site:
        site.answers["/a"] = declare
        async with fetching(site.port) as fetcher, asyncio.timeout(5):
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a"))
            await site.closed_by_peer.wait()


async def test_an_endless_body_is_cut_off_at_the_limit() -> None:
    sent = 0

    async def flood(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HTTP10 + PNG)
        while not site.closed_by_peer.is_set():
            writer.write(bytes(65536))
            sent += 65536
            await writer.drain()

    async with listening((SITE,)) as site:
        site.answers["/a"] = flood
        limits = small(site.port, 1024 * 1024, 10**9)
        async with fetching(site.port, limits=limits) as fetcher, asyncio.timeout(5):
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a"))

    assert 1024 * 1024 < sent < 32 * 1024 * 1024


async def test_one_call_may_not_take_more_than_its_budget() -> None:
    async with listening((SITE,)) as site:
        for number in range(8):
            site.answers[f"/{number}"] = reply()
        site.answers["/8"] = HTTP10 + PNG
        limits = small(site.port, len(PNG), 3 * len(PNG))
        urls = [f"http://{SITE}:{site.port}/{number}" for number in range(9)]
        async with fetching(site.port, limits=limits) as fetcher:
            results = await fetcher.fetch_all(urls)
            again = await fetcher.fetch_all(urls[:3])

    assert sum(isinstance(result, Media) for result in results.values()) == 3
    assert all(isinstance(result, Media) for result in again.values())


async def stall(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def stall_in_body(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + PNG[:20])
    await asyncio.Event().wait()


async def trickle(request: Request, writer: asyncio.StreamWriter) -> None:
    """Send a byte often enough for any idle limit: only a limit on the whole ends this."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"\x89")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("slow", [stall, stall_in_body, trickle])
async def test_a_slow_server_is_left_after_the_time_limit(slow: Answer) -> None:
    async with listening((SITE,)) as site:
        site.answers["/a"] = slow
        limits = FetchLimits(ports=frozenset((site.port,)), seconds=0.2)
        async with fetching(site.port, limits=limits) as fetcher, asyncio.timeout(5):
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a"))
            await site.closed_by_peer.wait()


async def test_redirects_share_one_time_limit() -> None:
    async def slowly(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.25)
        writer.write(redirect("/b") if request.target == "/a" else reply())

    async with listening((SITE,)) as site:
        site.answers["/a"] = site.answers["/b"] = slowly
        limits = FetchLimits(ports=frozenset((site.port,)), seconds=0.4)
        async with fetching(site.port, limits=limits) as fetcher:
            assert is_refusal(await fetch(fetcher, f"http://{SITE}:{site.port}/a"))
        assert [request.target for request in site.requests] == ["/a", "/b"]


async def test_a_long_list_of_slow_addresses_ends_with_the_call() -> None:
    async with listening((SITE,)) as site:
        urls = [f"http://{SITE}:{site.port}/{number}" for number in range(50)]
        for number in range(50):
            site.answers[f"/{number}"] = stall
        limits = FetchLimits(ports=frozenset((site.port,)), seconds=5, call_seconds=0.2)
        async with fetching(site.port, limits=limits) as fetcher, asyncio.timeout(3):
            results = await fetcher.fetch_all(urls)

        assert all(is_refusal(result) for result in results.values())
        assert site.connections == 4


async def test_four_at_once_for_each_call_and_no_call_waits_for_another() -> None:
    inside = 0
    four = asyncio.Event()
    go = asyncio.Event()

    async def hold(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal inside
        inside += 1
        if inside == 4:
            four.set()
        await go.wait()
        writer.write(reply())

    async with listening((SITE,)) as site:
        urls = [f"http://{SITE}:{site.port}/{number}" for number in range(9)]
        for number in range(9):
            site.answers[f"/{number}"] = hold
        site.answers["/quick"] = reply()
        async with fetching(site.port) as fetcher, asyncio.timeout(5):
            slow = asyncio.create_task(fetcher.fetch_all(urls))
            await four.wait()
            # A whole call of someone else's goes through while nothing else moves.
            quick = await fetch(fetcher, f"http://{SITE}:{site.port}/quick")
            held = inside
            go.set()
            results = await slow

    assert quick == Media("image/png", PNG)
    assert held == 4
    assert list(results.values()) == [Media("image/png", PNG)] * 9


async def test_a_cancelled_call_closes_its_connections() -> None:
    """The client has left: nothing goes on in its name."""
    started = asyncio.Event()

    async def wait(request: Request, writer: asyncio.StreamWriter) -> None:
        started.set()
        await asyncio.Event().wait()

    async with listening((SITE,)) as site:
        site.answers["/a"] = wait
        async with fetching(site.port) as fetcher, asyncio.timeout(5):
            call = asyncio.create_task(fetcher.fetch_all([f"http://{SITE}:{site.port}/a"]))
            await started.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await site.closed_by_peer.wait()


# The resolver of production.


async def test_lookups_run_on_threads_of_their_own() -> None:
    resolver = ThreadResolver()
    (found, *_) = await resolver.resolve("127.0.0.1", 8080, socket.AF_INET)
    names = [thread.name for thread in threading.enumerate()]
    await resolver.close()

    assert found["host"] == "127.0.0.1"
    assert found["port"] == 8080
    assert found["family"] == socket.AF_INET
    assert any(name.startswith("media-dns") for name in names)


async def test_a_name_that_does_not_exist_is_an_error_of_the_system() -> None:
    resolver = ThreadResolver()
    with pytest.raises(OSError, match=r"Errno"):
        await resolver.resolve("name.invalid", 80)
    await resolver.close()
