"""The command line: checks the environment, then serves. IO."""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import select
import sys
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jarvis_proxy.accounting.prices import load_prices
from jarvis_proxy.aiohttp_ext.installation import aiohttp_problem, has_c_parser, version_hint
from jarvis_proxy.config.dotenv_file import env_file_warnings, is_readable, load_environment
from jarvis_proxy.config.extras import check_extras
from jarvis_proxy.config.names import environment_warnings, with_origin
from jarvis_proxy.config.own_address import check_base_urls
from jarvis_proxy.config.settings import Settings, SettingsError
from jarvis_proxy.observability.file_limit import disable_core_dumps, raise_max_files
from jarvis_proxy.observability.logging import configure_logging, write_text
from jarvis_proxy.runtime import memory
from jarvis_proxy.runtime.tls import tls_context

if TYPE_CHECKING:
    from jarvis_proxy.runtime.worker import WorkerSetup

EX_CONFIG: Final = 78
_LOG: Final = logging.getLogger(__name__)
_ENV_FILE: Final = Path(__file__).resolve().parent.parent / ".env"
_FILES_PER_CONNECTION: Final = 3
_MORE_FILES: Final = 64
_USAGE: Final = """usage: python server.py [doctor], or jarvis-proxy [doctor]
Without an argument it serves; settings are in .env, which .env.example explains. The doctor checks
settings, port, upstreams and keys. In a folder without .env, jarvis-proxy writes one first.
"""
_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def command() -> int:
    """Run the installed command ``jarvis-proxy`` with the .env of the working folder.

    If there is neither a .env nor a client key in the environment, it writes a .env first.
    """
    ensure_std_fds()
    env_file = Path.cwd() / ".env"
    serves = len(sys.argv) == 1 and sys.platform != "win32"
    if serves and not env_file.exists() and not os.environ.get("PROXY_API_KEYS"):
        from jarvis_proxy.config import first_run
        from jarvis_proxy.config.env_example import env_example

        if code := first_run.main(env_file.parent, os.environ, env_example(), "jarvis-proxy"):
            return code
    return main(sys.argv[1:], env_file)


def main(arguments: Sequence[str], env_file: Path | None = None) -> int:
    """Run the command and return its exit code; *env_file* is the project's .env by default.

    The codes are 0: served until asked to stop; 1: the port is not available; 78: the settings are
    invalid.
    """
    ensure_std_fds()
    env_file = env_file or _ENV_FILE
    if sys.platform == "win32":
        print_stderr(
            "Jarvis proxy runs on Linux and macOS. On Windows, run it in WSL: wsl --install\n"
        )
        return 1
    if arguments and arguments[0] == "doctor":
        return _doctor(arguments[1:], env_file)
    if arguments and arguments[0] in ("-h", "--help"):
        write_text(sys.stdout, _USAGE)
        return 0
    if arguments:
        print_stderr(f"unknown argument: {arguments[0]}\n{_USAGE}")
        return 2
    try:
        settings = load_settings(env_file)
    except SettingsError as exc:
        print_stderr(format_problems(exc))
        return EX_CONFIG
    if problem := aiohttp_problem():
        print_stderr(problem)
        return 1
    if not has_c_parser():
        print_stderr(
            "aiohttp runs without its C parser, whose strictness keeps requests from being "
            "smuggled. Install aiohttp's binary wheel: ./start.sh does.\n"
        )
        return 1
    return serve_settings(settings, env_file)


def _doctor(arguments: Sequence[str], env_file: Path) -> int:
    if problem := aiohttp_problem():
        print_stderr(problem)
        return 1
    # Imported late, because the doctor is as large as the server.
    from jarvis_proxy.doctor import cli

    # The doctor holds keys, like the server.
    disable_core_dumps()
    return cli.main(arguments, env_file, os.environ)


def load_settings(env_file: Path) -> Settings:
    """Return the current settings from the environment and .env.

    Raises:
        SettingsError: the settings are invalid; it lists every problem.
    """
    return _load(env_file)[0]


def _load(env_file: Path) -> tuple[Settings, Mapping[str, str]]:
    """Return the settings, and the environment merged with .env that they come from."""
    environ = load_environment(env_file, os.environ)
    try:
        settings = Settings.from_env(environ, is_readable=is_readable)
        check_base_urls(settings)
    except SettingsError as exc:
        raise with_origin(exc, os.environ) from None
    if settings.workers > 1 and sys.platform != "linux":
        raise SettingsError(
            ("WORKERS: more than 1 needs Linux, where the kernel shares out the connections.",)
        )
    check_extras(settings)
    tls_context(settings)
    load_prices(settings)
    if settings.state_dir:
        settings = replace(settings, state_dir=str(env_file.parent / settings.state_dir))
    return settings, environ


