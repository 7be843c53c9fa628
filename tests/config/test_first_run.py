"""The first start: .env appears whole, private, and once."""

import errno
import os
import re
from pathlib import Path

import pytest

from jarvis_proxy.config.dotenv_file import load_environment
from jarvis_proxy.config.first_run import env_text, first_start_message, main, new_key, write_new
from jarvis_proxy.config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_bytes((ROOT / ".env.example").read_bytes())
    return tmp_path


def test_a_key_has_256_bits_and_is_new_each_time() -> None:
    first, second = new_key(), new_key()

    assert re.fullmatch(r"sk-jarvis-[0-9a-f]{64}", first)
    assert first != second


def test_the_key_goes_into_its_line_and_nothing_else_changes() -> None:
    assert env_text("# a\nPROXY_API_KEYS=\r\nPORT=1\n", "k") == "# a\nPROXY_API_KEYS=k\nPORT=1\n"


def test_an_example_without_the_line_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no line PROXY_API_KEYS="):
        env_text("#PROXY_API_KEYS=\n", "k")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_reads_the_file_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        written = write_new(tmp_path / ".env", "A=1\n")
    finally:
        os.umask(before)

    assert written
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine\n")

    assert not write_new(tmp_path / ".env", "A=1\n")
    assert (tmp_path / ".env").read_text() == "mine\n"
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize("there", [False, True])
def test_a_file_system_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    if there:
        (tmp_path / ".env").write_text("mine\n")

    assert write_new(tmp_path / ".env", "A=1\n") is not there
    assert (tmp_path / ".env").read_text() == ("mine\n" if there else "A=1\n")
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_the_first_start_shows_the_key_once_and_the_second_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(folder, {}) == 0
    shown = capsys.readouterr().out
    assert main(folder, {}) == 0
    (key,) = re.findall(r"sk-jarvis-[0-9a-f]{64}", shown)

    assert "http://127.0.0.1:9000/v1/chat/completions" in shown
    assert '"model":"jarvis-echo","stream":true' in shown
    assert f"PROXY_API_KEYS={key}\n" in (folder / ".env").read_text()
    assert capsys.readouterr().out == ""


def test_the_file_that_is_written_starts_a_server(folder: Path) -> None:
    main(folder, {})
    settings = Settings.from_env(load_environment(folder / ".env", {}))

    assert [(key.weak, key.default) for key in settings.client_keys] == [(False, False)]


@pytest.mark.parametrize(("port", "shown"), [("8123", "8123"), ("x; rm", "9000"), ("", "9000")])
def test_the_command_calls_the_port_of_the_environment(port: str, shown: str) -> None:
    assert f"http://127.0.0.1:{shown}/" in first_start_message("k", {"PORT": port})


def test_key_in_the_environment_overrides_env_file() -> None:
    assert "overrides this key" in first_start_message("k", {"PROXY_API_KEYS": "k2"})
    assert "overrides this key" not in first_start_message("k", {})


def test_an_installed_command_brings_the_example_and_names_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tmp_path, {}, "PROXY_API_KEYS=\n", "jarvis-proxy") == 0
    assert re.fullmatch(r"PROXY_API_KEYS=sk-jarvis-\w{64}\n", (tmp_path / ".env").read_text())
    assert "\njarvis-proxy doctor checks" in capsys.readouterr().out
    assert main(tmp_path / "none", {}, "PROXY_API_KEYS=\n", "jarvis-proxy") == 73
    assert capsys.readouterr().err.startswith("jarvis-proxy: cannot write .env (")


def test_unwritable_folder_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here since its .env.example is not there; on a read-only disk the path is the same."""
    assert main(tmp_path / "none", {}) == 73
    assert "cannot write .env (No such file or directory)" in capsys.readouterr().err


def test_a_full_disk_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", full)
    assert main(folder, {}) == 73
    said = capsys.readouterr().err
    assert "(No space left on device): the disk is full. Free some space" in said
    assert "writable" not in said


def test_broken_example_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / ".env.example").write_text("")

    assert main(folder, {}) == 73
    assert "the example file has no line PROXY_API_KEYS=" in capsys.readouterr().err


def test_without_a_writable_folder_the_environment_is_enough(tmp_path: Path) -> None:
    assert main(tmp_path / "none", {"PROXY_API_KEYS": "k"}) == 0
