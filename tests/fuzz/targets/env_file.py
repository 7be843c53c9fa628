"""The parser of ``.env``, and the settings behind it.

Oracle: any bytes give settings or a SettingsError with at least one problem; no problem shows a
value of the file (the seeds' values carry a mark that can be no name); python-dotenv reads the
same names and values.
"""

import re
from io import StringIO
from typing import Final

from dotenv import dotenv_values

from jarvis_proxy.config.dotenv_file import parse_env
from jarvis_proxy.config.settings import Settings, SettingsError

MARK: Final = "c4n-ary"
"""Stands in values. With its hyphen it is no name of a setting, which a problem may show."""
TOKENS: Final = (
    b"PROXY_API_KEYS=c4n-ary-0123456789\n", b"OPENAI_API_KEY=c4n-ary\n", b"PORT=c4n-ary\n",
    b"UPSTREAMS=c4n-ary\n", b"KEY_A_RPM=c4n-ary\n", b"MODEL_ALIASES=c4n-ary\n", b"FALLBACKS=a=b\n",
    b"TRUSTED_PROXIES=c4n-ary\n", b"HOST=c4n-ary\n", b"export ", b"#", b'"', b"'", b"\\", b"=",
    b"\r\n", b"\r", b"\n", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b" ", b"${A}",
)  # fmt: skip
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check(data: bytes) -> None:
    """Read the file and make settings of it."""
    problems, found = _problems(data)
    if found is not None:
        _compare(data, found)
    # Upstreams and keys have names, which stand in values and make names of settings.
    if any(MARK in name for name in _named(found or {})):
        return
    assert all(problems)
    assert MARK not in "\n".join(problems), "a value is shown"


def _problems(data: bytes) -> tuple[tuple[str, ...], dict[str, str] | None]:
    found = None
    try:
        found = parse_env(".env", data)
        Settings.from_env({"PROXY_API_KEYS": "a-key-0123456789abcdef", **found})
    except SettingsError as error:
        return error.problems or ("",), found
    return (), found


def _named(found: dict[str, str]) -> list[str]:
    keys = found.get("PROXY_API_KEYS", "").split(",")
    return [found.get("UPSTREAMS", ""), *(key.rpartition(":")[0] for key in keys)]


def _compare(data: bytes, found: dict[str, str]) -> None:
    text = data.decode("utf-8-sig")
    other = dotenv_values(stream=StringIO(text), interpolate=False)
    assert found.keys() == other.keys()
    assert all(_NAME.fullmatch(name) for name in found)
    assert all(found[name] == value for name, value in other.items() if value)
