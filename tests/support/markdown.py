"""Just enough Markdown for tests of documents: headings, tables and fenced blocks."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = "```"
_CELL = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[|: -]+")


class Heading(NamedTuple):
    """A heading: how many ``#`` it has, and its text."""

    level: int
    text: str


class Block(NamedTuple):
    """A fenced block: the word behind its fence, and what stands inside."""

    language: str
    text: str


def headings(text: str) -> list[Heading]:
    """Return the headings outside of fenced blocks."""
    found = (re.match(r"(#{1,6}) (.+)", line) for line in prose(text))
    return [Heading(len(match[1]), match[2]) for match in found if match]


def rows(text: str) -> list[list[str]]:
    """Return the rows of all tables, head rows included, as cells without the outer bars."""
    lines = (line.strip() for line in prose(text))
    return [
        [cell.strip().replace("\\|", "|") for cell in _CELL.split(line[1:-1])]
        for line in lines
        if line.startswith("|") and line.endswith("|") and not _RULE.fullmatch(line)
    ]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks."""
    found: list[Block] = []
    inside: list[str] | None = None
    language = ""
    for line in text.splitlines(keepends=True):
        if not line.startswith(_FENCE):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            language, inside = line.removeprefix(_FENCE).strip(), []
        else:
            found.append(Block(language, "".join(inside)))
            inside = None
    return found


def prose(text: str) -> Iterator[str]:
    """Yield the lines outside of fenced blocks."""
    inside = False
    for line in text.splitlines():
        if line.startswith(_FENCE):
            inside = not inside
        elif not inside:
            yield line


def code_spans(text: str) -> list[str]:
    """Return what stands between single backticks in a line."""
    return re.findall(r"`([^`]+)`", text)
