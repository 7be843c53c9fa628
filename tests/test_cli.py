"""The command: what it checks before it serves, what it says, and how it ends."""

import asyncio
import ctypes
import gc
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import http_parser

from jarvis_proxy import cli as command
from jarvis_proxy.aiohttp_ext.installation import has_c_parser
from jarvis_proxy.cli import (
    EX_CONFIG,
    disable_ptrace,
    ensure_std_fds,
    format_problems,
    harden_process,
    main,
    raise_file_limit,
    run_event_loop,
)
from jarvis_proxy.config.settings import Settings, SettingsError
from tests.conftest import KEY
from tests.support.server_process import clean_environ, free_port, make_project, running_server

pytestmark = pytest.mark.slow

PR_SET_DUMPABLE = 4


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    """Undo what starting a server changes in this process."""
    root = logging.getLogger()
    handlers, level, loud = root.handlers[:], root.level, logging.raiseExceptions
    files, threshold = resource.getrlimit(resource.RLIMIT_NOFILE), gc.get_threshold()
    hang_up = signal.getsignal(signal.SIGHUP)
    yield
    root.handlers[:], root.level, logging.raiseExceptions = handlers, level, loud
    resource.setrlimit(resource.RLIMIT_NOFILE, files)
    gc.set_threshold(*threshold)
    gc.unfreeze()
    signal.signal(signal.SIGHUP, hang_up)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return the means to set the environment, which begins without any setting of the proxy."""
    for name in set(os.environ) - set(clean_environ({})):
        if not name.startswith(("PYTEST", "COV", "VIRTUAL")):
            monkeypatch.delenv(name)
    # Only the file's place changes: the .env next to the code is the developer's own.
    monkeypatch.setattr(command, "_ENV_FILE", tmp_path / ".env")
    return monkeypatch


def usual(env: pytest.MonkeyPatch, **more: str) -> int:
    """Set what a start needs; return the port."""
    port = free_port()
    needed = {"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", "PORT": str(port), "STATE_DIR": ""}
    for name, value in needed.items():
        env.setenv(name, value)
    for name, value in more.items():
        env.setenv(name, value)
    return port


# In this process


def test_server_runs_until_it_is_stopped(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    port = usual(env)
    answers: list[bytes] = []

    def visit() -> None:
        deadline = time.monotonic() + 10
        while not answers and time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as sock:
                    sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    answers.append(sock.recv(4096))
            except OSError:
                time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    visitor = threading.Thread(target=visit)
    visitor.start()
    code = main([])
    visitor.join()

    said = capfd.readouterr().err
    assert code == 0
    assert answers[0].startswith(b"HTTP/1.1 200 OK")
    assert f"info serving on http://127.0.0.1:{port}\n" in said
    assert "OPENAI_API_KEY is empty: set it to enable the models of openai." in said
    assert KEY not in said
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_port_in_use_is_one_error_line(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    port = usual(env, OPENAI_API_KEY="sk-a-b-c-d", GEMINI_API_KEY="AIza-a-b-c-d")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        code = main([])

    said = capfd.readouterr().err
    assert code == 1
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if " warning " not in line]
    assert f" error cannot listen on 127.0.0.1:{port}: " in line


def test_a_host_that_a_shell_exported_is_named_with_its_origin(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    usual(env, HOST="x86_64-conda-linux-gnu")
    code = main([])

    said = capfd.readouterr().err
    assert code == 1
    (line,) = [line for line in said.splitlines() if " error " in line]
    assert "cannot listen on x86_64-conda-linux-gnu:" in line
    assert "the environment sets HOST and PORT, which overrides .env" in line
    assert "run `unset HOST`" in said


def test_a_host_of_the_file_is_not_called_the_environments(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    usual(env)
    env.delenv("HOST")
    env.delenv("PORT")
    (tmp_path / ".env").write_text("HOST=127.0.0.1,192.0.2.1\nPORT=27999\n")
    code = main([])

    said = capfd.readouterr().err
    assert code == 1
    (line,) = [line for line in said.splitlines() if " error " in line]
    assert "cannot listen on 192.0.2.1:27999: " in line
    assert "environment" not in line


def test_a_wrong_value_of_the_environment_says_so(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("IDLE_TIMEOUT=none\n")
    usual(env, PORT="tcp://172.17.0.2:9000")
    code = main([])

    said = capfd.readouterr().err
    assert code == EX_CONFIG
    lines = {line.partition(":")[0]: line for line in said.splitlines()}
    assert lines["  - PORT"].endswith("The environment sets it, which overrides .env.")
    assert "environment" not in lines["  - IDLE_TIMEOUT"]


def test_all_problems_are_reported_at_once_without_values(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("IDLE_TIMEOUT=canary-of-the-file\n")
    usual(
        env,
        PROXY_API_KEYS="name:canary key with spaces",
        PORT="canary-port",
        OPENAI_BASE_URL="canary://base",
        LOG_LEVEL="canary-level",
        TLS_CERT_FILE="/canary/certificate",
        WORKERS="2",
    )
    code = main([])

    said = capfd.readouterr()
    assert code == EX_CONFIG == 78
    for name in (
        "PROXY_API_KEYS",
        "PORT",
        "OPENAI_BASE_URL",
        "LOG_LEVEL",
        "TLS_CERT_FILE",
        "TLS_KEY_FILE",
        "WORKERS",
        "IDLE_TIMEOUT",
    ):
        assert f"  - {name}: " in said.err
    assert "canary" not in said.err + said.out


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_base_url_that_leads_here_is_a_wrong_setting(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], host: str
) -> None:
    port = usual(env)
    env.setenv("OPENAI_BASE_URL", f"http://{host}:{port}/v1")
    code = main([])

    said = capfd.readouterr().err
    assert code == EX_CONFIG
    assert f"  - OPENAI_BASE_URL: must not lead to this proxy itself (port {port} " in said
    assert "The environment sets it, which overrides .env." in said


def test_certificate_that_is_none_is_a_wrong_setting(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("canary")
    usual(env, TLS_CERT_FILE=str(tmp_path / "cert.pem"), TLS_KEY_FILE=str(tmp_path / "key.pem"))
    code = main([])

    said = capfd.readouterr().err
    assert code == EX_CONFIG
    assert "TLS_CERT_FILE" in said
    assert "canary" not in said


def test_prices_that_are_none_are_a_wrong_setting(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "prices.json").write_text("canary")
    usual(env, PRICES_FILE=str(tmp_path / "prices.json"))
    code = main([])

    said = capfd.readouterr().err
    assert code == EX_CONFIG
    assert "  - PRICES_FILE: must be JSON" in said
    assert "canary" not in said


def test_a_store_without_its_package_is_refused_with_what_to_do(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    usual(env, REDIS_URL="redis://:canary@127.0.0.1:6379/0")
    env.setitem(sys.modules, "redis", None)
    code = main([])

    said = capfd.readouterr().err
    assert code == EX_CONFIG
    assert "  - REDIS_URL needs the Python package redis, which is not installed" in said
    assert "canary" not in said


def test_workers_are_refused_where_the_kernel_does_not_share_out_connections(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    usual(env, REDIS_URL="redis://127.0.0.1:6379/0", WORKERS="2")
    env.setattr(sys, "platform", "darwin")
    code = main([])

    assert code == EX_CONFIG
    assert "  - WORKERS: more than 1 needs Linux" in capfd.readouterr().err


def test_certificate_that_breaks_at_the_last_moment_is_reported(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = {"TLS_CERT_FILE": "/nowhere/cert.pem", "TLS_KEY_FILE": "/nowhere/key.pem"}
    settings = Settings.from_env({"PROXY_API_KEYS": KEY, "HOST": "127.0.0.1", **gone})
    code = command.serve_settings(settings, Path("/nowhere/.env"))

    assert code == EX_CONFIG
    assert " error TLS_CERT_FILE" in capfd.readouterr().err


def test_unknown_argument_prints_the_usage(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--verbose"]) == 2
    assert "usage: python server.py" in capfd.readouterr().err


def test_the_installed_command_reads_the_env_file_of_the_working_folder(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PORT=none\n")
    env.chdir(tmp_path)
    env.setattr(command, "_ENV_FILE", tmp_path / "another" / ".env")
    env.setattr(sys, "argv", ["jarvis-proxy"])

    assert command.command() == EX_CONFIG
    assert "PORT: must be a whole number" in capfd.readouterr().err


def test_the_installed_command_writes_an_env_file_where_there_is_none(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    env.chdir(tmp_path)
    env.setattr(sys, "argv", ["jarvis-proxy"])
    env.setenv("PORT", "none")  # so that it does not serve

    assert command.command() == EX_CONFIG
    said = capfd.readouterr()
    (key,) = re.findall(r"JARVIS_KEY=(sk-jarvis-\w{64})\n", said.out)
    assert f"PROXY_API_KEYS={key}\n" in (tmp_path / ".env").read_text()
    assert "PROXY_API_KEYS" not in said.err


@pytest.mark.parametrize(("argument", "key"), [("", KEY), ("doctor", ""), ("--help", "")])
def test_the_installed_command_writes_nothing_where_no_file_is_missing(
    env: pytest.MonkeyPatch, tmp_path: Path, argument: str, key: str
) -> None:
    env.chdir(tmp_path)
    env.setattr(sys, "argv", ["jarvis-proxy", *filter(None, [argument])])
    env.setenv("PORT", "none")
    env.setenv("PROXY_API_KEYS", key)
    command.command()

    assert list(tmp_path.iterdir()) == []


def test_the_installed_command_says_why_it_cannot_write(
    env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    env.chdir(tmp_path)
    env.setattr(sys, "argv", ["jarvis-proxy"])
    env.setattr("jarvis_proxy.config.first_run.write_new", refuse)

    assert command.command() == 73
    assert "jarvis-proxy: cannot write .env (Permission denied)" in capfd.readouterr().err


def test_the_state_folder_is_next_to_the_env_file(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual(env, STATE_DIR="counters")
    file = tmp_path / "elsewhere" / ".env"

    assert command.load_settings(file).state_dir == str(tmp_path / "elsewhere" / "counters")
    env.setenv("STATE_DIR", "")
    assert command.load_settings(file).state_dir == ""


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_is_text_and_no_fault(capfd: pytest.CaptureFixture[str], argument: str) -> None:
    assert main([argument]) == 0
    said = capfd.readouterr()
    assert said.out.startswith("usage: python server.py")
    assert said.err == ""


@pytest.mark.parametrize(("argument", "code"), [("--help", 0), ("--nonsense", 2)])
def test_doctor_is_called_by_its_name(
    capfd: pytest.CaptureFixture[str], argument: str, code: int
) -> None:
    assert main(["doctor", argument]) == code
    said = capfd.readouterr()
    assert "doctor" in said.out + said.err


def test_slow_parser_is_refused(env: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert has_c_parser()
    env.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    usual(env)

    assert not has_c_parser()
    assert main([]) == 1
    assert "C parser" in capfd.readouterr().err


def test_few_files_are_hinted_at() -> None:
    settings = Settings.from_env({"PROXY_API_KEYS": KEY, "MAX_CONNECTIONS": "1000000"})

    (hint,) = command.file_limit_warnings(settings)
    assert "MAX_CONNECTIONS: only " in hint
    assert (
        command.file_limit_warnings(
            Settings.from_env({"PROXY_API_KEYS": KEY, "MAX_CONNECTIONS": "8"})
        )
        == []
    )


def test_problems_are_one_a_line() -> None:
    assert format_problems(SettingsError(("PORT: a.", "HOST: b."))) == (
        "Invalid settings; fix them in .env:\n  - PORT: a.\n  - HOST: b.\n"
    )


@pytest.mark.parametrize("has_uvloop", [True, False])
def test_loop_is_uvloops_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, *, has_uvloop: bool
) -> None:
    if not has_uvloop:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    seen: list[str] = []

    async def look() -> None:
        seen.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    run_event_loop(look())

    assert seen == ["uvloop" if has_uvloop else "asyncio"]


def test_closed_streams_are_opened() -> None:
    """Else a client's connection could become the number that errors are written to."""
    kept = os.dup(0)
    try:
        os.close(0)
        ensure_std_fds()
        assert os.fstat(0).st_rdev == Path(os.devnull).stat().st_rdev
        ensure_std_fds()
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_file_limit_is_raised_within_the_hard_one() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    raise_file_limit(100)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == (8192 if hard == resource.RLIM_INFINITY else min(8192, hard))

    raise_file_limit(10**6)
    higher, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft <= higher
    raise_file_limit(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == higher  # never lowered


def test_collector_leaves_alone_what_is_there_at_the_start() -> None:
    harden_process()

    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold()[0] > 700
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_tracing_is_forbidden_on_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "linux":
        disable_ptrace()
        assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
    monkeypatch.setattr(sys, "platform", "darwin")
    disable_ptrace()


# As a process


def started(project: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Start the server where it cannot serve; return what it said."""
    return subprocess.run(
        [sys.executable, "server.py"],
        cwd=project,
        env=clean_environ(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_process_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    done = started(make_project(tmp_path, "OPENAI_API_KEY=sk-canary\nPORT=none\n"))

    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "Invalid settings; fix them in .env:"
    assert "PROXY_API_KEYS" in done.stderr
    assert "PORT" in done.stderr
    assert "canary" not in done.stderr
    assert "Traceback" not in done.stderr


def test_process_without_the_c_parser_does_not_serve(tmp_path: Path) -> None:
    done = started(make_project(tmp_path), PROXY_API_KEYS=KEY, AIOHTTP_NO_EXTENSIONS="1")

    assert done.returncode == 1
    assert "C parser" in done.stderr
    assert "Traceback" not in done.stderr


async def test_process_without_an_upstream_answers_by_the_built_in_model(tmp_path: Path) -> None:
    async with running_server(make_project(tmp_path)) as server:
        response = await server.echo()
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 0
        log = server.log

    assert response.status == 200
    assert b'"content":"hello"' in response.body
    assert "so only the built-in model jarvis-echo answers" in log
    assert "Traceback" not in log


async def test_documented_example_works_as_a_start(tmp_path: Path) -> None:
    example = (
        "OPENAI_API_KEY=sk-xxx              # OpenAI\n"
        "GEMINI_API_KEY=AIzaSyxxx\n"
        "PROXY_API_KEYS=jarvis-local-secret # the clients' key\n"
    )
    project = make_project(tmp_path, example)
    async with running_server(project, env={"PROXY_API_KEYS": "jarvis-local-secret"}) as server:
        response = await server.echo("jarvis-local-secret")
        await server.logged("call id=")
        log = server.log

    assert response.status == 200
    assert log.count("holds a placeholder, which counts as empty") == 2
