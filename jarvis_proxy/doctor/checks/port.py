"""Checks whether the server could listen on its port, or which program does. IO."""

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Final

from jarvis_proxy.client_guides.context import ProxyUrl
from jarvis_proxy.config.addresses import stands_for
from jarvis_proxy.config.settings import Settings
from jarvis_proxy.doctor.checks.public_url import is_ours
from jarvis_proxy.doctor.findings import Check, Finding
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.http_probe import PROBE_ERRORS, open_probe
from jarvis_proxy.doctor.net.machine import ProbeEnv, describe_os_error

_CHECK: Final = Check("checks/port", "port")
_TIMEOUT: Final = 2.0
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only compared
_BIND_ERRORS: Final = {
    errno.EACCES: "not_allowed",
    errno.EPERM: "not_allowed",
    errno.EADDRNOTAVAIL: "other_machine",
}


async def check_port(env: ProbeEnv, settings: Settings) -> tuple[Finding, ProxyUrl | None]:
    """Return the finding, and the local URL of the running proxy, None if none answers."""
    for host in settings.hosts:
        try:
            await _try_bind(stands_for(host), settings.port)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return await _identify_listener(env, settings, host)
            unknown = "unresolved" if isinstance(exc, socket.gaierror) else "other_error"
            result = _BIND_ERRORS.get(exc.errno or 0, unknown)
            error = describe_os_error(exc)
            return _CHECK.finding(result, host=host, port=settings.port, error=error), None
    return _CHECK.finding("free", port=settings.port), None


async def _try_bind(hosts: Iterable[str], port: int) -> None:
    """Bind every address of *hosts*, as the server would, and release it.

    Raises:
        OSError: another program has an address, or none is available.
    """
    loop = asyncio.get_running_loop()
    infos = [await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM) for host in hosts]
    failures: list[OSError] = []
    addresses = dict.fromkeys((info[0], info[4]) for found in infos for info in found)
    for family, address in addresses:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(address)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise
            failures.append(exc)
    if failures and len(failures) == len(addresses):
        raise failures[0]


async def _identify_listener(
    env: ProbeEnv, settings: Settings, host: str
) -> tuple[Finding, ProxyUrl | None]:
    url = ProxyUrl.of_server(settings, _ANY.get(host, host))
    answer = await _health(env, url)
    if answer is not None and is_ours(answer):
        return _CHECK.finding("ours", port=url.port), url
    other = ProxyUrl("http" if url.scheme == "https" else "https", url.host, url.port)
    # A server that answered one of the two schemes does not speak the other.
    found = None if answer is not None else await _health(env, other)
    if found is not None and is_ours(found):
        return _CHECK.finding("other_scheme", speaks=other.scheme, settings=url.scheme), other
    server = "" if answer is None else answer.header("server")[:40]
    name = f" (it calls itself {server})" if server.isprintable() and server else ""
    return _CHECK.finding("taken", port=url.port, name=name), None


async def _health(env: ProbeEnv, url: ProxyUrl) -> HttpAnswer | None:
    try:
        async with open_probe(env, verify=False) as client:
            return await client.ask(f"{url.url}/health", timeout_s=_TIMEOUT)
    except PROBE_ERRORS:
        return None
