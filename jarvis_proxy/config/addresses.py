"""Parses settings with an address: hosts, URLs, origins and networks. Pure.

These parsers follow ``config.parsers``: they take non-empty text and raise ValueError.
"""

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from jarvis_proxy.config.parsers import split

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
WILDCARDS: Final = ("::", "0.0.0.0")  # noqa: S104 - only compared
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LOCAL_DOMAINS: Final = (
    ".local",
    ".localhost",
    ".internal",
    ".home.arpa",  # reserved
    ".lan",
    ".home",
    ".corp",
    ".intranet",
    ".private",
    # In wide use, and never delegated.
    ".svc",
)
_SOCKS: Final = ("socks5", "socks5h")
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")


def host(text: str) -> str:
    """Parse an IP address (IPv6 with or without brackets) or a host name."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if address_in(bare) or (bare == text and is_host_name(text)):
        return bare
    raise ValueError(
        "must be an IP address or a host name without scheme and port, such as 0.0.0.0 or 127.0.0.1"
    )


def hosts(text: str) -> tuple[str, ...]:
    """Parse the addresses to listen on; each is kept once."""
    return tuple(dict.fromkeys(host(entry) for entry in split(text))) or (host(text),)


def stands_for(host: str) -> tuple[str, ...]:
    """Return the addresses to listen on for *host*; ``::`` includes IPv4's wildcard."""
    return WILDCARDS if host == WILDCARDS[0] else (host,)


def base_url(text: str) -> str:
    """Parse an upstream's base URL; the result has no trailing slash."""
    parts = _http_parts(text)
    if parts is None and _is_odd_address(text):
        raise ValueError(
            "must give an address as four decimal numbers, such as 127.0.0.1: not shortened, not in"
            " octal or hexadecimal, and not as one number"
        )
    if parts is None or parts.username is not None or parts.password is not None:
        raise ValueError(
            "must be an http:// or https:// address with a host, such as https://api.example.com/v1,"
            " without user name, query and #"
        )
    if parts.path.rstrip("/").endswith(("/completions", "/models", "/responses", "/embeddings")):
        raise ValueError(
            "must end before the endpoint: https://api.example.com/v1, "
            "not https://api.example.com/v1/chat/completions"
        )
    return text.rstrip("/")


def proxy_url(text: str) -> str:
    """Parse the outbound proxy's URL, which may contain user name and password."""
    if text.lower().startswith("socks"):
        return _socks_url(text)
    parts = _http_parts(text)
    if parts is None or parts.path not in ("", "/"):
        raise ValueError(
            "must be an http://, https:// or socks5:// proxy address without a path, such as"
            " http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128"
        )
    return text.rstrip("/")


def is_socks(url: str) -> bool:
    """Return whether *url*, a result of ``proxy_url``, is that of a SOCKS5 proxy."""
    return url.partition("://")[0].lower() in _SOCKS


def _socks_url(text: str) -> str:
    parts = _parts(text, _SOCKS)
    if parts is None or parts.path not in ("", "/"):
        raise ValueError(
            "must be a socks5:// or socks5h:// address without a path, such as"
            " socks5://127.0.0.1:1080; SOCKS4 is not supported"
        )
    login = [unquote(part or "") for part in (parts.username, parts.password)]
    if login != ["", ""] and not all(0 < len(part) < 256 and part.isascii() for part in login):
        raise ValueError(
            "must have a user name and a password of 1 to 255 ASCII characters each, or neither,"
            " percent-encoded: socks5://user:password@host:1080"
        )
    return text.rstrip("/")


def redis_url(text: str) -> str:
    """Parse the URL of Redis or Valkey; ``valkey`` schemes become ``redis`` schemes."""
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower().replace("valkey", "redis")
    url = f"{scheme}://{rest}"
    parts = _split_url(url)
    if parts is not None and " " not in text:
        if scheme == "unix" and len(parts.path) > 1:
            return url
        numbered = re.fullmatch(r"/?[0-9]*", parts.path) is not None
        if scheme in ("redis", "rediss") and parts.hostname and numbered:
            return url
    raise ValueError(
        "must be redis://host:6379/0, rediss:// for TLS, or unix:///path/to/socket;"
        " user name and password go before the host, percent-encoded"
    )


def origins(text: str) -> tuple[str, ...]:
    """Parse browser origins: either ``*``, or a list of scheme://host[:port]."""
    if text == "*":
        return ("*",)
    found: dict[str, None] = {}
    for number, entry in enumerate(split(text.lower()), 1):
        origin = entry.removesuffix("/")
        if origin != "null" and _ORIGIN.fullmatch(origin) is None:
            raise ValueError(
                f"entry {number} must be an origin such as https://chat.example.com, without a"
                " path; * stands alone and allows all; empty turns CORS off"
            )
        found[origin] = None
    return tuple(found)


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse addresses and CIDR networks."""
    found: dict[IPv4Network | IPv6Network, None] = {}
    for number, entry in enumerate(split(text), 1):
        try:
            # Strict, because 10.1.2.3/8 would trust sixteen million machines instead of one.
            found[ip_network(entry)] = None
        except ValueError:
            raise ValueError(
                f"entry {number} must be an IP address or a network without host bits,"
                " such as 10.0.0.0/8 or 192.0.2.7"
            ) from None
    return tuple(found)


def is_loopback(name: str) -> bool:
    """Return whether a listening address is reachable from this machine only."""
    if (address := address_in(name)) is not None:
        return address.is_loopback
    bare = name.lower().rstrip(".")
    return bare == "localhost" or bare.endswith(".localhost")


def is_local(name: str) -> bool:
    """Return whether a host is probably local, judging by its name only."""
    if (address := address_in(name)) is not None:
        return not address.is_global
    bare = name.lower().rstrip(".")
    return "." not in bare or bare.endswith(_LOCAL_DOMAINS)


def address_in(text: str) -> IPv4Address | IPv6Address | None:
    """Return *text* as an IP address, an IPv4-mapped one as IPv4; None for a name."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # Python 3.11 does not recognise ::ffff:127.0.0.1 as loopback and ::ffff:8.8.8.8 as public.
    return getattr(address, "ipv4_mapped", None) or address


def is_host_name(text: str) -> bool:
    """Return whether *text* can be a host name, as opposed to a valid or malformed address."""
    labels = text.removesuffix(".").split(".")
    # Resolvers take a name with a numeric last label for an address: 256.0.0.1, 127.1, 0x7f000001.
    return (
        len(text) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMBER.fullmatch(labels[-1])
    )


def _http_parts(text: str) -> SplitResult | None:
    return _parts(text, ("http", "https"))


def _parts(text: str, schemes: tuple[str, ...]) -> SplitResult | None:
    parts = _split_url(text)
    if parts is None or parts.scheme not in schemes:
        return None
    if any(char in text for char in " \\?#") or not text.isascii():
        return None
    name = parts.hostname or ""
    return parts if address_in(name) or is_host_name(name) else None


def _is_odd_address(text: str) -> bool:
    """Return whether a URL's host is a number, which resolvers accept as an address."""
    parts = _split_url(text)
    host = (parts.hostname or "").rstrip(".") if parts is not None else ""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _split_url(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        # This raises if the port is not a number, or too large.
        _ = parts.port
    except ValueError:
        return None
    return parts
