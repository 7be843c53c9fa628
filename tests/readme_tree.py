"""The tree in both READMEs, made from the files: ``python -m tests.readme_tree`` writes it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from tests.readme_tree_zh import CHINESE

ROOT: Final = Path(__file__).resolve().parent.parent
Language = Literal["en", "zh"]
READMES: Final[dict[Language, Path]] = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}

_SKIPPED: Final = frozenset(("__pycache__", "build", "dist", "node_modules", "state"))
_SHOWN_DOT_FILES: Final = frozenset((".env.example",))
_BLOCK: Final = re.compile(r"(?<=<!-- tree -->\n```text\n).*?(?=```\n<!-- /tree -->)", re.DOTALL)
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s")
_COMMENT: Final = re.compile(r"(#|//|/\*) ")
_WIDEST: Final = 36

# What says nothing about itself in a first line.
_ENGLISH: Final = {
    "CHANGELOG.md": "What changed for those who run it or call it.",
    "LICENSE": "MIT.",
    "README.md": "This page.",
    "README.zh-CN.md": "This page in Chinese.",
    "deploy/": "For a server that runs it all the time.",
    "deploy/grafana-dashboard.json": "Traffic, tokens, cost and health in Grafana, from /metrics.",
    "docs/": "What would make this page too long.",
    "docs/live-page.png": "A picture of the live page.",
    "docs/live-page-phone.png": "The same on a phone, dark and in Chinese.",
    "docs/troubleshooting.md": "Every error code and every refused start: cause and remedy.",
    "docs/troubleshooting.zh-CN.md": "The same in Chinese.",
    "jarvis_proxy/web/static/": "The live page: no build step, nothing from other hosts.",
    "jarvis_proxy/web/static/LICENSE-uPlot": "uPlot's licence.",
    "jarvis_proxy/web/static/dashboard.html": "The page itself.",
    "jarvis_proxy/web/static/uPlot.iife.min.js": "Charts: uPlot as it was released.",
    "jarvis_proxy/web/static/uPlot.min.css": "Its style.",
    "jarvis_proxy/prices.json": "What models cost; made by tools/update_prices.py.",
    "pyproject.toml": "Dependencies, and the rules of every tool.",
    "requirements-redis.lock": "The same with the client for Redis.",
    "requirements-test.lock": "The same with everything that the tests need.",
    "requirements.lock": "The packages that it runs on, each pinned and hashed.",
    "tests/": "Mirrors jarvis_proxy: web/test_relay.py is for web/relay.py. Below is the rest.",
    "tests/browser/package.json": "What drives the browser.",
}


def render(language: Language) -> str:
    """Return the tree as text, a line for each file and folder, ending in a line break."""
    lines = list(_lines(ROOT, "", language))
    width = min(_WIDEST, max(len(name) for name, _ in lines)) + 2
    return "".join(f"{name:<{width}}{about}".rstrip() + "\n" for name, about in lines)


def with_tree(text: str, tree: str) -> str:
    """Return a README's *text* with *tree* in place of its own.

    Raises:
        ValueError: it has not exactly one place for it.
    """
    changed, count = _BLOCK.subn(lambda found: tree, text)
    if count != 1:
        raise ValueError("the text must hold the marks <!-- tree --> and <!-- /tree --> once")
    return changed


def paths() -> Iterator[str]:
    """Yield the path of each file and folder in the tree, folders with a slash behind."""
    yield from _paths(ROOT)


def describe(path: str, language: Language) -> str:
    """Return one sentence about the file or folder at *path*."""
    if language == "zh" and (chinese := CHINESE.get(path)):
        return chinese
    return _ENGLISH.get(path) or _own_words(ROOT / path)


def _lines(folder: Path, indent: str, language: Language) -> Iterator[tuple[str, str]]:
    for entry in _entries(folder):
        path = _name(entry)
        yield (
            f"{indent}{path.removesuffix('/').rpartition('/')[2]}{'/' * entry.is_dir()}",
            (describe(path, language)),
        )
        if entry.is_dir() and not _is_data(entry):
            yield from _lines(entry, indent + "  ", language)


def _paths(folder: Path) -> Iterator[str]:
    for entry in _entries(folder):
        yield _name(entry)
        if entry.is_dir() and not _is_data(entry):
            yield from _paths(entry)


def _entries(folder: Path) -> list[Path]:
    """Return what is shown of *folder*: its files, then its folders."""
    shown = [entry for entry in folder.iterdir() if _is_shown(entry)]
    return sorted(shown, key=lambda entry: (entry.is_dir(), entry.name))


def _is_shown(entry: Path) -> bool:
    if entry.is_dir():
        skipped = entry.name.startswith(".") or entry.name in _SKIPPED
        return not skipped and entry.suffix != ".egg-info" and bool(_entries(entry))
    if entry.name.startswith("."):
        return entry.name in _SHOWN_DOT_FILES
    if _mirrored(_name(entry), "{}"):
        return False  # its place says what it is
    # A folder's own line speaks of its __init__.py.
    return entry.name != "__init__.py" and ".sqlite3" not in entry.name


def _is_data(folder: Path) -> bool:
    """Tell whether *folder* holds examples for tests, which one line speaks of together."""
    return ROOT / "tests" in folder.parents and not any(folder.rglob("*.py"))


def _name(entry: Path) -> str:
    return entry.relative_to(ROOT).as_posix() + "/" * entry.is_dir()


def _own_words(path: Path) -> str:
    """Return the first sentence that a file, or a folder's package or README, says of itself."""
    if path.is_dir():
        inside = (path / "__init__.py", path / "README.md")
        return next((words for file in inside if file.exists() and (words := _own_words(file))), "")
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".py":
        words = ast.get_docstring(ast.parse(text)) or ""
    elif path.suffix == ".md":
        words = text.partition("\n")[0].lstrip("# ")
    else:
        words = _first_comment(text)
    return " ".join(_SENTENCE.split(words, maxsplit=1)[0].replace("``", "").split())


def _first_comment(text: str) -> str:
    """Return the first lines that are comments, joined, up to one that is not."""
    found: list[str] = []
    for line in text.splitlines():
        if mark := _COMMENT.match(line):
            found.append(line[mark.end() :].removesuffix("*/"))
        elif found or not line.startswith("#!"):
            break
    return " ".join(found)


def _mirrored(path: str, sentence: str) -> str:
    """Return *sentence* about the module that a test file mirrors, "" where there is none."""
    folder, _, name = path.rpartition("/")
    mirrored = f"{folder.replace('tests', 'jarvis_proxy', 1)}/{name.removeprefix('test_')}"
    is_test = path.startswith("tests/") and name.startswith("test_")
    return sentence.format(mirrored) if is_test and (ROOT / mirrored).is_file() else ""


def main() -> None:
    """Write the tree into both READMEs."""
    for language, readme in READMES.items():
        text = readme.read_text(encoding="utf-8")
        readme.write_text(with_tree(text, render(language)), encoding="utf-8")


if __name__ == "__main__":
    main()
