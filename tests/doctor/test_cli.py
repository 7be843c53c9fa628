"""The command: from arguments to an exit code."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from aiohttp import http_parser

from jarvis_proxy.client_guides import CLIENTS
from jarvis_proxy.doctor.cli import StartupConfig, main, run_checks
from jarvis_proxy.doctor.options import parse_options
from jarvis_proxy.doctor.output import Output
from jarvis_proxy.doctor.report import Style
from tests.conftest import KEY, OPENAI_KEY
from tests.doctor.fixtures import free_port, probe_env, run_doctor


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """Return a .env of a server without upstreams, which nobody has to be asked about."""
    path = tmp_path / ".env"
    path.write_text(f"PROXY_API_KEYS={KEY}\nHOST=127.0.0.1\nPORT={free_port()}\n")
    path.chmod(0o600)
    return path


def test_working_setup_exits_with_0(env_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--client", "aider"], env_file, {})
    said = capsys.readouterr()

    assert code == 0
    assert "ok       port" in said.out
    assert "aider --model openai/jarvis-echo" in said.out
    assert "OpenClaw" not in said.out
    assert KEY not in said.out
    assert "\x1b" not in said.out
    assert said.err == ""


def test_json_is_one_object(env_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--json"], env_file, {})
    report = json.loads(capsys.readouterr().out)

    assert (code, report["exit_code"], report["summary"]["problem"]) == (0, 0, 0)
    assert len(report["clients"]) == len(CLIENTS)
    assert {check["section"] for check in report["checks"]} == {"Settings", "Upstreams"}


def test_json_of_invalid_settings_names_no_clients(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--json"], tmp_path / ".env", {})
    report = json.loads(capsys.readouterr().out)

    assert (code, report["exit_code"], report["clients"]) == (78, 78, [])


@pytest.mark.parametrize(("arguments", "code"), [(["--nope"], 2), (["--help"], 0)])
def test_argument_errors_and_help_exit_at_once(
    env_file: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments, env_file, {}) == code
    assert "usage: python server.py doctor" in "".join(capsys.readouterr())


class Interrupted(Mapping[str, str]):
    """An environment that raises KeyboardInterrupt when it is read."""

    def __getitem__(self, name: str) -> str:
        raise KeyboardInterrupt

    def __iter__(self) -> Iterator[str]:
        return iter(("PORT",))

    def __len__(self) -> int:
        return 1


def test_ctrl_c_ends_without_a_traceback(env_file: Path) -> None:
    environ = Interrupted()
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([], env_file, environ) == 130


def test_terminal_without_unicode_gets_the_rest(env_file: Path) -> None:
    raw = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(raw, encoding="ascii", write_through=True)):
        code = main(["--client", "nextchat"], env_file, {})
        said = raw.getvalue()

    assert code == 0
    assert b"Settings ? Custom Endpoint:" in said


async def test_missing_c_parser_is_a_problem(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    out = io.StringIO()
    output = Output(out, style=Style())
    options = parse_options(["--client", "none"])

    assert await run_checks(probe_env(), output, options, StartupConfig.read(env_file, {})) == 1
    assert "aiohttp runs without its C parser" in out.getvalue()


def test_repr_of_the_startup_config_has_no_secret(env_file: Path) -> None:
    start = StartupConfig.read(env_file, {"OPENAI_API_KEY": OPENAI_KEY})

    assert start.settings is not None
    assert not start.is_elsewhere
    assert KEY not in repr(start)
    assert OPENAI_KEY not in repr(start)


async def test_invalid_settings_do_not_prevent_the_url_check(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = await run_doctor(tmp_path, {"PORT": "ninety"}, "--url", url, "--client", "aider")

    assert found.code == 78
    assert "PORT: must be a whole number" in found.text
    assert f"From outside: {url}" in found.text
    assert f"OPENAI_API_BASE={url}/v1" in found.text


async def test_on_another_machine_only_the_url_is_checked(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = await run_doctor(tmp_path, None, "--url", url, "--client", "none")

    assert found.code == 1
    assert "\nSettings\n" not in found.text
