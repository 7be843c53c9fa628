"""What the dashboard says of error codes, from ``docs/errors.md`` and its translation. Pure.

``errors.html`` and ``errors.zh-CN.html`` have the entries of the codes; ``reasons.js`` has the
first sentence of each. The documents are the source: the package does not contain them.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

LANGUAGES: Final = {"en": "errors.md", "zh-CN": "errors.zh-CN.md"}
"""The documents by the language that the page asks for."""

_ENTRY: Final = re.compile(r"^### (.+)\n\n\*\*(.+?)\*\* ([\s\S]+?)\s*(?=^##|\Z)", re.MULTILINE)
_CODE: Final = re.compile(r"`([^`]+)`")
_LINK: Final = re.compile(r"\[([^\]]+)\]\([^)]+\)")
_SENTENCE: Final = re.compile(r".+?(?:\.(?=\s|$)|。)|.+")
_WRITTEN: Final = "// Written by `python -m tools.docs` from docs/errors.md."
_PAGE: Final = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="dashboard.css">
</head>
<body>
<main class="text">
<h1>{title}</h1>
{entries}</main>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """An entry of the document: its *codes*, its *statuses* as written, its text as Markdown."""

    codes: tuple[str, ...]
    statuses: str
    text: str

    @property
    def reason(self) -> str:
        """The first sentence, without marks."""
        found = _SENTENCE.match(self.text)
        return _CODE.sub(r"\1", _LINK.sub(r"\1", found[0] if found else self.text))


def entries(document: str) -> Iterator[ErrorEntry]:
    """Yield the entries of *document*, in Markdown."""
    for title, statuses, text in _ENTRY.findall(document):
        yield ErrorEntry(tuple(_CODE.findall(title)), statuses, text)


def reasons_script(documents: dict[str, str]) -> str:
    """Return the module with the sentences by language and code."""
    table = {
        language: {code: entry.reason for entry in entries(text) for code in entry.codes}
        for language, text in documents.items()
    }
    written = json.dumps(table, ensure_ascii=False, indent=1)
    return f"{_WRITTEN}\n\nexport const REASONS = {written};\n"


def error_page(document: str, language: str) -> str:
    """Return the page of the entries of *document*; each code is the id of its entry's title."""
    title = document.partition("\n")[0].removeprefix("# ")
    return _PAGE.format(
        language=language,
        title=escape(title),
        entries="".join(map(_section, entries(document))),
    )


def _section(entry: ErrorEntry) -> str:
    codes = ", ".join(f'<code id="{escape(code)}">{escape(code)}</code>' for code in entry.codes)
    paragraphs = "".join(f"<p>{_inline(each)}</p>\n" for each in entry.text.split("\n\n"))
    statuses = f"<strong>{escape(entry.statuses)}</strong> "
    return f"<h2>{codes}</h2>\n{paragraphs.replace('<p>', f'<p>{statuses}', 1)}"


def _inline(text: str) -> str:
    plain = escape(_LINK.sub(r"\1", text), quote=False)
    return _CODE.sub(r"<code>\1</code>", plain)
