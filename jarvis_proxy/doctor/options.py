"""The doctor's command line. Writes usage to the terminal, nothing else."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from jarvis_proxy.doctor.client_guides.registry import CLIENTS

_NONE: Final = "none"
_ALL: Final = "all"
_EPILOG: Final = """\
With --url the tests use a client key from PROXY_API_KEYS; where .env holds only digests of keys,
or where there is no .env, give one in the environment variable JARVIS_KEY.

exit code: 0 all is well, warnings at most; 1 something does not work; 2 wrong arguments;
78 the settings are wrong, the server would not start.
"""


@dataclass(frozen=True, slots=True)
class ProxyUrl:
    """An address under which clients reach the proxy; *path* has no slash at its end."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        """The address in its usual form, without ``/v1``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = {"http": 80, "https": 443}[self.scheme]
        port = "" if self.port == usual else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


@dataclass(frozen=True, slots=True)
class Options:
    """What the doctor is asked for. *clients* are ids of ``CLIENTS``."""

    site: ProxyUrl | None = None
    as_json: bool = False
    clients: tuple[str, ...] = tuple(client.id for client in CLIENTS)


def parse_options(arguments: Sequence[str]) -> Options:
    """Return the options that *arguments* (those after ``doctor``) hold.

    Raises:
        SystemExit: 2 with usage on standard error; 0 after ``--help``.
    """
    parser = argparse.ArgumentParser(
        prog="python server.py doctor",
        description="Check settings, port, TLS files, upstreams and keys, spending no tokens; then"
        "\nprint settings for clients.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--url",
        type=_site,
        metavar="https://my.host",
        help="also test the proxy from outside, under the address that clients use",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--client",
        action="append",
        choices=[_ALL, _NONE, *(client.id for client in CLIENTS)],
        metavar="NAME",
        help="print settings for this client only, may be repeated: %(choices)s",
    )
    found = parser.parse_args(arguments)
    return Options(found.url, found.json, _chosen(found.client))


def _chosen(names: list[str] | None) -> tuple[str, ...]:
    if names is None or _ALL in names:
        return tuple(client.id for client in CLIENTS)
    return tuple(client.id for client in CLIENTS if client.id in names)


def _site(text: str) -> ProxyUrl:
    """Return the address that *text* holds; ``/v1`` at its end is left out."""
    try:
        return parse_proxy_url(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def parse_proxy_url(text: str) -> ProxyUrl:
    """Return the address that *text* holds; ``/v1`` at its end is left out.

    Raises:
        ValueError: saying what would be right; never repeating *text*.
    """
    wanted = "must look like https://my.host, without user name, query and #"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    host = parts.hostname
    is_plain = parts.username is None and not parts.query and not parts.fragment
    if parts.scheme not in ("http", "https") or not host or not is_plain or " " in parts.path:
        raise ValueError(wanted)
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return ProxyUrl(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)
