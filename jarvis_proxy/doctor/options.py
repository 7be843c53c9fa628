"""The doctor's command line. Writes usage to the terminal, nothing else."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jarvis_proxy.doctor.client_guides.registry import CLIENTS
from jarvis_proxy.doctor.net.proxy_url import ProxyUrl, parse_proxy_url

_NONE: Final = "none"
_ALL: Final = "all"
_EPILOG: Final = """\
With --url the tests use a client key from PROXY_API_KEYS. If .env holds only digests of keys, or
if there is no .env, give a key in the environment variable JARVIS_KEY.

exit code: 0 all is well, warnings at most; 1 something does not work; 2 wrong arguments;
78 the settings are wrong, the server would not start.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asks the doctor for. *clients* are ids of ``CLIENTS``."""

    url: ProxyUrl | None = None
    as_json: bool = False
    clients: tuple[str, ...] = CLIENTS


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
        type=_url_argument,
        metavar="https://my.host",
        help="also test the proxy from outside, under the address that clients use",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.add_argument(
        "--client",
        action="append",
        choices=[_ALL, _NONE, *CLIENTS],
        metavar="NAME",
        help="print settings for this client only, may be repeated: %(choices)s",
    )
    found = parser.parse_args(arguments)
    chosen = CLIENTS if found.client is None or _ALL in found.client else found.client
    return Options(found.url, found.json, tuple(name for name in CLIENTS if name in chosen))


def _url_argument(text: str) -> ProxyUrl:
    try:
        return parse_proxy_url(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
