"""Listening: on what is inherited, on every address of a host, and why it is refused."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from jarvis_proxy.config.settings import Settings
from jarvis_proxy.runtime import listeners as listen
from jarvis_proxy.runtime.listeners import (
    TlsBoundedSite,
    adopt_listener,
    bind,
    bind_error_hint,
    distribute_sockets,
    listener_urls,
    systemd_sockets,
)
from jarvis_proxy.runtime.tls import tls_context
from jarvis_proxy.server.app import make_runner
from tests.support.eventually import eventually
from tests.support.server_process import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Return a socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_listening_socket_is_adopted_and_set_up(listening: socket.socket) -> None:
    number = os.dup(listening.fileno())
    os.set_inheritable(number, True)
    sock = adopt_listener(number)

    assert sock is not None
    with sock:
        assert sock.getsockname() == listening.getsockname()
        assert sock.gettimeout() == 0.0
        assert not os.get_inheritable(sock.fileno())


@pytest.mark.parametrize("kind", ["file", "udp", "connected", "closed"])
def test_what_does_not_listen_is_left_alone(kind: str, tmp_path: Path) -> None:
    here, there = socket.socketpair()
    with socket.socket(type=socket.SOCK_DGRAM) as udp, here, there:
        file = os.open(tmp_path, os.O_RDONLY)
        closed = os.dup(file)
        os.close(closed)
        numbers = {"file": file, "udp": udp.fileno(), "connected": here.fileno(), "closed": closed}

        assert adopt_listener(numbers[kind]) is None
        if kind != "closed":
            os.fstat(numbers[kind])  # still open
        os.close(file)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "x", "LISTEN_FDS": "1"},
        {"LISTEN_PID": "١", "LISTEN_FDS": "1"},
    ],
)
def test_sockets_that_are_meant_for_another_process_are_not_taken(environ: dict[str, str]) -> None:
    assert systemd_sockets(environ) == []


def test_the_variables_are_removed_so_that_no_child_believes_them() -> None:
    environ = {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "0",
        "LISTEN_FDNAMES": "a",
        "PORT": "1",
    }

    assert systemd_sockets(environ) == []
    assert environ == {"PORT": "1"}


async def test_bind_listens_on_every_address_of_a_host() -> None:
    port = free_port()
    sockets = await bind(["localhost"], port)
    try:
        assert {sock.getsockname()[1] for sock in sockets} == {port}
        assert "127.0.0.1" in {sock.getsockname()[0] for sock in sockets}
        for sock in sockets:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
            assert sock.gettimeout() == 0.0
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_ipv6_is_bound_by_itself() -> None:
    (sock,) = await bind(["::1"], free_port())
    with sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_the_wildcard_of_ipv6_listens_for_ipv4_too() -> None:
    port = free_port()
    sockets = await bind(["::"], port)
    try:
        for host in ("127.0.0.1", "::1"):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
        assert [sock.getsockname()[0] for sock in sockets] == ["::", "0.0.0.0"]
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "127.0.0.2"]),
        (["127.0.0.1", "0.0.0.0", "127.0.0.2"], ["0.0.0.0"]),
        (["0.0.0.0", "0.0.0.0"], ["0.0.0.0"]),
        (["127.0.0.1", "127.0.0.1"], ["127.0.0.1"]),
    ],
    ids=lambda hosts: ",".join(hosts),
)
@pytest.mark.parametrize("reuseport_count", [0, 2])
async def test_each_of_several_hosts_is_listened_on_once(
    hosts: list[str], expected: list[str], reuseport_count: int
) -> None:
    sockets = await bind(hosts, free_port(), reuseport_count)
    try:
        found = [sock.getsockname()[0] for sock in sockets]
        assert found == [host for host in expected for _ in range(reuseport_count or 1)]
    finally:
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize("wrong", ["192.0.2.1", "no.such.host.invalid"])
async def test_one_host_that_cannot_be_had_is_named_and_leaves_nothing_open(wrong: str) -> None:
    open_files = []
    for _ in range(2):  # the first lookup of a process leaves a socket of the resolver's
        with pytest.raises(OSError, match=r"assign|not known|resolution") as caught:
            await bind(["127.0.0.1", wrong], free_port())
        open_files.append(len(os.listdir("/proc/self/fd")))

    assert caught.value.filename == wrong
    assert "HOST" in bind_error_hint(caught.value)
    assert open_files[0] == open_files[1]


async def test_a_port_in_use_is_an_error_and_leaves_nothing_open(listening: socket.socket) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="in use") as caught:
        await bind(["127.0.0.1"], listening.getsockname()[1])

    assert caught.value.errno == errno.EADDRINUSE
    assert len(os.listdir("/proc/self/fd")) == before


async def test_an_address_that_cannot_be_had_is_passed_over_where_another_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As IPv6 is on a machine without it: the name has an address that no interface has."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", free_port())),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port())),
    ]

    async def getaddrinfo(*args: object, **kwargs: object) -> object:
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    (sock,) = await bind(["both.example"], 9000)
    with sock:
        assert sock.getsockname() == found[1][4]
    del found[1]
    with pytest.raises(OSError, match="assign") as caught:
        await bind(["one.example"], 9000)
    assert caught.value.errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EADDRINUSE, "address already in use: another program has the port"),
        (errno.EACCES, "permission denied: this user may not use the port"),
        (errno.EADDRNOTAVAIL, "assign requested address: this machine does not have the address"),
        (errno.EMFILE, "too many open files"),
    ],
)
def test_a_refusal_says_what_to_do_in_one_line(number: int, hint: str) -> None:
    text = bind_error_hint(OSError(number, os.strerror(number)))

    assert hint in text
    assert "\n" not in text


def test_a_refusal_without_a_number_is_its_own_words() -> None:
    assert bind_error_hint(OSError("no such thing")) == "no such thing"


def test_names_are_urls(listening: socket.socket) -> None:
    port = listening.getsockname()[1]

    assert listener_urls([listening], tls=False) == f"http://127.0.0.1:{port}"
    with socket.create_server(("127.0.0.1", 0)) as other:
        both = [f"https://127.0.0.1:{port}", f"https://127.0.0.1:{other.getsockname()[1]}"]
        assert listener_urls([listening, other, listening], tls=True) == ", ".join(both)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_name_of_an_ipv6_socket_has_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        assert listener_urls([sock], tls=False) == f"http://[::1]:{sock.getsockname()[1]}"


def test_the_name_of_a_local_socket_is_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)

        assert listener_urls([sock], tls=False) == f"http+unix:{path}"


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has no such times")
async def test_a_client_without_power_is_noticed_within_a_minute() -> None:
    app = web.Application()
    runner = make_runner(app, Settings())
    await runner.setup()
    (sock,) = await bind(["127.0.0.1"], free_port())
    await TlsBoundedSite(runner, sock, None).start()
    try:
        _, writer = await asyncio.open_connection(*sock.getsockname())
        await eventually(lambda: list(runner.server.connections))
        (connection,) = runner.server.connections
        assert connection.transport is not None
        served = connection.transport.get_extra_info("socket")
        idle, interval, count = (
            served.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        )
        writer.close()

        assert served.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert idle + interval * count <= 60
    finally:
        await runner.cleanup()


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def test_a_site_serves_tls_and_ends_handshakes_that_do_not_end(tmp_path: Path) -> None:
    """Nothing else would: no limit counts a connection before its handshake is done."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    settings = Settings(
        tls_cert_file=str(tmp_path / "cert.pem"), tls_key_file=str(tmp_path / "key.pem")
    )
    app = web.Application()
    app.router.add_get("/", hello)
    runner = make_runner(app, settings)
    await runner.setup()
    (sock,) = await bind(["127.0.0.1"], free_port())
    site = TlsBoundedSite(runner, sock, tls_context(settings), handshake_timeout=0.2)
    await site.start()
    try:
        port = sock.getsockname()[1]
        context = ssl.create_default_context()
        authority.configure_trust(context)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        protocol = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.close()

        silent, silent_writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(silent.read(), 10) == b""
        silent_writer.close()
        assert protocol is None
    finally:
        await runner.cleanup()


