"""Reading .env: what a text editor, another system or a shell may have left in it."""

import os
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.config.dotenv_file import (
    MAX_FILE_BYTES,
    env_file_warnings,
    is_readable,
    load_environment,
    parse_env,
)
from jarvis_proxy.config.settings import Settings, SettingsError


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def write(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_environment(path, {})
    return caught.value.problems


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", {}),
        (b"\n# all of it a comment\n\n", {}),
        (b"A=1\nB=2", {"A": "1", "B": "2"}),
        (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
        (b"A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"A=1\rB=2", {"A": "1", "B": "2"}),
        (b"A=\"1 2\"\nB='3'\n", {"A": "1 2", "B": "3"}),
        (b"export A=1\n  B = 2  \n", {"A": "1", "B": "2"}),
        (b'A=1 # why\nB="2 # 3" # why\nC=4#5\n', {"A": "1", "B": "2 # 3", "C": "4#5"}),
        (b"A=\nB= # why\n", {"A": "", "B": ""}),
        (b"A=x=y==\n", {"A": "x=y=="}),
        (b"A=$HOME-${B}-$(id)\n", {"A": "$HOME-${B}-$(id)"}),
        ("A=grüße\n".encode(), {"A": "grüße"}),
        (b"A=\nA=1\n", {"A": "1"}),
        (b"A=1\nA=1\n", {"A": "1"}),
    ],
    ids=[
        "empty",
        "comments",
        "no end of line",
        "byte order mark",
        "CRLF",
        "CR",
        "quotes",
        "export and spaces",
        "comments behind values",
        "empty values",
        "equals signs in a value",
        "nothing is interpolated",
        "UTF-8",
        "empty line of the template and a value",
        "the same twice",
    ],
)
def test_what_an_env_file_may_hold(env_file: Path, data: bytes, expected: dict[str, str]) -> None:
    assert expected == load_environment(write(env_file, data), {})


def test_a_file_that_is_not_there_is_an_empty_one(env_file: Path) -> None:
    assert load_environment(env_file, {"A": "1"}) == {"A": "1"}
    assert env_file_warnings(env_file) == ()


def test_the_environment_wins_even_when_empty(env_file: Path) -> None:
    write(env_file, b"A=file\nB=file\nC=file\n")

    assert load_environment(env_file, {"A": "real", "B": "", "D": "real"}) == {
        "A": "real",
        "B": "",
        "C": "file",
        "D": "real",
    }


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"A=1\nnot a line secret\n", 2),
        (b"A=1\nsecret\n", 2),
        (b"A=1\n\nB secret=1\n", 3),
        (b"A: secret\n", 1),
        (b"=secret\n", 1),
        (b"9A=secret\n", 1),
        (b"A-B=secret\n", 1),
        (b'A="secret\nB=1\n', 1),
        (b"A=1\nB='secret\n", 2),
        (b'A="secret" and more\n', 1),
        (b"A=1\r\nB=secr\xe9t\r\n", 2),
        (b"A=1\nB=secret\x00\n", 2),
        (b"A=secret1\nB=1\nA=secret2\n", 3),
        (b"A=secret\nA=\n", 2),
        (b"secretkey==\nsecretkey=x\n", 2),
    ],
    ids=[
        "words",
        "no equals sign",
        "space in a name",
        "colon",
        "no name",
        "name starts with a digit",
        "hyphen in a name",
        "double quote left open",
        "single quote left open",
        "text behind a quote",
        "Latin-1",
        "NUL",
        "set twice",
        "set and emptied",
        "pasted twice",
    ],
)
def test_a_broken_line_is_named_by_its_number_alone(env_file: Path, data: bytes, line: int) -> None:
    problems = problems_of(write(env_file, data))

    assert len(problems) == 1
    assert problems[0].startswith(f".env, line {line}: ")
    assert problems[0].endswith((".", "?"))
    assert "secr" not in problems[0]


