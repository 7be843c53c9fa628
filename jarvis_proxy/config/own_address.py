"""Rejects base URLs that lead to this server itself. Asks the resolver and the routing table. IO.

Otherwise one call would cause thousands, each opening the next. Only base URLs with the proxy's own
port are checked, so a usual start needs no lookup.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from jarvis_proxy.config.addresses import address_in, is_loopback
from jarvis_proxy.config.settings import Settings, SettingsError, UpstreamSettings
from jarvis_proxy.config.upstreams import DEFAULT_UPSTREAMS

_PORTS: Final = {"http": 80, "https": 443}
_RESOLVE_TIMEOUT: Final = 3.0
_OFFICIAL: Final = frozenset(upstream.base_url for upstream in DEFAULT_UPSTREAMS)
_DISCARD: Final = 9


def resolve(host: str) -> Sequence[str]:
    """Return the addresses of *host*, none if the lookup fails or takes too long."""
    found: list[str] = []

    def look_up() -> None:
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(str(info[4][0]) for info in infos)

    # A lookup cannot be interrupted, so its thread must not keep the process from exiting.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_RESOLVE_TIMEOUT)
    return tuple(found)


def is_interface(address: str) -> bool:
    """Return whether an interface of this machine has *address*.

    A UDP socket reports the source address that it would use. For an own address, that is the
    address itself. Nothing is sent.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, _DISCARD))
        except OSError:
            return False
        return str(sock.getsockname()[0]).partition("%")[0] == address.partition("%")[0]


def host_names() -> frozenset[str]:
    """Return this machine's own names, in lower case."""
    name = socket.gethostname().lower()
    return frozenset({name, name.partition(".")[0]})


@dataclass(frozen=True, slots=True)
class HostLookup:
    """The lookups on this machine; tests replace them."""

    resolve: Callable[[str], Sequence[str]] = resolve
    is_interface: Callable[[str], bool] = is_interface
    host_names: Callable[[], frozenset[str]] = host_names


def check_base_urls(settings: Settings, machine: HostLookup | None = None) -> None:
    """Reject every upstream whose base URL is this server's own address, in any spelling.

    Raises:
        SettingsError: there is such an upstream; each one is a problem.
    """
    machine = machine or HostLookup()
    problems = tuple(
        f"{setting}: must not lead to this proxy itself (port {settings.port} of this"
        " machine), or each call would call it again; set it to the upstream's own address."
        for upstream in settings.upstreams
        for setting, url in _addresses_of(upstream)
        if _leads_here(url, settings, machine)
    )
    if problems:
        raise SettingsError(problems)


def _addresses_of(upstream: UpstreamSettings) -> Iterator[tuple[str, str]]:
    yield upstream.url_setting, upstream.base_url
    if upstream.messages_url:
        yield upstream.messages_setting, upstream.messages_url


def _leads_here(url: str, settings: Settings, machine: HostLookup) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if port != settings.port or url in _OFFICIAL:
        return False
    there = _addresses(host, machine)
    if all(map(_is_specific, settings.hosts)):
        # Another program may have the same port on another address of this machine.
        here = {address for name in settings.hosts for address in _addresses(name, machine)}
        return not here.isdisjoint(there) or host in settings.hosts
    return (
        is_loopback(host)
        or host in machine.host_names()
        or any(_is_own(address, machine) for address in there)
    )


def _addresses(host: str, machine: HostLookup) -> set[str]:
    """Return the addresses of *host*, IPv4-mapped ones as IPv4."""
    found: Iterable[str] = (host,) if address_in(host) is not None else machine.resolve(host)
    return {str(address_in(address) or address) for address in found}


def _is_specific(host: str) -> bool:
    """Return whether *host* is a single address that other machines can reach."""
    address = address_in(host)
    return not (is_loopback(host) or (address is not None and address.is_unspecified))


def _is_own(text: str, machine: HostLookup) -> bool:
    address = address_in(text)
    if address is not None and (address.is_loopback or address.is_unspecified):
        return True
    return machine.is_interface(text)
