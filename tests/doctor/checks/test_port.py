"""Whose the port is."""

import asyncio
import socket

import pytest
import trustme

from jarvis_proxy.client_guides.context import ProxyUrl
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.checks.port import check_port
from jarvis_proxy.server.handlers.info import HEALTH
from tests.conftest import ProxyFactory
from tests.doctor.fixtures import answers, free_port, probe_env, serving


async def test_free_port_is_ok() -> None:
    port = free_port()
    found, site = await check_port(probe_env(), Settings(hosts=("127.0.0.1",), port=port))

    assert (found.status, found.detail, site) == ("ok", f"{port} is free", None)


async def test_own_running_proxy_is_ok(proxy: ProxyFactory) -> None:
    async with proxy() as running:
        found, site = await check_port(probe_env(), Settings(hosts=("0.0.0.0",), port=running.port))

        assert found.status == "ok"
        assert "served by this proxy" in found.detail
        assert site == ProxyUrl("http", "127.0.0.1", running.port)


@pytest.mark.parametrize(
    ("extra", "name"), [(["Server: nginx/1.22"], " (it calls itself nginx/1.22)"), ([], "")]
)
async def test_other_program_is_named_by_its_server_header(extra: list[str], name: str) -> None:
    async with serving(answers(200, b"hello", "text/html", extra)) as other:
        found, site = await check_port(probe_env(), Settings(hosts=("127.0.0.1",), port=other.port))

    assert (found.status, site) == ("problem", None)
    assert found.detail == f"{other.port} is taken by another program{name}"
    assert found.example == f"ss -ltnp 'sport = :{other.port}'"


async def test_listener_that_does_not_speak_http_is_another_program() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        found, _ = await check_port(probe_env(), Settings(hosts=("127.0.0.1",), port=port))

    assert found.detail.endswith("another program")


async def test_proxy_that_still_speaks_http_is_a_warning(proxy: ProxyFactory) -> None:
    async with proxy() as running:
        settings = Settings(hosts=("127.0.0.1",), port=running.port, tls_cert_file="server.pem")
        found, site = await check_port(probe_env(), settings)

    assert found.status == "warning"
    assert "speaks http and the settings say https" in found.detail
    assert site == ProxyUrl("http", "127.0.0.1", running.port)


async def test_proxy_that_still_speaks_https_is_a_warning() -> None:
    async with serving(answers(200, HEALTH), trustme.CA().issue_cert("my.host")) as running:
        settings = Settings(hosts=("127.0.0.1",), port=running.port)
        found, site = await check_port(probe_env(), settings)

    assert found.status == "warning"
    assert "speaks https and the settings say http" in found.detail
    assert site == ProxyUrl("https", "127.0.0.1", running.port)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("203.0.113.77", "HOST (203.0.113.77) is no address of this machine"),
        ("no.such.host", "HOST (no.such.host) cannot be resolved to an address"),
    ],
)
async def test_host_of_another_machine_is_a_problem(host: str, words: str) -> None:
    found, _ = await check_port(probe_env(), Settings(hosts=(host,), port=free_port()))

    assert (found.status, found.detail) == ("problem", words)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "this user may not listen on 80"),
        (OSError(97, "Address family not supported"), "address family not supported"),
    ],
)
async def test_bind_error_is_a_problem(
    error: OSError, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bind(sock: socket.socket, address: tuple[str, int]) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "bind", bind)
    found, _ = await check_port(probe_env(), Settings(hosts=("127.0.0.1",), port=80))

    assert found.status == "problem"
    assert words in found.detail


async def test_ipv6_port_is_tried_for_ipv6_only() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    port = free_port()
    with socket.socket() as other:
        other.bind(("0.0.0.0", port))
        other.listen()
        found, _ = await check_port(probe_env(), Settings(hosts=("::1",), port=port))

    assert found.status == "ok"


async def test_proxy_on_all_ipv6_addresses_is_asked_on_loopback() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")

    async def health(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(HEALTH), HEALTH))
        writer.close()

    server = await asyncio.start_server(health, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        found, url = await check_port(probe_env(), Settings(hosts=("::",), port=port))

    assert (found.status, url) == ("ok", ProxyUrl("http", "::1", port))