def test_every_broken_line_is_reported(env_file: Path) -> None:
    problems = problems_of(write(env_file, b"one two\nA=1\nthree four\n"))

    assert [problem[:12] for problem in problems] == [".env, line 1", ".env, line 3"]


def test_name_that_is_set_twice_is_reported(env_file: Path) -> None:
    problems = problems_of(write(env_file, b"PORT=1\nPORT=2\n"))

    assert problems == (".env, line 2: sets PORT differently from line 1; one of the two must go.",)


def test_utf_16_is_recognised(env_file: Path) -> None:
    assert problems_of(write(env_file, "A=1\n".encode("utf-16"))) == (
        ".env: is UTF-16; it must be saved as UTF-8.",
    )


def test_a_directory_is_refused(env_file: Path) -> None:
    env_file.mkdir()

    assert problems_of(env_file)[0].startswith(".env: cannot be read (is a directory)")
    assert env_file_warnings(env_file) == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_of_others_is_refused(env_file: Path) -> None:
    write(env_file, b"A=1\n", 0o000)

    assert problems_of(env_file)[0].startswith(".env: cannot be read (permission denied)")


def test_a_large_file_is_refused_unread(env_file: Path) -> None:
    write(env_file, b"#" * (MAX_FILE_BYTES + 1))

    assert problems_of(env_file) == (".env: is larger than 1 MB; it must hold settings only.",)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_file_needs_no_word(env_file: Path, mode: int) -> None:
    assert env_file_warnings(write(env_file, b"PORT=1\n", mode)) == ()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_file_that_others_can_read_is_warned_about(env_file: Path, mode: int) -> None:
    hints = env_file_warnings(write(env_file, b"PORT=1\n", mode))

    assert hints == (".env holds keys and other users may read it: run `chmod 600 .env`.",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_user_is_warned_about(env_file: Path) -> None:
    os.chown(write(env_file, b"PORT=1\n"), 12345, -1)

    assert env_file_warnings(env_file) == (
        ".env belongs to another user, who can change it: run chown on it.",
    )


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("OPENAI_APIKEY=secret", "OPENAI_API_KEY"),
        ("PROXY_API_KEY=secret", "PROXY_API_KEYS"),
        ("port=80", "PORT"),
        ("GEMINI_API_KEYS=secret", "GEMINI_API_KEY"),
        ("MY_LLM_MODEL=x", "MY_LLM_MODELS"),
    ],
)
def test_mistyped_name_is_warned_about(env_file: Path, line: str, meant: str) -> None:
    write(env_file, f"UPSTREAMS=my-llm\n{line}\n".encode())

    assert env_file_warnings(env_file) == (
        f".env, line 2: this name is no setting and has no effect; is {meant} meant?",
    )


def test_settings_and_foreign_names_need_no_word(env_file: Path) -> None:
    write(env_file, b"UPSTREAMS=my-llm\nMY_LLM_API_KEY=1\nPORT=1\nCOMPOSE_PROJECT_NAME=x\n")

    assert env_file_warnings(env_file) == ()


def test_only_a_file_is_readable(env_file: Path) -> None:
    assert is_readable(str(write(env_file, b"")))
    assert not is_readable(str(env_file.parent))
    assert not is_readable(str(env_file.parent / "none"))
    assert not is_readable("a\0b")


@given(st.lists(st.sampled_from(["A=1", "B='2' # x", 'C="3"', "# x", "", "export D= 4 "])))
def test_good_files_read_as_python_dotenv_reads_them(lines: list[str]) -> None:
    """The parser inside python-dotenv is used for its line numbers; its verdict must not differ."""
    text = "\n".join(lines)

    assert dotenv_values(stream=StringIO(text), interpolate=False) == parse_env(
        ".env", text.encode()
    )


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_settings_or_a_settings_error(data: bytes) -> None:
    try:
        problems: tuple[str, ...] = ()
        Settings.from_env(parse_env(".env", b"PROXY_API_KEYS=k\n" + data))
    except SettingsError as exc:
        problems = exc.problems

    assert all("\n" not in problem for problem in problems)
