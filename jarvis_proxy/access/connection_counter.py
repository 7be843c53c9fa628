"""Counts clients' open connections, in total and by network. Pure."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal

from jarvis_proxy.access.client_ip import is_within, parse_ip

_FEWEST: Final = 8
_RESERVE: Final = 64
_PER_CONNECTION: Final = 3
_V6_PREFIX: Final = 64

LimitKind = Literal["total", "network"]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """*trusted* are reverse proxies, whose addresses stand for many clients each."""

    total: int
    per_network: int
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()


class ConnectionCounter:
    """Counts open connections and decides about new ones. *limits* may change at any time."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.refused: Counter[LimitKind] = Counter()
        """Numbers of refused connections by limit."""
        self._total = 0
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._total

    def network(self, address: str) -> str:
        """Return the network that *address* is counted under; ``""`` if only the total counts."""
        trusted = self.limits.trusted
        if trusted and is_within(parse_ip(address), trusted):
            return ""
        return network_key(address)

    def open(self, network: str) -> LimitKind | None:
        """Count a connection from *network*, or return the limit that refuses it."""
        limit: LimitKind | None = None
        if self._total >= self.limits.total:
            limit = "total"
        elif network and self._by_network[network] >= self.limits.per_network:
            limit = "network"
        if limit is not None:
            self.refused[limit] += 1
            return limit
        self._total += 1
        self._by_network[network] += 1
        return None

    def close(self, network: str) -> None:
        """Uncount an admitted connection from *network*."""
        self._total -= 1
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]


def connections_for_fd_limit(wanted: int, max_files: int) -> int:
    """Return how many connections *max_files* open files allow, at most *wanted*.

    A call needs its client's connection and one or two to upstreams; the process needs some files
    too.
    """
    if max_files < 0:
        # The system sets no limit.
        return wanted
    return min(wanted, max(_FEWEST, (max_files - _RESERVE) // _PER_CONNECTION))


@lru_cache(maxsize=4096)
def network_key(address: str) -> str:
    """Return an IPv4 address, the /64 (one household) of an IPv6 address, or ``""`` for others."""
    ip = parse_ip(address)
    if isinstance(ip, IPv6Address):
        return str(IPv6Network((ip, _V6_PREFIX), strict=False))
    return "" if ip is None else str(ip)
