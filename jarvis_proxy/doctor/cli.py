"""``python server.py doctor``: runs the checks in order, prints, and returns an exit code. IO."""

import asyncio
import io
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import http_parser

from jarvis_proxy import __version__
from jarvis_proxy.client_guides.context import guide_context
from jarvis_proxy.client_guides.registry import read_guide
from jarvis_proxy.config.dotenv_file import is_readable, load_environment
from jarvis_proxy.config.names import with_origin
from jarvis_proxy.config.own_address import check_base_urls
from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.doctor.checks import files
from jarvis_proxy.doctor.checks import settings as settings_check
from jarvis_proxy.doctor.checks.port import check_port
from jarvis_proxy.doctor.checks.public_url import check_local_server, check_public_url
from jarvis_proxy.doctor.checks.redis import check_redis_store
from jarvis_proxy.doctor.checks.traces import check_traces
from jarvis_proxy.doctor.checks.upstreams import check_upstreams
from jarvis_proxy.doctor.findings import Check, Finding, exit_code
from jarvis_proxy.doctor.net.machine import ProbeEnv
from jarvis_proxy.doctor.options import Options, parse_options
from jarvis_proxy.doctor.output import Output, progress_on, style_for
from jarvis_proxy.doctor.report import as_json, guides_text, summary_text
from jarvis_proxy.routing.models import ModelRegistry


def main(arguments: Sequence[str], env_file: Path, environ: Mapping[str, str]) -> int:
    """Run the doctor with the *arguments* after ``doctor``; return the exit code (see --help)."""
    try:
        options = parse_options(arguments)
    except SystemExit as exc:
        # argparse has printed the reason.
        return exc.code if isinstance(exc.code, int) else 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or an arrow that the terminal cannot show must not end the report.
        sys.stdout.reconfigure(errors="replace")
    style, progress = style_for(sys.stdout, environ), progress_on(sys.stderr, environ)
    output = Output(sys.stdout, style, options.as_json, progress)
    try:
        config = StartupConfig.read(env_file, environ)
        return asyncio.run(run_checks(ProbeEnv(), output, options, config))
    except KeyboardInterrupt:
        return 130


@dataclass(frozen=True, slots=True)
class StartupConfig:
    """The configuration of a start. *settings* is None if *refusal* prevents the start."""

    env_file: Path
    environ: Mapping[str, str] = field(repr=False)
    file_values: Mapping[str, str] = field(repr=False)
    settings: Settings | None = None
    refusal: SettingsError | None = None

    @classmethod
    def read(cls, env_file: Path, environ: Mapping[str, str]) -> "StartupConfig":
        """Read the file and the environment as the server does."""
        file_values: Mapping[str, str] = {}
        try:
            file_values = load_environment(env_file, {})
            settings = Settings.from_env({**file_values, **environ}, is_readable=is_readable)
            check_base_urls(settings)
        except SettingsError as exc:
            return cls(env_file, environ, file_values, refusal=with_origin(exc, environ))
        return cls(env_file, environ, file_values, settings)

    @property
    def env(self) -> Mapping[str, str]:
        """The file's values, overridden by the environment, as for the server."""
        return {**self.file_values, **self.environ}

    @property
    def registry(self) -> ModelRegistry | None:
        """The registry for *settings*, None without settings."""
        if (settings := self.settings) is None:
            return None
        return ModelRegistry(
            settings.upstreams,
            default_model=settings.default_model,
            aliases=settings.model_aliases,
            fallbacks=settings.fallbacks,
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether this machine has no server, so that the doctor checks one elsewhere."""
        return not self.env_file.exists() and not self.environ.get("PROXY_API_KEYS")


async def run_checks(env: ProbeEnv, output: Output, options: Options, config: StartupConfig) -> int:
    """Run every check in *options*, print the findings, and return the exit code."""
    output.redact(settings_check.secrets(config.env, config.settings))
    output.text(f"Jarvis proxy {__version__}, doctor\n")
    key = settings_check.clear_client_key(config.env)
    # If the server is on another machine, there are no settings to refuse.
    refusal = None if options.url is not None and config.is_elsewhere else config.refusal
    if config.settings is not None:
        await _check_installation(env, output, config, config.settings)
    elif refusal is not None:
        found = [_check_program(), *files.env_file(config.env_file)]
        output.section("Settings", found + settings_check.startup_errors(refusal))
    if options.url is not None:
        findings = await check_public_url(env, options.url, key, output.notice)
        output.section(f"From outside: {options.url.url}", findings)
    code = exit_code(output.findings, settings_refused=refusal is not None)
    context = guide_context(config.settings, config.registry, options.url, env.own_address())
    # Without settings and --url, neither the URL nor the models are known.
    is_known = config.settings is not None or options.url is not None
    guides = [read_guide(client, context) for client in options.clients if is_known]
    if output.as_json:
        output.json(as_json(output.sections, guides, context=context, code=code))
        return code
    if guides:
        output.text(guides_text(guides, output.style))
    output.text(summary_text(output.findings, output.style))
    return code


async def _check_installation(
    env: ProbeEnv, output: Output, config: StartupConfig, settings: Settings
) -> None:
    """Check this machine's server: its settings, the server itself if it runs, its upstreams."""
    output.notice("the settings")
    port, running = await check_port(env, settings)
    found = [
        _check_program(),
        *files.env_file(config.env_file),
        *settings_check.check_settings(settings, config.file_values, config.environ),
        *files.tls_files(settings, env.now()),
        port,
        *await check_redis_store(settings.redis_url),
        *await check_traces(env, settings),
    ]
    output.section("Settings", found)
    if running is not None:
        key = settings_check.clear_client_key(config.env)
        findings = await check_local_server(env, running, key, output.notice)
        output.section("The running proxy", findings)
    results = await check_upstreams(env, settings, output.notice)
    routing = settings_check.models(settings, config.registry, results.listed)
    output.section("Upstreams", [*results.findings, *routing])


def _check_program() -> Finding:
    """Check that the program can run: without the C parser, the server refuses to start."""
    has_c_parser = http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy
    result = "runs" if has_c_parser else "without_c_parser"
    python = platform.python_version()
    return Check("cli", "program").finding(result, version=__version__, python=python)
