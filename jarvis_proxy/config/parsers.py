"""Parses single settings; an error says what would be right. Pure.

Every parser takes cleaned, non-empty text, and raises ValueError with the end of the sentence
"NAME: …". No message repeats the text: a key pasted into the wrong line must not be printed.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final, TypeVar

T = TypeVar("T")
_NEAR: Final = 0.75
"""Similarity of PROXY_KEY and PROXY_API_KEYS; enough for a guess at a missing setting."""

MEBIBYTE: Final = 1024 * 1024
MAX_SECONDS: Final = 86_400

_NUMBER: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_MODEL: Final = re.compile(r"[!-~]{1,256}")
_SECRET: Final = re.compile(r"[!-~]+")
_PLACEHOLDER: Final = re.compile(
    r"(?:sk-|sk-[a-z]+-|AIza(?:Sy)?)?(?:x{3,}|\.{3}|…)"  # sk-xxx, AIzaSyxxx, xxx, sk-...
    r"|(?:sk-)?your[-_ ].*"
    r"|<.*>|change[-_]?me|replace[-_]?me",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"""(["'])(.*)\1(?:\s+#.*)?""")
_COMMENT: Final = re.compile(r"(?:^|\s+)#.*")
_TRUE: Final = frozenset(("true", "yes", "on", "1"))
_FALSE: Final = frozenset(("false", "no", "off", "0"))


class SettingsError(Exception):
    """All problems with the settings, one sentence each, without any value."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class EnvReader:
    """Reads settings from an environment; collects problems, and hints for the log."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def text(self, name: str) -> str:
        """Return the cleaned text of a setting; ``""`` if absent, empty or not printable."""
        text = clean(self._env.get(name, ""))
        if text.isprintable():
            return text
        # An open quote in .env also causes this: the value continues over the next lines.
        self.add_problem(
            name, "holds a line break or an invisible character; retype it, and close its quotes"
        )
        return ""

    def has(self, name: str) -> bool:
        """Return whether a setting is present, even if empty."""
        return name in self._env

    def entries(self, name: str) -> list[str]:
        """Return the comma-separated entries of a setting; note a hint for semicolons."""
        entries = split(self.text(name))
        if any(";" in entry for entry in entries):
            self.warnings.append(
                f"{name} holds a semicolon, which separates nothing: put commas between entries."
            )
        return entries

    def near(self, name: str) -> str | None:
        """Return a variable with a value whose name is similar to the setting *name*."""
        others = (other for other in self._env if other != name and self._env[other].strip())
        names = {other.upper(): other for other in others}
        found = get_close_matches(name, names, n=1, cutoff=_NEAR)
        return names[found[0]] if found else None

    def names(self) -> tuple[str, ...]:
        """Return all names in the environment."""
        return tuple(self._env)

    def add_problem(self, name: str, message: str) -> None:
        """Note a problem that prevents the start; duplicates are dropped."""
        problem = f"{name}: {message}."
        if problem not in self.problems:
            self.problems.append(problem)

    def problems_of(self, name: str) -> list[str]:
        """Return the problems noted so far about one setting."""
        return [problem for problem in self.problems if problem.startswith(f"{name}:")]

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        """Return the parsed setting; *default* if it is absent, empty or wrong."""
        text = self.text(name)
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as exc:
            self.add_problem(name, str(exc))
            return default


def clean(raw: str) -> str:
    """Return the value without surrounding space, quotes and a trailing comment.

    The reader of .env has already done this, but container runtimes pass lines of ``--env-file``
    unchanged. ``#`` at the start begins a comment too: ``KEY=# why`` sets nothing.
    """
    text = raw.strip().removeprefix("\ufeff")
    if quoted := _QUOTED.fullmatch(text):
        return quoted[2].strip()
    return _COMMENT.split(text, maxsplit=1)[0]


def split(text: str) -> list[str]:
    """Return the non-empty comma-separated entries."""
    return [entry for part in text.split(",") if (entry := part.strip())]


def is_placeholder(text: str) -> bool:
    """Return whether *text* looks like a placeholder for a key in an example file."""
    return _PLACEHOLDER.fullmatch(text) is not None


def is_secret(text: str) -> bool:
    """Return whether *text* can be a key: visible ASCII, so that it fits in a header."""
    return _SECRET.fullmatch(text) is not None


def seconds(text: str) -> float:
    """Parse a duration in seconds."""
    if _NUMBER.fullmatch(text) and 0 < (value := float(text)) <= MAX_SECONDS:
        return value
    raise ValueError(
        f"must be a number of seconds above 0 and at most {MAX_SECONDS}, such as 5 or 2.5"
    )


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for a whole number from *low* to *high*."""

    def parse(text: str) -> int:
        if _WHOLE.fullmatch(text) and low <= (value := int(text)) <= high:
            return value
        raise ValueError(f"must be a whole number from {low} to {high}")

    return parse


def mebibytes(low: int, high: int) -> Callable[[str], int]:
    """Return a parser for a size in MB (of 1024 * 1024 bytes); its result is in bytes."""
    parse = whole(low, high)
    return lambda text: parse(text) * MEBIBYTE


def choice(*options: str) -> Callable[[str], str]:
    """Return a parser for one of *options*, ignoring case."""

    def parse(text: str) -> str:
        if (value := text.lower()) in options:
            return value
        raise ValueError(f"must be one of {', '.join(options)}")

    return parse


def flag(text: str) -> bool:
    """Parse true or false."""
    if (value := text.lower()) in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError("must be true or false")


def file_path(text: str) -> str:
    """Return the path of a file unchanged."""
    return text


def model_name(text: str) -> str:
    """Parse one model name, with or without ``upstream/``."""
    if _MODEL.fullmatch(text) is None or any(char in text for char in ",=|*"):
        raise ValueError("must be a model's name, such as openai/gpt-4.1-mini")
    return text
