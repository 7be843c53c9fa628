"""Decides which client-given IP addresses the proxy may dial: public unicast ones. Pure.

``ipaddress.is_global`` is not enough: Python 3.11 calls ``64:ff9b::/96``, ``2002::/16``,
``::127.0.0.1`` and multicast global, and knows no metadata service of a cloud.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry (read 2026-11).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_DENIED_V4: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host on this network; 0.0.0.0 dials loopback on Linux
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata is 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's WireServer: a public number, answered by the host
        "169.254.0.0/16",  # link-local, with most clouds' metadata at 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata is 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relay, withdrawn
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, with broadcast
    )
)

_GLOBAL_UNICAST_V6: Final = IPv6Network("2000::/3")
"""All that IANA has given out. Outside lie ``::``, ``::1``, IPv4-compatible and IPv4-mapped
addresses, NAT64 ``64:ff9b::/96`` and ``64:ff9b:1::/48``, discard ``100::/64``, SRv6 ``5f00::/16``,
unique local ``fc00::/7`` (with ``fd00:ec2::254``), link-local, site-local and multicast."""

_DENIED_V6: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID, DET
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, withdrawn
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Tell whether *address*, in the form that ``connect`` gets, is public unicast.

    False for special-purpose ranges, zone ids, and text that is no canonical address: a resolver
    might still turn it into one (names, ``127.1``, ``0x7f.1``).
    """
    if ":" in address:
        return _is_public_v6(address)
    try:
        v4 = IPv4Address(address)
    except ValueError:
        return False
    return not any(v4 in network for network in _DENIED_V4)


def _is_public_v6(address: str) -> bool:
    try:
        v6 = IPv6Address(address)
    except ValueError:
        return False
    if v6.scope_id is not None or v6 not in _GLOBAL_UNICAST_V6:
        return False
    return not any(v6 in network for network in _DENIED_V6)
