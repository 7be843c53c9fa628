"""Names, connections and handshakes, on loopback."""

import asyncio
import errno
import socket
import ssl
from ipaddress import ip_address

import aiohttp
import pytest
import trustme

from jarvis_proxy.doctor.net.machine import (
    Attempt,
    EnvResolver,
    connect,
    describe_os_error,
    own_address,
    resolve,
    tls_handshake,
)
from tests.doctor.fixtures import answers, free_port, machine, serving, silent_port


async def test_an_address_resolves_to_itself() -> None:
    assert await resolve("127.0.0.1", 80) == ("127.0.0.1",)
    assert await resolve("::1", 80) == ("::1",)


def test_this_machine_has_an_address_or_no_network() -> None:
    address = own_address()

    assert address is None or ip_address(address)


async def test_a_connection_is_made_and_closed() -> None:
    async with serving(answers()) as upstream:
        found = await connect("127.0.0.1", upstream.port, 5)

    assert found == Attempt("127.0.0.1")


async def test_a_closed_port_refuses() -> None:
    assert (await connect("127.0.0.1", free_port(), 5)).fault == "refused"


async def test_a_silent_port_is_given_up_in_time() -> None:
    async with silent_port() as port:
        found = await connect("127.0.0.1", port, 0.05)

    assert found.fault == "no answer"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ECONNREFUSED, "x"), "refused"),
        (OSError(errno.ENETUNREACH, "x"), "no route"),
        (OSError(errno.EIO, "Input/output error"), "input/output error"),
        (OSError(), "oserror"),
        (OSError("some text"), "oserror"),
    ],
)
def test_every_fault_has_words(error: OSError, expected: str) -> None:
    assert describe_os_error(error) == expected


async def test_a_handshake_tells_version_and_end() -> None:
    ca = trustme.CA()
    async with serving(answers(), ca.issue_cert("my.host")) as upstream:
        found = await tls_handshake(
            "127.0.0.1", upstream.port, "my.host", context=machine(ca=ca).tls(), timeout_s=5
        )

    assert found.version == "TLSv1.3"
    assert found.not_after > 32_000_000_000


async def test_a_certificate_that_nobody_signed_is_an_error() -> None:
    async with serving(answers(), trustme.CA().issue_cert("my.host")) as upstream:
        with pytest.raises(ssl.SSLCertVerificationError):
            await tls_handshake(
                "127.0.0.1", upstream.port, "my.host", context=machine().tls(), timeout_s=5
            )


async def test_a_peer_that_never_shakes_hands_is_given_up_in_time() -> None:
    listener = socket.socket()
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(TimeoutError):
            await tls_handshake(
                "127.0.0.1",
                listener.getsockname()[1],
                "my.host",
                context=machine().tls(),
                timeout_s=0.05,
            )


async def test_aiohttp_asks_the_machine_for_names() -> None:
    resolver = EnvResolver(machine({"my.host": ("127.0.0.1", "::1")}).resolve)
    found = await resolver.resolve("my.host", 9000)
    await resolver.close()

    assert [(entry["host"], entry["port"], entry["family"]) for entry in found] == [
        ("127.0.0.1", 9000, socket.AF_INET),
        ("::1", 9000, socket.AF_INET6),
    ]
    async with serving(answers(body=b"{}")) as upstream:
        connector = aiohttp.TCPConnector(resolver=resolver)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"http://my.host:{upstream.port}/") as answer,
        ):
            assert await answer.read() == b"{}"


async def test_a_rude_peer_does_not_hold_up_the_end() -> None:
    """The connection is cut, not closed, as soon as it stands."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        found = await connect("127.0.0.1", server.sockets[0].getsockname()[1], 5)

    assert found.fault == ""
