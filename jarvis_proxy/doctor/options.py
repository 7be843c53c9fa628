"""The doctor's command line, and the URL in it. Writes usage to the terminal."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.client_guides.context import PORTS, ProxyUrl

_EXPECTED: Final = "must look like https://my.host, without user name, query and #"
_EPILOG: Final = """\
With --url the tests use a client key from PROXY_API_KEYS. If .env holds only digests of keys, or
if there is no .env, give a key in the environment variable JARVIS_KEY.

exit code: 0 all is well, warnings at most; 1 something does not work; 2 wrong arguments;
78 the settings are wrong, the server would not start.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The user's options. *clients* are ids of ``CLIENTS``."""

    url: ProxyUrl | None = None
    as_json: bool = False
    clients: tuple[str, ...] = CLIENTS


def parse_options(arguments: Sequence[str]) -> Options:
    """Return the options in *arguments*, those after ``doctor``.

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
        type=parse_proxy_url,
        metavar="https://my.host",
        help="also test the proxy from outside, under the address that clients use",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--client",
        action="append",
        choices=["all", "none", *CLIENTS],
        metavar="NAME",
        help="print settings for this client only, may be repeated: %(choices)s",
    )
    found = parser.parse_args(arguments)
    chosen = CLIENTS if found.client is None or "all" in found.client else found.client
    return Options(found.url, found.json, tuple(name for name in CLIENTS if name in chosen))


def parse_proxy_url(text: str) -> ProxyUrl:
    """Return the URL in the argument *text*, without ``/v1`` at its end.

    Raises:
        ArgumentTypeError: the message says what would be right; it never repeats *text*.
    """
    error = argparse.ArgumentTypeError(_EXPECTED)
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise error from None
    host = parts.hostname
    is_plain = parts.username is None and not parts.query and not parts.fragment
    if parts.scheme not in PORTS or not host or not is_plain or " " in parts.path:
        raise error
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return ProxyUrl(parts.scheme, host, port or PORTS[parts.scheme], path)
