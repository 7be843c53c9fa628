"""``python server.py doctor``: runs the checks in order, prints, and returns an exit code. IO."""

import asyncio
import io
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from aiohttp import http_parser

from jarvis_proxy import __version__
from jarvis_proxy.doctor.checks import files
from jarvis_proxy.doctor.checks import settings as settings_check
from jarvis_proxy.doctor.checks.port import check_port
from jarvis_proxy.doctor.checks.public_url import check_local_server, check_public_url
from jarvis_proxy.doctor.checks.redis import check_redis_store
from jarvis_proxy.doctor.checks.upstreams import check_upstreams
from jarvis_proxy.doctor.client_guides.context import guide_context
from jarvis_proxy.doctor.client_guides.registry import read_guide
from jarvis_proxy.doctor.findings import Finding, exit_code, ok, problem
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.options import Options, parse_options
from jarvis_proxy.doctor.output import Output, progress_on, style_for
from jarvis_proxy.doctor.report import as_json, guide_text, paragraph, summary_text, title_text
from jarvis_proxy.environment import is_readable, load_environment
from jarvis_proxy.own_address import check_base_urls
from jarvis_proxy.registry import ModelRegistry
from jarvis_proxy.settings import Settings, SettingsError
from jarvis_proxy.settings_names import with_origin

_INTERRUPTED: Final = 130
_KEY_HINT: Final = (
    "The key of a client is one of PROXY_API_KEYS in .env; put it where YOUR-PROXY-KEY stands, or"
    " into the environment variable JARVIS_KEY."
)


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
        return asyncio.run(
            run_checks(ProbeEnv(), output, options, StartupConfig.read(env_file, environ))
        )
    except KeyboardInterrupt:
        return _INTERRUPTED


@dataclass(frozen=True, slots=True)
class StartupConfig:
    """What the server would start from. *settings* is None where it would not, see *refusal*."""

    env_file: Path
    environ: Mapping[str, str] = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    file_values: Mapping[str, str] = field(repr=False)
    settings: Settings | None
    refusal: SettingsError | None

    @classmethod
    def read(cls, env_file: Path, environ: Mapping[str, str]) -> "StartupConfig":
        """Read the file and the environment as the server does."""
        file_values: Mapping[str, str] = {}
        settings, refusal = None, None
        try:
            file_values = load_environment(env_file, {})
            settings = Settings.from_env({**file_values, **environ}, is_readable=is_readable)
            check_base_urls(settings)
        except SettingsError as exc:
            settings = None
            refusal = with_origin(exc, environ)
        env = {**file_values, **environ}
        return cls(env_file, environ, env, file_values, settings, refusal)

    @property
    def is_elsewhere(self) -> bool:
        """Whether no server was ever set up here: the doctor visits one from another machine."""
        return not self.env_file.exists() and not self.environ.get("PROXY_API_KEYS")


async def run_checks(
    machine: ProbeEnv, output: Output, options: Options, start: StartupConfig
) -> int:
    """Check everything that *options* ask for, print it, and return the exit code."""
    output.hide(settings_check.secrets(start.env, start.settings))
    output.text(f"Jarvis proxy {__version__}, doctor\n")
    registry = None if start.settings is None else _registry(start.settings)
    key = settings_check.clear_client_key(start.env)
    is_visit = options.url is not None and start.is_elsewhere
    if start.settings is not None and registry is not None:
        await _check_set_up(machine, output, start, start.settings, registry)
    elif start.refusal is not None and not is_visit:
        found = [*_program(), *files.env_file(start.env_file)]
        output.section("Settings", found + settings_check.startup_errors(start.refusal))
    if options.url is not None:
        findings = await check_public_url(machine, options.url, key, output.notice)
        output.section(f"From outside: {options.url.url}", findings)
    refused = start.refusal is not None and not is_visit
    code = exit_code(output.findings, settings_refused=refused)
    context = guide_context(start.settings, registry, options.url, machine.own_address())
    # Without settings and --url neither the address nor the models are known.
    is_known = start.settings is not None or options.url is not None
    guides = [read_guide(client, context) for client in options.clients if is_known]
    if output.as_json:
        output.json(as_json(__version__, output.sections, guides, context=context, code=code))
        return code
    if guides:
        output.text(title_text("Settings for clients", output.style))
        output.text(paragraph(_KEY_HINT, output.style))
    for guide in guides:
        output.text(guide_text(guide, output.style))
    output.text(summary_text(output.findings, output.style))
    return code


async def _check_set_up(
    machine: ProbeEnv,
    output: Output,
    start: StartupConfig,
    settings: Settings,
    registry: ModelRegistry,
) -> None:
    """Check this machine's server: its settings, the server itself if it runs, its upstreams."""
    output.notice("the settings")
    port, running = await check_port(machine, settings)
    found = [
        *_program(),
        *files.env_file(start.env_file),
        *settings_check.check_settings(settings, start.file_values, start.environ),
        *files.tls_files(settings, machine.now()),
        port,
        *await check_redis_store(settings.redis_url),
    ]
    output.section("Settings", found)
    if running is not None:
        key = settings_check.clear_client_key(start.env)
        findings = await check_local_server(machine, running, key, output.notice)
        output.section("The running proxy", findings)
    results = await check_upstreams(machine, settings, output.notice)
    routing = settings_check.models(settings, registry, results.listed)
    output.section("Upstreams", [*results.findings, *routing])


def _registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry(
        settings.upstreams,
        default_model=settings.default_model,
        aliases=settings.model_aliases,
        fallbacks=settings.fallbacks,
    )


def _program() -> list[Finding]:
    """Return whether the program itself can run: the server refuses to without the C parser."""
    check = "program"
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        return [
            problem(
                check,
                "aiohttp runs without its C parser, whose strictness keeps requests from being"
                " smuggled",
                "Install aiohttp's binary wheel: ./start.sh does.",
            )
        ]
    return [ok(check, f"version {__version__} on Python {platform.python_version()}")]
