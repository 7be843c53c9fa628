"""Chooses the outbound proxy, if any, for calls to an upstream. Pure.

The choice is made once, from the settings alone, and the transport gets the result. Host names are
matched as written. Resolving them here would ask the local DNS for hosts that, in many networks,
only the proxy can resolve.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final
from urllib.parse import urlsplit

from jarvis_proxy.config.addresses import address_in, is_host_name, is_local, proxy_url

DIRECT: Final = "direct"
OWN_NAMES: Final = frozenset(("UPSTREAM", "UPSTREAM_NO", "NO", "HTTP", "HTTPS", "ALL", "FTP"))
"""Names that no upstream may have, because ``<NAME>_PROXY`` already has another meaning."""

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OutboundProxy:
    """An HTTP or SOCKS5 proxy in front of an upstream; *setting* holds its URL."""

    url: str = field(repr=False)
    setting: str = "UPSTREAM_PROXY"


@dataclass(frozen=True, slots=True)
class Exemption:
    """One entry of a NO_PROXY list.

    *name* also covers its subdomains; ``"*"`` covers every host. Without *port*, it covers every
    port.
    """

    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    def covers(self, host: str, port: int) -> bool:
        """Return whether the entry covers *host*, in lower case without a trailing dot."""
        if self.port not in (None, port):
            return False
        if self.network is not None:
            address = address_in(host)
            # A network never contains an address of the other IP version.
            return address is not None and address in self.network
        return self.name in ("*", host) or host.endswith(f".{self.name}")


def exemptions(text: str) -> tuple[Exemption, ...]:
    """Parse a NO_PROXY list: names, addresses and networks, separated by commas or spaces."""
    entries = text.replace(",", " ").split()
    found: dict[Exemption, None] = {}
    for number, entry in enumerate(entries, 1):
        exemption = _exemption(entry.lower())
        if exemption is None:
            raise ValueError(
                f"entry {number} must be a host, a domain such as .example.com, an address, a"
                " network such as 10.0.0.0/8, or *; a :port may follow, a scheme may not"
            )
        found[exemption] = None
    return tuple(found)


def upstream_proxy(text: str) -> str:
    """Parse <NAME>_PROXY: ``direct``, or the form of UPSTREAM_PROXY."""
    return DIRECT if text.lower() == DIRECT else proxy_url(text)


def choose_proxy(
    base_url: str,
    *,
    own: OutboundProxy | None,
    general: OutboundProxy | None,
    exempt: tuple[Exemption, ...],
) -> OutboundProxy | None:
    """Return the proxy for the upstream at *base_url*, None for a direct connection.

    *own*, from <NAME>_PROXY, takes precedence. *general* applies only to remote upstreams: a proxy
    cannot reach this machine's loopback, and rarely its network.
    """
    if own is not None:
        return None if own.url == DIRECT else own
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if general is None or is_local(host) or any(entry.covers(host, port) for entry in exempt):
        return None
    return general


def _exemption(entry: str) -> Exemption | None:
    if entry == "*":
        return Exemption("*")
    if (network := _network(entry)) is not None:
        return Exemption(network=network)
    host, port = _split_port(entry)
    if port is not None and (network := _network(host)) is not None:
        return Exemption(network=network, port=port)
    name = host.removeprefix("*").removeprefix(".").rstrip(".")
    return Exemption(name, port=port) if is_host_name(name) and port != 0 else None


def _split_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if not colon:
        return entry, None
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= 5 else 0
    # 0 means an invalid port, which makes the entry invalid.
    return host, number if number <= 65535 else 0


def _network(text: str) -> IPv4Network | IPv6Network | None:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if (address := address_in(bare)) is not None:
        return ip_network(str(address))
    try:
        # Other programs accept 10.1.2.3/8 here.
        return ip_network(bare, strict=False)
    except ValueError:
        return None
