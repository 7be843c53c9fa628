"""Whether the server could listen on its port, or who does. IO."""

import errno
import socket
from collections.abc import Sequence
from typing import Final

from jarvis_proxy.doctor.checks.public_url_verdicts import is_ours
from jarvis_proxy.doctor.findings import Finding, ok, problem, warning
from jarvis_proxy.doctor.net.http_answer import HttpAnswer
from jarvis_proxy.doctor.net.http_probe import FAULTS, open_probe
from jarvis_proxy.doctor.net.machine import ProbeEnv, describe_os_error
from jarvis_proxy.doctor.net.proxy_url import ProxyUrl
from jarvis_proxy.settings import Settings
from jarvis_proxy.settings_addresses import stands_for

_CHECK: Final = "port"
_TIMEOUT: Final = 2.0
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not listened on


async def check_port(machine: ProbeEnv, settings: Settings) -> tuple[Finding, ProxyUrl | None]:
    """Return the finding, and where on this machine the running proxy answers, if it does."""
    for host in settings.hosts:
        try:
            names = [await machine.resolve(name, settings.port) for name in stands_for(host)]
            _bind_shortly([address for found in names for address in found], settings.port)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                return await _who_listens(machine, settings, host)
            return _not_possible(exc, settings, host), None
    return ok(_CHECK, f"{settings.port} is free"), None


def local_site(settings: Settings, host: str) -> ProxyUrl:
    """Return where this machine reaches its own server that listens on *host*."""
    scheme = "https" if settings.tls_cert_file else "http"
    return ProxyUrl(scheme, _ANY.get(host, host), settings.port)


def _bind_shortly(addresses: Sequence[str], port: int) -> None:
    """Take every address, as the server would, and let go again.

    Raises:
        OSError: the server could not: another program has one, or none of them can be had.
    """
    failures: list[OSError] = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind((address, port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise
            failures.append(exc)
    if failures and len(failures) == len(addresses):
        raise failures[0]


async def _who_listens(
    machine: ProbeEnv, settings: Settings, host: str
) -> tuple[Finding, ProxyUrl | None]:
    site = local_site(settings, host)
    answer = await _health(machine, site)
    if answer is not None and is_ours(answer):
        return ok(_CHECK, f"{site.port} is served by this proxy, which is running"), site
    other = ProxyUrl("http" if site.scheme == "https" else "https", site.host, site.port)
    # Who has answered in one of the two does not speak the other.
    found = None if answer is not None else await _health(machine, other)
    if found is not None and is_ours(found):
        return (
            warning(
                _CHECK,
                f"a proxy is running there, but it speaks {other.scheme} and the settings say"
                f" {site.scheme}",
                "Start it again, so that it takes the new settings.",
            ),
            other,
        )
    server = "" if answer is None else answer.header("server")[:40]
    who = f" (it calls itself {server})" if server.isprintable() and server else ""
    return (
        problem(
            _CHECK,
            f"{site.port} is taken by another program{who}",
            "Stop that program, or set PORT to another number. This shows which it is:",
            f"ss -ltnp 'sport = :{site.port}'",
        ),
        None,
    )


async def _health(machine: ProbeEnv, site: ProxyUrl) -> HttpAnswer | None:
    try:
        async with open_probe(machine, verify=False) as visitor:
            return await visitor.ask("GET", f"{site.url}/health", timeout_s=_TIMEOUT)
    except FAULTS:
        return None


def _not_possible(exc: OSError, settings: Settings, host: str) -> Finding:
    match exc.errno:
        case errno.EACCES | errno.EPERM:
            return problem(
                _CHECK,
                f"this user may not listen on {settings.port}",
                "Set PORT to a number above 1023; port 443 is best left to a reverse proxy"
                " (deploy/Caddyfile, deploy/nginx.conf).",
            )
        case errno.EADDRNOTAVAIL:
            return problem(
                _CHECK,
                f"HOST ({host}) is no address of this machine",
                "Set HOST=0.0.0.0 for all its addresses, or 127.0.0.1 for this machine only; the"
                " address that a router or provider shows is often not the machine's own.",
            )
        case _ if isinstance(exc, socket.gaierror):
            return problem(
                _CHECK,
                f"HOST ({host}) cannot be resolved to an address",
                "Set HOST to an address: 0.0.0.0, or 127.0.0.1.",
            )
        case _:
            return problem(
                _CHECK,
                f"cannot listen on {host}, port {settings.port}: {describe_os_error(exc)}",
                "Set HOST to an address of this machine, such as 0.0.0.0 or 127.0.0.1.",
            )
