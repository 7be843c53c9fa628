"""Names, connections and handshakes, on loopback."""

import asyncio
import errno
import socket
import ssl
from ipaddress import ip_address

import pytest
import trustme

from jarvis_proxy.doctor.net.machine import ProbeEnv, connect, describe_os_error, own_address
from tests.doctor.fixtures import answers, free_port, probe_env, serving, silent_port


def test_this_machine_has_an_address_or_no_network() -> None:
    address = own_address()

    assert address is None or ip_address(address)


async def test_connection_is_opened_and_closed() -> None:
    async with serving(answers()) as upstream:
        found = await connect("127.0.0.1", upstream.port, 5)

    assert found == ("", {})


async def test_closed_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect("127.0.0.1", free_port(), 5)


async def test_silent_port_times_out() -> None:
    async with silent_port() as port:
        with pytest.raises(TimeoutError):
            await connect("127.0.0.1", port, 0.05)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ECONNREFUSED, "x"), "refused"),
        (TimeoutError(), "no answer"),
        (OSError(errno.ENETUNREACH, "x"), "no route"),
        (OSError(errno.EIO, "Input/output error"), "input/output error"),
        (OSError(), "oserror"),
        (OSError("some text"), "oserror"),
    ],
)
def test_every_error_has_a_description(error: OSError, expected: str) -> None:
    assert describe_os_error(error) == expected


async def test_handshake_gives_tls_version_and_expiry() -> None:
    ca = trustme.CA()
    async with serving(answers(), ca.issue_cert("my.host")) as upstream:
        version, certificate = await connect(
            "127.0.0.1", upstream.port, 5, tls=probe_env(ca=ca).tls(), host="my.host"
        )

    assert version == "TLSv1.3"
    assert certificate["notAfter"] == "Jan  1 00:00:00 3000 GMT"


async def test_unsigned_certificate_is_an_error() -> None:
    async with serving(answers(), trustme.CA().issue_cert("my.host")) as upstream:
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect("127.0.0.1", upstream.port, 5, tls=probe_env().tls(), host="my.host")


async def test_handshake_without_answer_times_out() -> None:
    listener = socket.socket()
    with listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(TimeoutError):
            await connect("127.0.0.1", port, 0.05, tls=probe_env().tls(), host="my.host")


async def test_default_environment_resolves_by_the_system() -> None:
    resolver = ProbeEnv().resolver()
    found = await resolver.resolve("localhost", 9000, socket.AF_UNSPEC)

    assert {entry["host"] for entry in found} <= {"127.0.0.1", "::1"}
    await resolver.close()


async def test_peer_that_resets_does_not_delay_the_close() -> None:
    """The connection is cut, not closed, as soon as it stands."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        found = await connect("127.0.0.1", server.sockets[0].getsockname()[1], 5)

    assert found == ("", {})