# Several workers


async def test_sockets_that_share_a_port_are_so_many_and_another_server_is_refused() -> None:
    sockets = await bind(["127.0.0.1"], free_port(), 3)
    port = sockets[0].getsockname()[1]
    try:
        assert [sock.getsockname()[1] for sock in sockets] == [port] * 3
        for reuseport_count in (0, 2):
            with pytest.raises(OSError, match="in use") as caught:
                await bind(["127.0.0.1"], port, reuseport_count)
            assert caught.value.errno == errno.EADDRINUSE
    finally:
        for sock in sockets:
            sock.close()


async def test_of_sockets_that_share_none_is_left_when_one_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[socket.socket] = []
    bound = listen._bind_one

    def until_the_third(family: int, address: tuple[object, ...], **how: bool) -> socket.socket:
        if len(made) == 2:
            raise OSError(errno.EMFILE, "too many open files")
        sock = bound(family, address, **how)
        if how:
            made.append(sock)
        return sock

    monkeypatch.setattr(listen, "_bind_one", until_the_third)
    with pytest.raises(OSError, match="too many"):
        await bind(["127.0.0.1"], free_port(), 3)

    assert [sock.fileno() for sock in made] == [-1, -1]


@pytest.mark.parametrize(
    ("sockets", "worker_count", "expected"),
    [
        (2, 2, [[0], [1]]),
        (1, 3, [[0], [0], [0]]),  # a service manager's
        (3, 2, [[0, 2], [1]]),  # of a server that had more workers
        (2, 3, [[0], [1], [0]]),
    ],
)
async def test_every_worker_is_dealt_a_socket_of_every_address(
    sockets: int, worker_count: int, expected: list[list[int]]
) -> None:
    ours = await bind(["127.0.0.1"], free_port(), sockets)
    other = await bind(["127.0.0.1"], free_port())
    try:
        shares = distribute_sockets([*ours, *other], worker_count)
        assert [[ours.index(s) for s in share if s in ours] for share in shares] == expected
        assert all(share[-1] is other[0] for share in shares)
        assert listener_urls(ours, tls=False) == f"http://127.0.0.1:{ours[0].getsockname()[1]}"
    finally:
        for sock in (*ours, *other):
            sock.close()
