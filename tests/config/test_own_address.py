"""Base URLs that lead to this server itself, in any spelling: C12."""

import socket
import threading
from collections.abc import Mapping, Sequence

import pytest

from jarvis_proxy.config import own_address
from jarvis_proxy.config.own_address import (
    HostLookup,
    check_base_urls,
    host_names,
    is_interface,
    resolve,
)
from jarvis_proxy.config.settings import Settings, SettingsError

KEY = "k" * 32
NAMES: Mapping[str, Sequence[str]] = {
    "mybox": ("127.0.1.1",),
    "mybox.lan": ("192.168.1.5",),
    "ip6-localhost": ("::1",),
    "127.0.0.1.nip.io": ("127.0.0.1",),
    "both.example": ("203.0.113.9", "fd00::5"),
    "zero.example": ("0.0.0.0",),
    "other.example": ("203.0.113.9",),
}
INTERFACES = frozenset({"192.168.1.5", "fd00::5", "fe80::5%eth0"})
MACHINE = HostLookup(
    resolve=lambda host: NAMES.get(host, ()),
    is_interface=INTERFACES.__contains__,
    host_names=lambda: frozenset({"mybox.domain", "mybox"}),
)

OWN = [
    "http://localhost:9000/v1",
    "http://LOCALHOST:9000/v1",
    "http://localhost.:9000",
    "http://app.localhost:9000/v1",
    "http://127.0.0.1:9000/v1",
    "https://127.0.0.1:9000/v1",
    "http://127.8.9.10:9000/v1",
    "http://0.0.0.0:9000/v1",
    "http://[::1]:9000/v1",
    "http://[0:0:0:0:0:0:0:1]:9000/v1",
    "http://[::]:9000/v1",
    "http://[::ffff:127.0.0.1]:9000/v1",
    "http://[::ffff:7f00:1]:9000/v1",
    "http://[::ffff:192.168.1.5]:9000/v1",
    "http://192.168.1.5:9000/v1",
    "http://[fd00::5]:9000/v1",
    "http://[FD00:0::5]:9000/v1",
    "http://[fe80::5%eth0]:9000/v1",
    "http://mybox:9000/v1",
    "http://MyBox.domain:9000/v1",
    "http://mybox.domain.:9000/v1",
    "http://mybox.lan:9000/v1",
    "http://ip6-localhost:9000/v1",
    "http://127.0.0.1.nip.io:9000/v1",
    "http://both.example:9000/v1",
    "http://zero.example:9000/v1",
]
ODD = [
    "http://2130706433:9000/v1",
    "http://0x7f000001:9000/v1",
    "http://0x7f.1:9000/v1",
    "http://127.1:9000/v1",
    "http://0177.0.0.1:9000/v1",
    "http://0:9000/v1",
    "http://127.0.0.0x1:9000/v1",
]
OTHERS = [
    "http://127.0.0.1:9001/v1",
    "http://127.0.0.1/v1",
    "http://192.168.1.6:9000/v1",
    "http://[::ffff:192.168.1.6]:9000/v1",
    "http://other.example:9000/v1",
    "http://unknown.example:9000/v1",
    "http://mybox.example:9000/v1",
    "http://notlocalhost:9000/v1",
]


def settings(base_url: str, **env: str) -> Settings:
    return Settings.from_env({"PROXY_API_KEYS": KEY, "OPENAI_BASE_URL": base_url, **env})


@pytest.mark.parametrize("base_url", OWN)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "localhost", "10.0.0.1,127.0.0.1"])
def test_the_own_address_is_refused_in_any_spelling(base_url: str, host: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_base_urls(settings(base_url, HOST=host), MACHINE)

    (problem,) = caught.value.problems
    assert problem.startswith("OPENAI_BASE_URL: must not lead to this proxy itself (port 9000 ")


@pytest.mark.parametrize("base_url", ODD)
def test_an_address_written_as_a_number_is_refused(base_url: str) -> None:
    with pytest.raises(SettingsError, match="OPENAI_BASE_URL: must give an address as four"):
        settings(base_url)


@pytest.mark.parametrize("base_url", OTHERS)
def test_another_address_is_not_the_proxys(base_url: str) -> None:
    check_base_urls(settings(base_url), MACHINE)


@pytest.mark.parametrize(
    ("host", "base_url", "is_own"),
    [
        ("192.168.1.5", "http://192.168.1.5:9000/v1", True),
        ("192.168.1.5", "http://mybox.lan:9000/v1", True),
        ("mybox.lan", "http://192.168.1.5:9000/v1", True),
        ("10.0.0.1,192.168.1.5", "http://192.168.1.5:9000/v1", True),
        ("192.168.1.5", "http://127.0.0.1:9000/v1", False),
        ("192.168.1.5", "http://[fd00::5]:9000/v1", False),
    ],
)
def test_another_program_may_have_the_port_on_another_address(
    host: str, base_url: str, *, is_own: bool
) -> None:
    found = settings(base_url, HOST=host)
    if is_own:
        with pytest.raises(SettingsError, match="must not lead to this proxy itself"):
            check_base_urls(found, MACHINE)
    else:
        check_base_urls(found, MACHINE)


@pytest.mark.parametrize(
    ("port", "base_url"), [("443", "https://localhost/v1"), ("80", "http://localhost")]
)
def test_a_port_that_is_not_written_counts(port: str, base_url: str) -> None:
    with pytest.raises(SettingsError, match=f"port {port} of this machine"):
        check_base_urls(settings(base_url, PORT=port), MACHINE)


def test_every_upstream_is_looked_at() -> None:
    found = Settings.from_env(
        {
            "PROXY_API_KEYS": KEY,
            "GEMINI_BASE_URL": "http://localhost:9000/v1beta",
            "UPSTREAMS": "my-llm",
            "MY_LLM_BASE_URL": "http://[::1]:9000/v1",
            "MY_LLM_ANTHROPIC_URL": "http://localhost:9000/anthropic",
        }
    )
    with pytest.raises(SettingsError) as caught:
        check_base_urls(found, MACHINE)

    names = [problem.partition(":")[0] for problem in caught.value.problems]
    assert names == ["GEMINI_BASE_URL", "MY_LLM_BASE_URL", "MY_LLM_ANTHROPIC_URL"]


def test_a_usual_start_asks_the_resolver_nothing() -> None:
    def refuse(host: str) -> Sequence[str]:
        raise AssertionError(host)

    check_base_urls(settings("https://llm.example.com/v1"), HostLookup(resolve=refuse))
    official = Settings.from_env({"PROXY_API_KEYS": KEY, "PORT": "443"})
    check_base_urls(official, HostLookup(resolve=refuse))


# The machine


def test_the_addresses_of_this_machines_interfaces_are_known() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", 9))
    assert is_interface("127.0.0.1")
    assert not is_interface("192.0.2.1")
    assert not is_interface("2001:db8::1")


def test_names_are_resolved_or_not() -> None:
    assert "127.0.0.1" in resolve("localhost")
    assert resolve("no.such.host.invalid") == ()
    assert host_names()


def test_hanging_resolver_does_not_prevent_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def hang(*args: object, **kwargs: object) -> list[object]:
        release.wait(10)
        return []

    monkeypatch.setattr(own_address, "_RESOLVE_TIMEOUT", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        assert resolve("slow.example") == ()
    finally:
        release.set()
