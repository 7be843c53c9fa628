"""The address under which clients reach the proxy. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """An address of the proxy; *path* has no slash at its end and no ``/v1``."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        """The address in its usual form, without ``/v1``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def parse_proxy_url(text: str) -> ProxyUrl:
    """Return the address that *text* holds; ``/v1`` at its end is left out.

    Raises:
        ValueError: saying what would be right; never repeating *text*.
    """
    expected = "must look like https://my.host, without user name, query and #"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError(expected) from None
    host = parts.hostname
    is_plain = parts.username is None and not parts.query and not parts.fragment
    if parts.scheme not in _PORTS or not host or not is_plain or " " in parts.path:
        raise ValueError(expected)
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return ProxyUrl(parts.scheme, host, port or _PORTS[parts.scheme], path)
