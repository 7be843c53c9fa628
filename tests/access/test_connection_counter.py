"""Counting connections: the total, one network's, and what the files of a process allow."""

import tracemalloc
from ipaddress import ip_network

import pytest

from jarvis_proxy.access.connection_counter import (
    ConnectionCounter,
    ConnectionLimits,
    connections_for_fd_limit,
    network_key,
)


def test_total_is_kept_and_given_back() -> None:
    connections = ConnectionCounter(ConnectionLimits(2, 9))

    assert [connections.open(n) for n in ("a", "b", "c")] == [None, None, "total"]
    assert len(connections) == 2
    connections.close("a")
    assert connections.open("c") is None
    assert connections.open("d") == "total"
    assert connections.refused == {"total": 2}


def test_one_network_has_its_own_limit() -> None:
    connections = ConnectionCounter(ConnectionLimits(9, 2))

    assert [connections.open("a") for _ in range(3)] == [None, None, "network"]
    assert connections.open("b") is None
    connections.close("a")
    assert connections.open("a") is None
    assert connections.refused == {"network": 1}


def test_what_belongs_to_no_network_counts_in_the_total_only() -> None:
    connections = ConnectionCounter(ConnectionLimits(3, 1))

    assert [connections.open("") for _ in range(4)] == [None, None, None, "total"]


def test_nothing_is_kept_of_a_network_without_connections() -> None:
    connections = ConnectionCounter(ConnectionLimits(9, 9))
    tracemalloc.start()
    for number in range(5000):
        connections.open(f"network {number}")
        connections.close(f"network {number}")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 50_000


def test_a_trusted_proxy_is_no_network() -> None:
    trusted = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    connections = ConnectionCounter(ConnectionLimits(9, 1, trusted))

    assert connections.network("10.1.2.3") == ""
    assert connections.network("::ffff:10.1.2.3") == ""
    assert connections.network("fd00::1") == ""
    assert connections.network("11.1.2.3") == "11.1.2.3"
    connections.limits = ConnectionLimits(9, 1)
    assert connections.network("10.1.2.3") == "10.1.2.3"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/socket", ""),
    ],
)
def test_an_address_is_counted_under_its_network(address: str, network: str) -> None:
    assert network_key(address) == network


@pytest.mark.parametrize(
    ("wanted", "max_files", "possible"),
    [
        (1024, 8192, 1024),
        (1024, 3136, 1024),
        (1024, 3135, 1023),
        (1024, 1024, 320),
        (1024, 64, 8),
        (1024, 0, 8),
        (4, 64, 4),
        (1024, -1, 1024),  # no limit
    ],
)
def test_connections_leave_files_for_the_process(
    wanted: int, max_files: int, possible: int
) -> None:
    assert connections_for_fd_limit(wanted, max_files) == possible
