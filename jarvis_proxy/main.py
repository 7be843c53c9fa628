"""The command: checks what it starts from, then serves. IO."""

import asyncio
import gc
import logging
import os
import resource
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from aiohttp import http_parser

from jarvis_proxy.environment import env_file_hints, is_readable, load_environment
from jarvis_proxy.settings import Settings, SettingsError
from jarvis_proxy.web.log import configure_logging
from jarvis_proxy.web.serve import serve

EX_CONFIG: Final = 78
_LOG: Final = logging.getLogger(__name__)
_ENV_FILE: Final = Path(__file__).resolve().parent.parent / ".env"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code.

    0: served until told to stop. 1: the port cannot be had. 78: the settings are wrong.
    """
    if arguments:
        sys.stderr.write(f"unknown argument: {arguments[0]}\nusage: python server.py\n")
        return 2
    try:
        settings = Settings.from_env(
            load_environment(_ENV_FILE, os.environ), is_readable=is_readable
        )
    except SettingsError as exc:
        sys.stderr.write(problems_text(exc))
        return EX_CONFIG
    if not has_c_parser():
        sys.stderr.write(
            "aiohttp runs without its C parser, whose strictness keeps requests from being "
            "smuggled. Install aiohttp's binary wheel: ./start.sh does.\n"
        )
        return 1
    return _serve(settings)


def _serve(settings: Settings) -> int:
    harden()
    writer, log = configure_logging(settings.log_format, settings.log_level)
    for hint in (*env_file_hints(_ENV_FILE), *settings.hints):
        _LOG.warning("%s", hint)
    try:
        run(serve(settings, log))
    except OSError as exc:
        reason = exc.strerror or exc
        _LOG.error("cannot listen on %s:%d: %s", settings.host, settings.port, reason)
        return 1
    finally:
        writer.close()
    return 0


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* on uvloop, or on asyncio's own loop where uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def harden() -> None:
    """Leave no core dump, which would hold keys and content, and settle the garbage collector."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What is alive now stays alive: collecting it again and again costs 5 to 10 % of a request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


def has_c_parser() -> bool:
    """Tell whether aiohttp parses requests in C."""
    return http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy


def problems_text(error: SettingsError) -> str:
    """Return every problem of the settings, one a line."""
    lines = [f"  - {problem}" for problem in error.problems]
    return "\n".join(["The settings are wrong. Mend them in .env:", *lines, ""])
