"""What the log says at the start, and that it keeps quiet where nothing is odd."""

from hashlib import sha256
from ipaddress import ip_network

import pytest

from jarvis_proxy.config.client_keys import ClientKey
from jarvis_proxy.config.upstreams import DEFAULT_UPSTREAMS, UpstreamSettings
from jarvis_proxy.config.warnings import exposure_warnings, upstream_warnings

STRONG = ClientKey("strong", sha256(b"s").digest())
WEAK = ClientKey("weak", sha256(b"w").digest(), weak=True)
EXAMPLE = ClientKey("example", sha256(b"e").digest(), default=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_a_loopback_address_nothing_is_risky(host: str) -> None:
    assert list(exposure_warnings([host], (WEAK, EXAMPLE), tls=False, trusted_proxies=())) == []


def test_strong_keys_and_tls_need_no_word() -> None:
    networks = (ip_network("10.0.0.0/8"),)

    assert list(exposure_warnings(["0.0.0.0"], (STRONG,), tls=True, trusted_proxies=networks)) == []


@pytest.mark.parametrize(
    ("keys", "tls", "phrase"),
    [
        ((STRONG, EXAMPLE), True, "set HOST=127.0.0.1"),
        ((STRONG, WEAK), True, "1 of 2 keys are shorter than 16 characters"),
        ((STRONG,), False, "set TLS_CERT_FILE and TLS_KEY_FILE"),
    ],
)
def test_each_risk_on_a_public_address_is_one_sentence_that_says_what_to_do(
    keys: tuple[ClientKey, ...], tls: bool, phrase: str
) -> None:
    (hint,) = exposure_warnings(["0.0.0.0"], keys, tls=tls, trusted_proxies=())

    assert phrase in hint
    assert "\n" not in hint


def test_trusting_every_proxy_is_warned_about_even_on_loopback() -> None:
    (hint,) = exposure_warnings(
        ["127.0.0.1"], (STRONG,), tls=False, trusted_proxies=(ip_network("::/0"),)
    )

    assert "TRUSTED_PROXIES" in hint


def test_without_any_key_each_upstream_names_its_setting() -> None:
    extra = UpstreamSettings("my-llm", "http://ollama:11434/v1")

    assert list(upstream_warnings((*DEFAULT_UPSTREAMS, extra))) == [
        "No upstream has a key yet, so only the built-in model jarvis-echo answers.",
        "OPENAI_API_KEY is empty: set it to enable the models of openai.",
        "GEMINI_API_KEY is empty: set it to enable the models of gemini.",
        "ANTHROPIC_API_KEY is empty: set it to enable the models of anthropic.",
        "MY_LLM_API_KEY is empty: set it to enable the models of my-llm (any word will do where"
        " the upstream needs no key).",
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://llm.example.com/v1", False),
        ("http://llm.example.com/v1", True),
        ("http://8.8.8.8/v1", True),
        ("http://ollama:11434/v1", False),
        ("http://192.168.1.9/v1", False),
    ],
)
def test_key_sent_in_clear_text_is_warned_about(url: str, expected: bool) -> None:
    hints = list(upstream_warnings((UpstreamSettings("x", url, ("k",)),)))

    assert expected is any("in clear" in hint for hint in hints)


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ((("sk-1",), ("AIza1",)), 0),
        ((("AIza1",), ("sk-1",)), 2),
        ((("sk-1", "AIza1"), ("AIza2",)), 1),
    ],
)
def test_swapped_keys_are_warned_about(keys: tuple[tuple[str, ...], ...], count: int) -> None:
    swapped = tuple(
        UpstreamSettings(upstream.name, upstream.base_url, pool)
        for upstream, pool in zip(DEFAULT_UPSTREAMS[:2], keys, strict=True)
    )

    assert count == sum("swapped" in hint for hint in upstream_warnings(swapped))


def test_another_openai_compatible_upstream_may_have_any_key() -> None:
    upstream = UpstreamSettings("openai", "https://gw.example/v1", ("AIza1",))

    assert list(upstream_warnings((upstream,))) == []
