"""``python server.py doctor``: runs the checks in order, prints, and returns an exit code. IO."""

import asyncio
import io
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiohttp import http_parser

from jarvis_proxy import __version__
from jarvis_proxy.doctor import file_checks, settings_checks
from jarvis_proxy.doctor.client_facts import client_facts
from jarvis_proxy.doctor.clients import CLIENTS, Facts
from jarvis_proxy.doctor.findings import Finding, exit_code, ok, problem
from jarvis_proxy.doctor.network import Machine
from jarvis_proxy.doctor.options import Options, parse_options
from jarvis_proxy.doctor.output import Output, progress_on, style_for
from jarvis_proxy.doctor.port_check import check_port
from jarvis_proxy.doctor.report import as_json, client_text, summary_text, title_text
from jarvis_proxy.doctor.site_checks import check_here, check_site
from jarvis_proxy.doctor.upstream_checks import check_upstreams
from jarvis_proxy.environment import is_readable, load_environment, parse_env
from jarvis_proxy.registry import ModelRegistry
from jarvis_proxy.settings import Settings, SettingsError

_INTERRUPTED: Final = 130


def main(arguments: Sequence[str], env_file: Path, environ: Mapping[str, str]) -> int:
    """Run the doctor and return its exit code; *arguments* are those after ``doctor``.

    0: all is well, warnings at most. 1: something does not work. 2: wrong arguments. 78: the
    settings are wrong, the server would not start.
    """
    try:
        options = parse_options(arguments)
    except SystemExit as exc:  # argparse has said why
        return exc.code if isinstance(exc.code, int) else 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or an arrow that the terminal cannot show must not end the report.
        sys.stdout.reconfigure(errors="replace")
    output = Output(
        sys.stdout,
        style=style_for(sys.stdout, environ),
        as_json=options.as_json,
        progress=progress_on(sys.stderr, environ),
    )
    try:
        return asyncio.run(Doctor(Machine(), output).run(options, env_file, environ))
    except KeyboardInterrupt:
        return _INTERRUPTED


class Doctor:
    """Runs the checks, one section after the other."""

    def __init__(self, machine: Machine, output: Output) -> None:
        self._machine = machine
        self._output = output

    async def run(self, options: Options, env_file: Path, environ: Mapping[str, str]) -> int:
        """Check everything that *options* ask for, print it, and return the exit code."""
        output = self._output
        output.text(f"Jarvis proxy {__version__}, doctor\n")
        env, refusals = _environment(env_file, environ)
        key = settings_checks.clear_client_key(env)
        output.hide([key] if key else [])
        settings: Settings | None = None
        if options.site is None or env_file.exists() or environ.get("PROXY_API_KEYS"):
            settings, refusals = self._settings(env_file, environ, env, refusals)
        if settings is not None:
            await self._examine(settings, key)
        if options.site is not None:
            found = await check_site(self._machine, options.site, key, output.notice)
            output.section(f"From outside: {options.site.url}", found)
        code = exit_code(output.findings, settings_refused=bool(refusals))
        self._conclude(options, self._facts(options, settings), code)
        return code
