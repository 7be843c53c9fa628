"""Which upstream is called through an outbound proxy: C8."""

import pytest

from jarvis_proxy.config.proxies import (
    Exemption,
    OutboundProxy,
    choose_proxy,
    exemptions,
    upstream_proxy,
)
from jarvis_proxy.config.settings import Settings, SettingsError

GENERAL = OutboundProxy("http://proxy.example:3128")
OWN = OutboundProxy("http://own.example:3128", "OPENAI_PROXY")
KEY = "k" * 32

LOCAL = [
    "http://localhost:11434/v1",
    "http://LOCALHOST:11434/v1",
    "http://localhost.:11434/v1",
    "http://ollama.localhost/v1",
    "http://127.0.0.1:11434/v1",
    "http://127.8.8.8/v1",
    "http://0.0.0.0:8000/v1",
    "http://[::1]:11434/v1",
    "http://[::]:8000/v1",
    "http://[::ffff:127.0.0.1]:8000/v1",
    "http://[::ffff:192.168.1.5]:8000/v1",
    "http://10.1.2.3/v1",
    "http://172.17.0.1:8000/v1",
    "http://192.168.1.5:1234/v1",
    "http://169.254.1.2/v1",
    "http://100.101.102.103:11434/v1",
    "http://[fd12:3456::1]:8000/v1",
    "http://[fe80::1]:8000/v1",
    "http://ollama:11434/v1",
    "http://nas.lan./v1",
    "http://Mac-Studio.local:1234/v1",
    "http://host.docker.internal:11434/v1",
    "http://vllm.models.svc.cluster.local/v1",
    "http://vllm.models.svc/v1",
]
ELSEWHERE = [
    "https://api.openai.com/v1",
    "https://localhost.example.com/v1",
    "http://8.8.8.8/v1",
    "http://172.15.0.1/v1",
    "http://[2001:4860:4860::8888]/v1",
    "http://[::ffff:8.8.8.8]/v1",
]


@pytest.mark.parametrize("base_url", LOCAL)
def test_an_upstream_on_this_machine_or_network_is_called_directly(base_url: str) -> None:
    assert choose_proxy(base_url, own=None, general=GENERAL, exempt=()) is None


@pytest.mark.parametrize("base_url", ELSEWHERE)
def test_an_upstream_elsewhere_is_called_through_the_proxy(base_url: str) -> None:
    assert choose_proxy(base_url, own=None, general=GENERAL, exempt=()) == GENERAL


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:11434/v1", "https://api.openai.com/v1"])
def test_an_upstreams_own_setting_wins(base_url: str) -> None:
    everything = exemptions("*")
    direct = OutboundProxy("direct", "OPENAI_PROXY")

    assert choose_proxy(base_url, own=OWN, general=GENERAL, exempt=everything) == OWN
    assert choose_proxy(base_url, own=direct, general=GENERAL, exempt=()) is None


@pytest.mark.parametrize("base_url", [*LOCAL, *ELSEWHERE])
def test_without_a_proxy_there_is_none(base_url: str) -> None:
    assert choose_proxy(base_url, own=None, general=None, exempt=()) is None


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("entries", "covered", "others"),
    [
        ("*", ["https://api.openai.com/v1", "http://8.8.8.8/v1"], []),
        (
            "example.com",
            ["https://example.com", "https://a.b.Example.com/v1", "https://a.example.com./v1"],
            ["https://notexample.com/v1", "https://example.com.evil.net"],
        ),
        (".example.com", ["https://example.com", "https://a.example.com"], ["https://example.org"]),
        ("*.example.com", ["https://a.example.com/v1"], ["https://example.org/v1"]),
        ("EXAMPLE.com.", ["https://example.com"], ["https://example.org"]),
        ("a.example b.example,\tc.example", ["https://b.example", "https://c.example"], []),
        ("8.8.8.8", ["http://8.8.8.8/v1", "http://[::ffff:8.8.8.8]/v1"], ["http://8.8.4.4/v1"]),
        ("8.8.0.0/16", ["http://8.8.4.4/v1"], ["http://8.9.0.1/v1", "https://8.8.example"]),
        ("8.8.1.1/16", ["http://8.8.4.4/v1"], []),
        ("2001:db8::/32", [], ["http://[2001:4860::1]/v1", "http://8.8.8.8/v1"]),
        ("[2001:4860::1]", ["http://[2001:4860::1]:8000/v1"], ["http://[2001:4860::2]/v1"]),
        ("2001:4860::1", ["http://[2001:4860::1]:8000/v1"], []),
        ("[2001:4860::1]:8000", ["http://[2001:4860::1]:8000/v1"], ["http://[2001:4860::1]/v1"]),
        ("example.com:8443", ["https://example.com:8443/v1"], ["https://example.com/v1"]),
        ("example.com:443", ["https://example.com/v1"], ["http://example.com/v1"]),
        ("8.8.8.8:80", ["http://8.8.8.8/v1"], ["https://8.8.8.8/v1"]),
    ],
)
def test_the_list_of_exemptions_is_read_as_no_proxy_is(
    entries: str, covered: list[str], others: list[str]
) -> None:
    exempt = exemptions(entries)

    for base_url in covered:
        assert choose_proxy(base_url, own=None, general=GENERAL, exempt=exempt) is None
    for base_url in others:
        assert choose_proxy(base_url, own=None, general=GENERAL, exempt=exempt) == GENERAL


def test_exemptions_are_kept_once() -> None:
    assert exemptions("a.example, .a.example,*.a.example") == (Exemption("a.example"),)


@pytest.mark.parametrize(
    "entry",
    ["http://a.example", "a.example/v1", "a*.example", "a.example:0", "a:99999", "a:b", ".", "1.2"],
)
def test_invalid_exemption_is_reported_by_position(entry: str) -> None:
    with pytest.raises(ValueError, match="entry 2 must be a host"):
        exemptions(f"localhost,{entry}")


@pytest.mark.parametrize(
    ("text", "value"), [("DIRECT", "direct"), ("http://p.example:1/", "http://p.example:1")]
)
def test_an_upstreams_proxy_is_an_address_or_direct(text: str, value: str) -> None:
    assert upstream_proxy(text) == value


def test_each_built_in_upstream_has_a_proxy_setting_too() -> None:
    settings = Settings.from_env(
        {
            "PROXY_API_KEYS": KEY,
            "UPSTREAM_PROXY": GENERAL.url,
            "OPENAI_PROXY": "direct",
            "GEMINI_PROXY": "http://gemini.example:3128",
            "ANTHROPIC_PROXY": "http://anthropic.example:3128",
        }
    )

    assert [upstream.proxy for upstream in settings.upstreams] == [
        None,
        OutboundProxy("http://gemini.example:3128", "GEMINI_PROXY"),
        OutboundProxy("http://anthropic.example:3128", "ANTHROPIC_PROXY"),
    ]


@pytest.mark.parametrize("name", ["upstream", "upstream-no", "no", "http", "https", "all"])
def test_no_upstream_has_a_name_whose_proxy_setting_is_another_programs(name: str) -> None:
    prefix = name.upper().replace("-", "_")
    env = {
        "PROXY_API_KEYS": KEY,
        "UPSTREAMS": name,
        f"{prefix}_BASE_URL": "https://a.example/v1",
    }
    with pytest.raises(SettingsError, match=r"^UPSTREAMS: entry 1 is a name"):
        Settings.from_env(env)
