"""Hosts, URLs, origins and networks in settings."""

import pytest

from jarvis_proxy.config.addresses import (
    base_url,
    host,
    hosts,
    is_local,
    is_loopback,
    is_socks,
    networks,
    origins,
    proxy_url,
    redis_url,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("[::1]", "::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("localhost", "localhost"),
        ("my_box.lan.", "my_box.lan."),
    ],
)
def test_a_host_is_an_address_or_a_name(text: str, value: str) -> None:
    assert value == host(text)


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "127.1",
        "1.2.3.4:80",
        "a..b",
        "-a",
        "a-",
        "a b",
        "a/b",
        "[1.2.3.4",
        "a" * 254,
        "0x7f000001",
    ],
)
def test_anything_else_is_no_host(text: str) -> None:
    with pytest.raises(ValueError, match="must be an IP address or a host name"):
        host(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("127.0.0.1, [::1] ,localhost,127.0.0.1", ("127.0.0.1", "::1", "localhost")),
    ],
)
def test_several_hosts_are_comma_separated(text: str, values: tuple[str, ...]) -> None:
    assert values == hosts(text)


@pytest.mark.parametrize("text", [",", "127.0.0.1,http://a", "127.0.0.1;::1", "127.0.0.1 ::1"])
def test_each_host_is_checked(text: str) -> None:
    with pytest.raises(ValueError, match="must be an IP address or a host name"):
        hosts(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1///", "https://api.openai.com/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTP://ollama:11434/v1/", "HTTP://ollama:11434/v1"),
        ("https://gw.example/acct/openai%20x", "https://gw.example/acct/openai%20x"),
    ],
)
def test_a_base_url_loses_its_trailing_slashes_only(text: str, value: str) -> None:
    assert value == base_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://u@a.example/v1",
        "https://:p@a.example/v1",
        "https://a.example/v1#x",
        "https://a.example/v1?",
        "https://a.example /v1",
        "https://bücher.example/v1",
        "https://a..example/v1",
        "https:a.example",
        "//a.example",
        "file:///etc/passwd",
        "https://a.example:port",
    ],
)
def test_a_base_url_is_scheme_host_and_path(text: str) -> None:
    with pytest.raises(ValueError, match="must be an http:// or https:// address"):
        base_url(text)


@pytest.mark.parametrize("text", ["https://a.example/v1/models/", "https://a.example/responses"])
def test_a_base_url_ends_before_the_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match="must end before the endpoint"):
        base_url(text)


@pytest.mark.parametrize(
    "text", ["socks5://h:1", "SOCKS5://h", "socks5h://u:p%40@h", "socks5://[::1]:1080"]
)
def test_a_proxy_may_be_one_of_socks5(text: str) -> None:
    assert proxy_url(f"{text}/") == text
    assert is_socks(text)
    assert not is_socks("http://socks5:1080")


@pytest.mark.parametrize(
    "text",
    ["SOCKS4a://h:1", "socks4://h", "socks://h", "socks5://", "socks5://h/p", "socks5://h:x"],
)
def test_a_socks_proxy_has_version_5_and_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="must be a socks5:// or socks5h:// address"):
        proxy_url(text)


@pytest.mark.parametrize(
    "login", ["u@", "u:@", ":p@", "u:%C3%A9@", f"u:{'p' * 256}@"], ids=range(5)
)
def test_a_login_for_socks_is_one_that_the_protocol_can_carry(login: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 ASCII characters") as caught:
        proxy_url(f"socks5://{login}h")
    assert "pppp" not in str(caught.value)


@pytest.mark.parametrize("text", ["https://u:p%40@proxy.example:8443", "http://[::1]:3128"])
def test_a_proxy_may_have_a_user(text: str) -> None:
    assert text == proxy_url(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("redis://localhost", "redis://localhost"),
        ("rediss://:p%40@r.example:6380/2", "rediss://:p%40@r.example:6380/2"),
        ("Valkeys://v.example/0", "rediss://v.example/0"),
        ("redis://h:6379/0?protocol=3", "redis://h:6379/0?protocol=3"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    ],
)
def test_redis_and_valkey_addresses_are_those_of_the_client_library(text: str, value: str) -> None:
    assert value == redis_url(text)


@pytest.mark.parametrize(
    "text", ["redis://", "unix://", "unix:", "redis://h/a", "redis://h /0", "redis://h:99999"]
)
def test_other_addresses_are_not_redis(text: str) -> None:
    with pytest.raises(ValueError, match="must be redis://"):
        redis_url(text)


def test_origins_are_compared_as_browsers_write_them() -> None:
    assert origins(
        "HTTPS://Chat.example:8443/,tauri://localhost,http://[::1]:3000,https://chat.example:8443"
    ) == ("https://chat.example:8443", "tauri://localhost", "http://[::1]:3000")
    assert origins("*") == ("*",)


@pytest.mark.parametrize("text", ["chat.example", "https://*.example", "https://u@a.example"])
def test_other_origins_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="entry 2 must be an origin"):
        origins(f"https://a.example,{text}")


def test_networks_are_kept_once() -> None:
    assert [str(network) for network in networks("10.0.0.0/8,192.0.2.7,fd00::/8,10.0.0.0/8")] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "fd00::/8",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("localhost.", True),
        ("jarvis.LOCALHOST", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(name: str, expected: bool) -> None:
    assert expected is is_loopback(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ollama", True),
        ("nas.lan", True),
        ("Box.Local", True),
        ("10.1.2.3", True),
        ("::1", True),
        ("100.64.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("nas.lan.", True),
        ("8.8.8.8", False),
        ("::ffff:8.8.8.8", False),
        ("llm.example.com", False),
    ],
)
def test_local_is_judged_by_the_name(name: str, expected: bool) -> None:
    assert expected is is_local(name)
