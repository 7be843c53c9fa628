"""Open files and core dumps; and that nothing needs a module that not every system has."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jarvis_proxy.observability import file_limit
from jarvis_proxy.observability.file_limit import (
    NO_LIMIT,
    disable_core_dumps,
    max_files,
    raise_max_files,
)

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import importlib, os, pkgutil, sys
for name in ("fcntl", "resource", "termios", "pwd", "grp", "uvloop"):
    sys.modules[name] = None
del os.register_at_fork, os.fork
import jarvis_proxy
for module in pkgutil.walk_packages(jarvis_proxy.__path__, "jarvis_proxy."):
    importlib.import_module(module.name)
from jarvis_proxy.server.app import connection_limits
from jarvis_proxy.config.settings import Settings
assert connection_limits(Settings()).total == 8192
sys.platform = "win32"
from jarvis_proxy.cli import main
sys.exit(main([]))
"""


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_within_the_hard_one_and_never_lowered() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert max_files() == 256
    raise_max_files(512)
    assert max_files() == 512
    raise_max_files(10)
    assert max_files() == 512
    raise_max_files(NO_LIMIT)
    assert max_files() == (NO_LIMIT if hard == resource.RLIM_INFINITY else hard)


def test_a_core_dump_is_forbidden() -> None:
    disable_core_dumps()

    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_where_there_is_no_limit_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_limit, "resource", None)
    raise_max_files(10)
    disable_core_dumps()

    assert max_files() == NO_LIMIT


@pytest.mark.slow
def test_every_module_is_imported_without_posix_modules_and_windows_is_sent_to_wsl() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("Jarvis proxy runs on Linux and macOS. On Windows, run it in WSL")
