"""Which test modules are slow as a whole: by their marks, or by what they import.

The fast tests leave these modules out unread. To import an official SDK, or thousands of
recordings, takes longer than many fast tests together.
"""

import re
from functools import cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_MARKS: Final = re.compile(r"^pytestmark = (\[.*?^\]|[^\n]*)", re.MULTILINE | re.DOTALL)
_SLOW_MARK: Final = re.compile(r"\bmark\.(slow|redis|node|browser)\b|\bneeds_redis\b")
_IMPORT: Final = re.compile(
    r"^(?:import ([\w.]+)|from ([\w.]+) import ([\w, ]+)|.*\bimportorskip\(\"(\w+)\")", re.MULTILINE
)
_SLOW_IMPORTS: Final = frozenset(
    ("anthropic", "genai_prices", "google", "openai", "tests.support.recordings")
)


@cache
def is_slow_module(path: Path) -> bool:
    """Return whether all tests of the module at *path* are slow."""
    text = path.read_text(encoding="utf-8")
    marks = _MARKS.search(text)
    if marks and _SLOW_MARK.search(marks[1]):
        return True
    return not _SLOW_IMPORTS.isdisjoint(_imported(path))


def _imported(path: Path) -> frozenset[str]:
    """Return what the module at *path* imports, itself or through other modules of tests."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in _names(waiting.pop().read_text(encoding="utf-8")) - found:
            found.add(name)
            inner = _ROOT.joinpath(*name.split(".")).with_suffix(".py")
            if name.startswith("tests.") and inner.is_file():
                waiting.append(inner)
    return frozenset(found)


def _names(text: str) -> set[str]:
    """Return the modules that *text* imports at its top; packages stand by their first name."""
    names: set[str] = set()
    for plain, module, members, skipped in _IMPORT.findall(text):
        name = plain or module or skipped
        if name.startswith("tests"):
            names |= {name, *(f"{name}.{member.strip()}" for member in members.split(","))}
        else:
            names.add(name.partition(".")[0])
    return names