def serve_settings(settings: Settings, env_file: Path) -> int:
    """Serve with *settings* from *env_file* until the end; return the exit code."""
    # Imported late, so that invalid settings are reported before these slow imports.
    from jarvis_proxy.runtime.serve import serve

    if settings.workers > 1:
        return _supervise(settings, env_file)
    harden_process()
    raise_file_limit(settings.limits.max_connections)
    writer, log = configure_logging(settings.log_format, settings.log_level)
    _log_warnings(settings, env_file)
    try:
        run_event_loop(serve(settings, log, reload=partial(load_settings, env_file)))
    except OSError as exc:
        _LOG.error("%s", cannot_listen(settings, exc, os.environ))
        return 1
    except SettingsError as exc:
        # The certificate has changed since it was checked.
        _LOG.error("%s", " ".join(exc.problems))
        return EX_CONFIG
    finally:
        writer.close()
    return 0


def _supervise(settings: Settings, env_file: Path) -> int:
    from jarvis_proxy.observability.logging import DirectLineWriter, install_handler
    from jarvis_proxy.runtime.listeners import open_listeners
    from jarvis_proxy.runtime.supervisor import Supervisor

    harden_process()
    raise_file_limit(settings.limits.max_connections)
    writer = DirectLineWriter()
    install_handler(writer, settings.log_format, settings.log_level)
    _log_warnings(settings, env_file)
    try:
        # This event loop ends before the first worker is forked.
        opening = open_listeners(settings.hosts, settings.port, os.environ, settings.workers)
        sockets = asyncio.run(opening)
    except OSError as exc:
        _LOG.error("%s", cannot_listen(settings, exc, os.environ))
        return 1
    return Supervisor(settings, sockets, _run_worker, partial(_load, env_file), writer=writer).run()


def _run_worker(settings: Settings, setup: "WorkerSetup") -> int:
    """Serve as one worker of several; return its exit code."""
    from jarvis_proxy.observability.logging import ThreadedLineWriter, install_handler
    from jarvis_proxy.runtime.worker import run_worker

    # Workers share a pipe, where only writes up to this size are never interleaved.
    writer = ThreadedLineWriter(at_once=select.PIPE_BUF)
    log = install_handler(writer, settings.log_format, settings.log_level)
    try:
        run_event_loop(run_worker(settings, log, setup))
    except SettingsError as exc:
        _LOG.error("%s", " ".join(exc.problems))
        return EX_CONFIG
    finally:
        writer.close()
    return 0


def cannot_listen(settings: Settings, error: OSError, environ: Mapping[str, str]) -> str:
    """Return one line that says why the server cannot listen, and where the address is set."""
    from jarvis_proxy.runtime.listeners import bind_error_hint
    from jarvis_proxy.runtime.port_owner import port_owner

    host = error.filename or ",".join(settings.hosts)
    owner = port_owner(host, settings.port) if error.errno == errno.EADDRINUSE else ""
    sources = [name for name in ("HOST", "PORT") if environ.get(name)]
    note = (
        f"; the environment sets {' and '.join(sources)}, which overrides .env" if sources else ""
    )
    return f"cannot listen on {host}:{settings.port}: {bind_error_hint(error, owner)}{note}"


def _log_warnings(settings: Settings, env_file: Path) -> None:
    from aiohttp import __version__ as aiohttp_version

    upstreams = ",".join(upstream.name for upstream in settings.upstreams)
    for hint in (
        *env_file_warnings(env_file),
        *environment_warnings(os.environ, upstreams),
        *settings.warnings,
        *file_limit_warnings(settings),
        version_hint(aiohttp_version),
    ):
        if hint is not None:
            _LOG.warning("%s", hint)


def run_event_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run *main* on uvloop, or on asyncio's own loop if uvloop is not installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def ensure_std_fds() -> None:
    """Open stdin, stdout and stderr if they are closed.

    Otherwise the next file, such as a client's connection, would get such a number, and output for
    the stream would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as exc:
            if exc.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)


def harden_process() -> None:
    """Disable core dumps and debuggers, which would reveal keys, and tune the GC and malloc."""
    disable_core_dumps()
    disable_ptrace()
    # Exclude living objects from collections, which would cost 5 to 10 % of each request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)
    memory.tune_malloc()


def disable_ptrace() -> None:
    """Prevent other processes of the same user from reading this one's memory, on Linux.

    This also forbids core dumps that are piped to a program, which have no size limit.
    """
    if sys.platform != "linux":
        return
    # MemoryError: libffi may need memory that is both writable and executable.
    with contextlib.suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def raise_file_limit(max_connections: int) -> None:
    """Allow as many open files as *max_connections* need, up to the hard limit."""
    raise_max_files(max(8192, _MORE_FILES + _FILES_PER_CONNECTION * max_connections))


def file_limit_warnings(settings: Settings) -> list[str]:
    """Return a warning if this process may open fewer files than *settings* need."""
    from jarvis_proxy.server.app import connection_limits

    possible = connection_limits(settings).total
    if possible >= settings.limits.max_connections:
        return []
    return [
        f"MAX_CONNECTIONS: only {possible} are possible, for this process may open few files; "
        "raise the limit (`ulimit -n`, LimitNOFILE= in a unit)."
    ]


def format_problems(error: SettingsError) -> str:
    """Return every problem with the settings, one per line."""
    lines = [f"  - {problem}" for problem in error.problems]
    return "\n".join(["Invalid settings; fix them in .env:", *lines, ""])


def print_stderr(text: str) -> None:
    """Write *text* to stderr, even if it is closed or broken."""
    write_text(sys.stderr, text)
