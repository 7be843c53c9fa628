"""Warnings at the start about settings that work but are risky. Pure."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import urlsplit

from jarvis_proxy.config.addresses import is_local, is_loopback
from jarvis_proxy.config.client_keys import ClientKey
from jarvis_proxy.config.upstreams import UpstreamSettings


def exposure_warnings(
    hosts: Sequence[str],
    client_keys: tuple[ClientKey, ...],
    *,
    tls: bool,
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...],
) -> Iterator[str]:
    """Yield the risks of where the server listens; none for loopback addresses."""
    if any(network.prefixlen == 0 for network in trusted_proxies):
        yield (
            "TRUSTED_PROXIES covers every address, so anyone can claim any address in"
            " X-Forwarded-For: name your own proxies only."
        )
    if all(map(is_loopback, hosts)):
        return
    if any(key.default for key in client_keys):
        yield (
            "PROXY_API_KEYS holds jarvis-local-secret, which everyone knows, and HOST is not a"
            " loopback address: anyone who finds this port can spend your upstream keys. Put a"
            " long random key there, or set HOST=127.0.0.1."
        )
    if weak := [key.name for key in client_keys if key.weak and not key.default]:
        yield (
            f"PROXY_API_KEYS: {len(weak)} of {len(client_keys)} keys are shorter than 16"
            " characters and can be guessed: replace them by long random ones."
        )
    if not tls:
        yield (
            "HOST is not a loopback address and TLS is off, so keys and prompts cross the network"
            " in clear: set TLS_CERT_FILE and TLS_KEY_FILE, or put an HTTPS proxy in front"
            " (deploy/Caddyfile) and set HOST=127.0.0.1."
        )


def upstream_warnings(upstreams: tuple[UpstreamSettings, ...]) -> Iterator[str]:
    """Yield which setting enables each upstream, and which keys would be sent in clear."""
    if not any(upstream.keys for upstream in upstreams):
        yield "No upstream has a key yet, so only the built-in model jarvis-echo answers."
    for upstream in upstreams:
        if not upstream.keys:
            yield (
                f"{upstream.key_setting} is empty: set it to enable the models of {upstream.name}"
                f"{_keyless(upstream)}."
            )
        elif _in_clear(upstream.base_url):
            yield (
                f"The base URL of {upstream.name} is http:// and not on this network: its key"
                " and all prompts cross the network in clear. Use https://."
            )
    yield from _swapped(upstreams)


def _keyless(upstream: UpstreamSettings) -> str:
    if upstream.name in ("openai", "gemini", "anthropic"):
        return ""
    return " (any word will do where the upstream needs no key)"


def _in_clear(base_url: str) -> bool:
    parts = urlsplit(base_url)
    return parts.scheme == "http" and not is_local(parts.hostname or "")


def _swapped(upstreams: tuple[UpstreamSettings, ...]) -> Iterator[str]:
    for upstream in upstreams:
        host = urlsplit(upstream.base_url).hostname or ""
        google = any(key.startswith("AIza") for key in upstream.keys)
        openai = any(key.startswith("sk-") for key in upstream.keys)
        if (host in ("api.openai.com", "api.anthropic.com") and google) or (
            host.endswith(".googleapis.com") and openai
        ):
            yield (
                f"{upstream.key_setting} looks like a key of another upstream: are two keys"
                " swapped?"
            )
