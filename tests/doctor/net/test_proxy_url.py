"""The address of the proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.doctor.net.proxy_url import ProxyUrl, parse_proxy_url


@pytest.mark.parametrize(
    ("text", "expected", "url"),
    [
        ("https://my.host", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("https://my.host/", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("https://my.host/v1", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("https://my.host/v1/", ProxyUrl("https", "my.host", 443), "https://my.host"),
        (
            "https://my.host/jarvis/v1",
            ProxyUrl("https", "my.host", 443, "/jarvis"),
            "https://my.host/jarvis",
        ),
        ("http://my.host:9000", ProxyUrl("http", "my.host", 9000), "http://my.host:9000"),
        ("http://my.host:443", ProxyUrl("http", "my.host", 443), "http://my.host:443"),
        (" https://My.Host:443 ", ProxyUrl("https", "my.host", 443), "https://my.host"),
        ("http://[::1]:9000", ProxyUrl("http", "::1", 9000), "http://[::1]:9000"),
    ],
)
def test_an_address_is_brought_to_one_form(text: str, expected: ProxyUrl, url: str) -> None:
    found = parse_proxy_url(text)

    assert expected == found
    assert url == found.url


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = parse_proxy_url(text)
    except ValueError:
        return

    assert found == parse_proxy_url(found.url)
