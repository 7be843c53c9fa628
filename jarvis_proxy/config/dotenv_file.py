"""Reads .env and merges it with the process's environment. Does file IO."""

import os
import re
import stat
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv.parser import Binding, parse_stream

from jarvis_proxy.config.names import known_names, meant_by
from jarvis_proxy.config.settings import SettingsError

MAX_FILE_BYTES: Final = 1024 * 1024

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USUAL_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


def load_environment(path: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings in the file at *path*, overridden by *environ*.

    A name in *environ* takes precedence even if its value is empty. Nothing is interpolated: a
    ``$`` in a key is a ``$``. A missing file counts as empty.

    Raises:
        SettingsError: the file cannot be read, is not UTF-8, or has invalid lines; each problem
            gives the file's name and the line number, never its content.
    """
    return {**parse_env(path.name, _read(path)), **environ}


def parse_env(name: str, data: bytes) -> dict[str, str]:
    """Return the settings in *data*, the bytes of a .env file; problems cite the file *name*.

    Raises:
        SettingsError: as ``load_environment``.
    """
    return {binding.key or "": binding.value or "" for binding in _parse(name, data)}


def env_file_warnings(path: Path) -> tuple[str, ...]:
    """Return hints about the file at *path*: loose permissions, and names that look mistyped.

    Call this after ``load_environment``, which rejects a broken file.
    """
    try:
        status = path.stat()
        bindings = _parse(path.name, _read(path))
    except (OSError, SettingsError):
        return ()
    return (*_permission_warnings(path.name, status), *_name_warnings(path.name, bindings))


def is_readable(path: str) -> bool:
    """Return whether *path* is a file that this process may read."""
    try:
        with Path(path).open("rb") as file:
            return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        # A NUL in the path raises ValueError.
        return False


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as exc:
        reason = (exc.strerror or "unknown error").lower()
        raise SettingsError(
            (
                f"{path.name}: cannot be read ({reason}); it must be a file that the user who runs"
                " the server may read.",
            )
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError((f"{path.name}: is larger than 1 MB; it must hold settings only.",))
    return data


def _parse(name: str, data: bytes) -> list[Binding]:
    text = _decode(name, data)
    bindings = [binding for binding in parse_stream(StringIO(text)) if _is_meant(binding)]
    problems = [
        f"{name}, line {_line(binding)}: must be NAME=value; is a quote left open, or is"
        " there text behind a closing one?"
        for binding in bindings
        if binding.error or binding.value is None or not _NAME.fullmatch(binding.key or "")
    ]
    if problems := problems or _contradictions(name, bindings):
        raise SettingsError(tuple(problems))
    return bindings


def _is_meant(binding: Binding) -> bool:
    """Return whether a binding is more than a comment or an empty line."""
    return binding.error or binding.key is not None


def _line(binding: Binding) -> int:
    """Return the line number of a binding, without the empty lines before it."""
    text = binding.original.string
    space = text[: len(text) - len(text.lstrip())]
    return int(binding.original.line) + len(_LINE_END.findall(space))


def _decode(name: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        if data.startswith(_UTF16_MARKS):
            problem = f"{name}: is UTF-16; it must be saved as UTF-8."
        else:
            line = data.count(b"\n", 0, exc.start) + 1
            problem = f"{name}, line {line}: is not UTF-8; the file must be saved as UTF-8."
        raise SettingsError((problem,)) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SettingsError((f"{name}, line {line}: holds a NUL byte; it must be plain text.",))
    return text


def _contradictions(name: str, bindings: list[Binding]) -> list[str]:
    """Return a problem for each name that has two different values.

    An empty value in the template before a value appended later is not a problem.
    """
    problems: list[str] = []
    last: dict[str, Binding] = {}
    for binding in bindings:
        key = binding.key or ""
        before = last.get(key)
        if before is not None and before.value and before.value != binding.value:
            # A name of another form may be a key that was pasted without its name.
            shown = key if _USUAL_NAME.fullmatch(key) else "the same name"
            problems.append(
                f"{name}, line {_line(binding)}: sets {shown} differently from line"
                f" {_line(before)}; one of the two must go."
            )
        last[key] = binding
    return problems


def _permission_warnings(name: str, status: os.stat_result) -> list[str]:
    if os.name != "posix":
        return []  # pragma: no cover  # Windows has no mode bits
    hints: list[str] = []
    if status.st_mode & 0o077:
        hints.append(f"{name} holds keys and other users may read it: run `chmod 600 {name}`.")
    if status.st_uid not in (0, os.geteuid()):
        hints.append(f"{name} belongs to another user, who can change it: run chown on it.")
    return hints


def _name_warnings(name: str, bindings: list[Binding]) -> list[str]:
    """Return a hint for each name that is no setting but similar to one."""
    values = {binding.key: binding.value or "" for binding in bindings}
    known = known_names(values.get("UPSTREAMS", ""))
    hints: list[str] = []
    for binding in bindings:
        key = binding.key or ""
        meant = meant_by(key, known)
        if meant is not None:
            hints.append(
                f"{name}, line {_line(binding)}: this name is no setting and has no effect;"
                f" is {meant} meant?"
            )
    return hints
