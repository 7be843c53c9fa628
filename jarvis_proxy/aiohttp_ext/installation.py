"""Checks of the installed aiohttp: its version, whether it loads, its C parser. IO (imports)."""

import importlib
import platform
import re
from typing import Final

LOWEST: Final = "3.14.4"
NEWEST: Final = "3.14.5"
_RELEASE: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)", re.ASCII)


def version_hint(version: str) -> str | None:
    """Return a warning about an untested version of aiohttp, None for a tested one.

    *version* is aiohttp's own version text. Pre-releases count as untested.
    """
    if _is_tested(version):
        return None
    return (
        f"aiohttp {version} is installed; Jarvis proxy was tested with {LOWEST} to {NEWEST}. "
        "It serves. Should calls fail strangely, install one of those: ./start.sh does."
    )


def aiohttp_problem() -> str | None:
    """Return why aiohttp cannot be loaded, None if it can."""
    try:
        importlib.import_module("aiohttp")
    except Exception as exc:
        # A build for another Python can fail with any exception.
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("aiohttp")
        except PackageNotFoundError:
            found = "(none is installed)"
        return _load_problem(found, platform.python_version(), exc)
    return None


def has_c_parser() -> bool:
    """Tell whether aiohttp parses requests in C."""
    from aiohttp import http_parser

    return http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


def _load_problem(version: str, python: str, error: BaseException) -> str:
    """Return the message for an aiohttp that Python cannot load."""
    return (
        f"aiohttp {version} cannot be loaded by Python {python} "
        f"({type(error).__name__}: {error}). Install aiohttp {LOWEST} to {NEWEST}: "
        "./start.sh does.\n"
    )


def _is_tested(version: str) -> bool:
    found = _RELEASE.fullmatch(version)
    return found is not None and _key(LOWEST) <= _key(version) <= _key(NEWEST)


def _key(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))
