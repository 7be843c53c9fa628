"""Whose address it is: the peer's, unless a trusted proxy says otherwise."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.access.client_ip import client_ip, is_within, parse_ip

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:DB8::1", IPv6Address("2001:db8::1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ("fe80::1%eth0", IPv6Address("fe80::1")),
        ("", None),
        ("unknown", None),
        ("192.0.2.1:80", None),
        ("192.0.2.256", None),
        ("1.2.3", None),
        ("127.1", None),
        ("0x7f000001", None),
    ],
)
def test_only_an_address_is_one(text: str, address: IPv4Address | IPv6Address | None) -> None:
    assert parse_ip(text) == address


def test_an_address_is_within_the_networks_of_its_own_kind() -> None:
    assert is_within(parse_ip("10.9.9.9"), TRUSTED)
    assert is_within(parse_ip("::ffff:10.9.9.9"), TRUSTED)
    assert is_within(parse_ip("2001:db8:1:2::3"), TRUSTED)
    assert not is_within(parse_ip("192.0.2.1"), TRUSTED)
    assert not is_within(None, TRUSTED)


BEHIND_PROXIES = {
    "one hop": ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
    "what the client made up is left of it": ("10.0.0.1", ["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
    "made up in a field of its own": ("10.0.0.1", ["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
    "two trusted hops": ("10.0.0.1", ["192.0.2.1, 10.0.0.2"], "192.0.2.1"),
    "trusted hops in two fields": ("10.0.0.1", ["192.0.2.1,10.0.0.3", "10.0.0.2"], "192.0.2.1"),
    "made up as a trusted one": ("10.0.0.1", ["10.6.6.6, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
    "IPv6 proxy and client": ("2001:db8:1::1", ["2001:DB8:2::2"], "2001:db8:2::2"),
    "mapped peer": ("::ffff:10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
    "with a port": ("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
    "IPv6 with brackets and port": ("10.0.0.1", ["[2001:db8:2::2]:4711"], "2001:db8:2::2"),
    "IPv6 with brackets": ("10.0.0.1", ["[2001:db8:2::2]"], "2001:db8:2::2"),
    "only trusted ones: the left-most": ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "nothing reported": ("10.0.0.1", [], "10.0.0.1"),
    "an empty field": ("10.0.0.1", [""], "10.0.0.1"),
    "no address": ("10.0.0.1", ["192.0.2.1, unknown"], "10.0.0.1"),
    "no address behind a hop": ("10.0.0.1", ["_hidden, 10.0.0.2"], "10.0.0.2"),
    "peer is not trusted": ("192.0.2.9", ["10.0.0.2"], "192.0.2.9"),
    "peer is trusted in another family only": ("::a00:1", ["192.0.2.1"], "::a00:1"),
    "no peer": ("", ["192.0.2.1"], ""),
}


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("peer", "forwarded", "address"), BEHIND_PROXIES.values(), ids=BEHIND_PROXIES
)
def test_the_right_most_hop_that_is_not_trusted_is_the_client(
    peer: str, forwarded: list[str], address: str
) -> None:
    assert client_ip(peer, forwarded, TRUSTED) == address


@pytest.mark.slow
@given(st.lists(st.text(max_size=20)))
def test_whatever_is_forwarded_the_answer_is_an_address(forwarded: list[str]) -> None:
    assert parse_ip(client_ip("10.0.0.1", forwarded, TRUSTED)) is not None
    assert client_ip("192.0.2.9", forwarded, TRUSTED) == "192.0.2.9"
