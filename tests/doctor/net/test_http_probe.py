"""Asking as a client does."""

import gzip
import ssl

import aiohttp
import pytest
import trustme

from jarvis_proxy.doctor.net.http_probe import PROBE_ERRORS, describe_error, open_probe
from tests.doctor.fixtures import answers, free_port, probe_env, serving
from tests.support.raw_upstream import Peer, Received, Script


async def test_answer_is_complete_and_timed() -> None:
    async with (
        serving(answers(418, b"tea", "text/plain", ["X-A: b"])) as server,
        open_probe(probe_env()) as client,
    ):
        found = await client.ask(f"http://127.0.0.1:{server.port}/health")

    assert (found.status, found.body, found.header("x-a")) == (418, b"tea", "b")
    assert found.pieces[0].at > 0
    assert "jarvis-proxy-doctor/" in (server.received[0].header("User-Agent") or "")


async def test_redirects_are_not_followed() -> None:
    async with (
        serving(answers(302, b"", extra=["Location: /x"])) as server,
        open_probe(probe_env()) as client,
    ):
        found = await client.ask(f"http://127.0.0.1:{server.port}/")

    assert found.status == 302
    assert len(server.received) == 1


async def test_headers_and_body_are_sent() -> None:
    async with serving(answers()) as server, open_probe(probe_env()) as client:
        await client.ask(f"http://127.0.0.1:{server.port}/", headers={"X-A": "b"}, body=b"{}")

    assert (server.received[0].header("X-A"), server.received[0].body) == ("b", b"{}")
    assert "gzip" in (server.received[0].header("Accept-Encoding") or "")


async def test_stream_is_kept_piece_by_piece_and_decompressed() -> None:
    async def script(peer: Peer, request: Received) -> None:
        packed = gzip.compress(b"one two")
        await peer.head(extra=["Content-Encoding: gzip"])
        await peer.chunk(packed[:12])
        await peer.chunk(packed[12:])
        await peer.last_chunk()

    async with serving(script) as server, open_probe(probe_env()) as client:
        answer = await client.ask(
            f"http://127.0.0.1:{server.port}/", body=b"{}", keeps_partial=True
        )

    assert answer.header("content-encoding") == "gzip"
    assert answer.body == b"one two"
    assert [piece.at for piece in answer.pieces] == sorted(piece.at for piece in answer.pieces)


async def test_partial_stream_is_kept() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(b"data: 1\n\n")
        peer.close()

    async with serving(script) as server, open_probe(probe_env()) as client:
        answer = await client.ask(
            f"http://127.0.0.1:{server.port}/", body=b"{}", keeps_partial=True
        )

    assert answer.status == 200
    assert [piece.data for piece in answer.pieces] == [b"data: 1\n\n"]


async def test_own_server_may_have_any_certificate() -> None:
    async with (
        serving(answers(), trustme.CA().issue_cert("other.host")) as server,
        open_probe(probe_env(), verify=False) as client,
    ):
        found = await client.ask(f"https://127.0.0.1:{server.port}/")

    assert found.status == 200


async def cut(peer: Peer, request: Received) -> None:
    peer.close()


async def garbled(peer: Peer, request: Received) -> None:
    await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def half(peer: Peer, request: Received) -> None:
    await peer.head(length=100)
    peer.close()


async def silent(peer: Peer, request: Received) -> None:
    await peer.closed()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (cut, "the connection was closed without an answer"),
        (garbled, "the answer is not HTTP"),
        (half, "the answer was cut off"),
        (silent, "no answer in time"),
    ],
)
async def test_each_error_has_a_description(script: Script, expected: str) -> None:
    async with serving(script) as server, open_probe(probe_env()) as client:
        with pytest.raises(PROBE_ERRORS) as caught:
            await client.ask(f"http://127.0.0.1:{server.port}/", timeout_s=0.2)

    assert describe_error(caught.value) == expected


async def test_connection_and_tls_errors_have_descriptions() -> None:
    async with (
        serving(answers(), trustme.CA().issue_cert("my.host")) as server,
        open_probe(probe_env({"my.host": ("127.0.0.1",)})) as client,
    ):
        with pytest.raises(PROBE_ERRORS) as refused:
            await client.ask(f"http://127.0.0.1:{free_port()}/")
        with pytest.raises(PROBE_ERRORS) as untrusted:
            await client.ask(f"https://my.host:{server.port}/")

    assert describe_error(refused.value) == "no connection: refused"
    assert describe_error(untrusted.value) == "TLS failed"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(104, "x"), "the connection failed: cut"),
        (ssl.SSLError(1, "bad record"), "TLS failed"),
        (aiohttp.ClientError(), "the connection failed"),
    ],
)
def test_other_errors_have_descriptions(error: Exception, expected: str) -> None:
    assert describe_error(error) == expected
