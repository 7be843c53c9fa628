"""Every special-purpose range is refused, at both of its ends; its public neighbours are not."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstream_client.ip_policy import is_public

# First address, last address, what it is. Written from the IANA registries, not from the module.
DENIED_RANGES = [
    ("0.0.0.0", "0.255.255.255", "this network"),
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("168.63.129.16", "168.63.129.16", "Azure WireServer"),
    ("169.254.0.0", "169.254.255.255", "link-local"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "protocol assignments"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.31.196.0", "192.31.196.255", "AS112"),
    ("192.52.193.0", "192.52.193.255", "AMT"),
    ("192.88.99.0", "192.88.99.255", "6to4 relay"),
    ("192.168.0.0", "192.168.255.255", "private"),
    ("192.175.48.0", "192.175.48.255", "AS112"),
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "below global unicast"),
    ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "protocol assignments"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"),
    ("2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "AS112"),
    ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6bone"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"),
]

# Open-ended upwards: nothing follows them.
DENIED_TAILS = [
    ("224.0.0.0", "multicast"),
    ("239.255.255.255", "multicast"),
    ("240.0.0.0", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("4000::", "unassigned"),
    ("5f00::1", "SRv6"),
    ("fc00::", "unique local"),
    ("fe80::1", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "end of all"),
]

DENIED_SINGLES = [
    "127.0.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fd00:ec2::254",
    "fd20:ce::254",
]

PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "2001:4860:4860::8888",
]

NOT_AN_ADDRESS = [
    "",
    " 8.8.8.8",
    "8.8.8.8 ",
    "8.8.8",
    "134744072",
    "0x8.8.8.8",
    "010.8.8.8",
    "8.8.8.8.",
    "8.8.8.8/32",
    "８.8.8.8",
    "dns.google",
    "localhost",
    ":",
    ":::",
    "[2606:4700:4700::1111]",
    "2606:4700:4700::1111%eth0",
    "2606:4700:4700::1111%",
    "2606:4700:4700::1111/128",
    "2606:4700:4700::1111::",
    "fe80::1%1",
]


@pytest.mark.parametrize(("first", "last", "what"), DENIED_RANGES)
def test_a_special_range_is_refused_from_end_to_end(first: str, last: str, what: str) -> None:
    low, high = ip_address(first), ip_address(last)
    middle = str(low + (int(high) - int(low)) // 2)

    assert [is_public(first), is_public(middle), is_public(last)] == [False, False, False], what


@pytest.mark.parametrize(
    "neighbour",
    [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "2000::",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2003::",
        "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ],
)
def test_the_neighbours_of_special_ranges_are_public(neighbour: str) -> None:
    assert is_public(neighbour)


@pytest.mark.parametrize(("address", "what"), DENIED_TAILS)
def test_the_upper_ends_of_the_address_space_are_refused(address: str, what: str) -> None:
    assert not is_public(address), what


@pytest.mark.parametrize("address", DENIED_SINGLES)
def test_metadata_services_and_embedded_loopback_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_ordinary_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.every_case
@pytest.mark.parametrize("text", NOT_AN_ADDRESS)
def test_what_is_no_canonical_address_is_refused(text: str) -> None:
    """The system's resolver would still turn several of these into an address."""
    assert not is_public(text)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_nothing_public_is_what_the_standard_library_calls_special(address: IPv4Address) -> None:
    special = not address.is_global or address.is_multicast or address.is_reserved

    assert not (special and is_public(str(address)))


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_no_ipv6_form_of_an_ipv4_address_is_public(address: IPv4Address) -> None:
    number = int(address)
    forms = (
        number,
        0xFFFF << 32 | number,
        0xFFFF0000 << 16 | number,
        0x64FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | number ^ 0xFFFFFFFF,
    )

    assert not any(is_public(str(IPv6Address(form))) for form in forms)


@given(st.text())
def test_any_text_gets_an_answer(text: str) -> None:
    assert is_public(text) in (True, False)
