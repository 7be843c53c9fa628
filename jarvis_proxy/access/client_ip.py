"""Finds a client's address: the peer's own, or the one that trusted proxies report. Pure.

Source: https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/X-Forwarded-For (read
2026-11): every proxy appends its peer's address, so only the right end can be trusted.
"""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Networks = Iterable[IPv4Network | IPv6Network]


@lru_cache(maxsize=4096)
def parse_ip(text: str) -> Address | None:
    """Return *text* as an IP address, or None if it is invalid.

    An IPv4-mapped IPv6 address (``::ffff:192.0.2.1``, as a dual-stack socket shows it) becomes the
    IPv4 address; a zone (``%eth0``) is dropped.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def is_within(address: Address | None, networks: Networks) -> bool:
    """Return whether *address* is in one of *networks*; False for None."""
    return address is not None and any(address in network for network in networks)


def client_ip(peer: str, forwarded: Iterable[str], trusted: Networks) -> str:
    """Return the address of the client behind *peer*.

    *forwarded* are the values of ``X-Forwarded-For``, in order, trusted only as far as trusted hops
    report them. The result is the right-most address that is no trusted proxy's. If an invalid
    address comes first, the result is the last trusted one.
    """
    address = parse_ip(peer)
    if address is None or not is_within(address, trusted):
        return peer
    for hop in reversed(",".join(forwarded).split(",")):
        reported = parse_ip(_without_port(hop.strip()))
        if reported is None:
            break
        address = reported
        if not is_within(address, trusted):
            break
    return str(address)


def _without_port(hop: str) -> str:
    """Return ``192.0.2.1`` for ``192.0.2.1:8080``, ``2001:db8::1`` for ``[2001:db8::1]:8080``."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
