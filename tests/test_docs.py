"""The documents say what the code does: settings, error codes, addresses, examples."""

import ast
import asyncio
import json
import os
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from jarvis_proxy import routes
from jarvis_proxy.aiohttp_ext import malformed_requests
from jarvis_proxy.settings import SETTINGS, KeyPolicy, Limits, Settings
from jarvis_proxy.settings_policies import is_policy_setting
from jarvis_proxy.upstreams.gemini import faults
from tests.conftest import KEY, ProxyFactory
from tests.error_codes import PACKAGE, find_codes
from tests.markdown import Block, blocks, code_spans, headings, prose, rows

ROOT = Path(__file__).resolve().parent.parent
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
ENGLISH = READMES["en"].read_text(encoding="utf-8")
CHINESE_README = READMES["zh"].read_text(encoding="utf-8")
TROUBLESHOOTING = [ROOT / "docs/troubleshooting.md", ROOT / "docs/troubleshooting.zh-CN.md"]
GUIDES = [ROOT / "docs/guide.md", ROOT / "docs/guide.zh-CN.md"]
SECURITY = ROOT / "SECURITY.md"
DOCKERFILE = ROOT / "deploy/Dockerfile"
both_readmes = pytest.mark.parametrize("readme", [ENGLISH, CHINESE_README], ids=["en", "zh"])
both_guides = pytest.mark.parametrize("guide", TROUBLESHOOTING, ids=["en", "zh"])

_EMPTY = ("empty", "空")
_NOT_YET = ("Not in force yet.", "尚未生效。")
_UNITS = {"秒": "s", "层": "levels"}
_EXAMPLE_ADDRESS = "http://127.0.0.1:9000"


# -- settings --------------------------------------------------------------------------------


def settings_table(readme: str) -> dict[str, list[str]]:
    """Return default and meaning of each setting that a README's table has."""
    found: dict[str, list[str]] = {}
    for name, *cells in rows(readme):
        if re.fullmatch(r"`[A-Z_<>]+`", name):
            assert name not in found
            found[name.strip("`")] = cells
    return found


@both_readmes
def test_every_setting_stands_in_the_table_with_its_default(readme: str) -> None:
    """That .env.example has them too is in test_settings.py."""
    expected = {s.name: (s.default, s.unit) for s in SETTINGS}
    actual = {name: _default(cells[0]) for name, cells in settings_table(readme).items()}

    assert expected == actual


def _default(cell: str) -> tuple[str, str]:
    """Return the default and the unit that a cell such as ```5` s`` tells."""
    if cell in _EMPTY:
        return "", ""
    value, _, unit = cell.removeprefix("`").partition("`")
    return value, _UNITS.get(unit.strip(), unit.strip())


@both_readmes
def test_a_setting_that_nothing_reads_is_marked_so_and_no_other(readme: str) -> None:
    expected = {name for name, reads in _readers().items() if not reads}
    actual = {
        name for name, cells in settings_table(readme).items() if cells[1].startswith(_NOT_YET)
    }

    assert expected == actual


def _readers() -> dict[str, list[str]]:
    """Return, for each setting that a field of its own holds, the modules that read the field."""
    reads: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.name.startswith("settings"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for attribute in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}:
                reads.setdefault(attribute, []).append(path.name)
    specs = [spec for cls in (Settings, Limits, KeyPolicy) for spec in fields(cls)]
    named = [(spec.name, spec.metadata.get("settings", ())) for spec in specs]
    return {of[0].name: reads.get(name, []) for name, of in named if len(of) == 1}


# -- error codes -----------------------------------------------------------------------------

# Codes that no literal spells, by the expression that makes them.
COMPUTED: dict[str, set[str]] = {
    "web/secrecy.py: hidden(record.code)": set(),
    "errors.py: secrets.hide(self.code)": set(),  # any other's, blacked out
    "doctor/cli.py: exit_code(output.findings, settings_refused=refused)": set(),  # a process's
    "doctor/report.py: _COLOURS[finding.status]": set(),  # the terminal's
    "doctor/report.py: _COLOURS[status]": set(),
    "live.py: _name(record.code)": set(),  # what a call ended with: any of the others
    "live.py: label.partition(' ')": set(),
    "upstreams/gemini/errors.py: fault.status.lower()": set(),  # Google's own; `invalid_request`
    "upstreams/gemini/faults.py: f'{number}_{side}_value'": {
        str(error.code)
        for error in (
            faults.out_of_range("n", 0, low=1),
            faults.out_of_range("n", 9, high=8),
            faults.out_of_range("temperature", -0.5, low=0.0),
            faults.out_of_range("temperature", 2.5, high=2.0),
        )
    },
    "upstreams/error_shapes.py: next(iter((*codes, *numbers, *others)), None)": set(),
    "upstreams/error_shapes.py: status.get('status_code')": set(),  # the upstream's own, as above
    "upstreams/upstream_errors.py: _code(spoken.code)": set(),
    "web/refresh.py: f'status_{reply.status}'": set(),  # for the log only
    "workers/supervisor.py: os.waitstatus_to_exitcode(status)": set(),  # a process's
    "workers/supervisor.py: self._work(self._settings, berth)": set(),
    "aiohttp_ext/malformed_requests.py: _NOT_HTTP[1]": {malformed_requests._NOT_HTTP[1]},
    "aiohttp_ext/malformed_requests.py: "
    "_TEXTS.get(status, ('The proxy failed.', 'internal_error'))": {
        code for _, code in malformed_requests._TEXTS.values()
    },
}
FOUND = find_codes()
CODES = FOUND.codes.union(*COMPUTED.values())


def error_table(readme: str) -> dict[str, list[str]]:
    """Return the statuses that a README's tables give for each code."""
    found: dict[str, list[str]] = {}
    for status, *cells in rows(readme):
        if re.fullmatch(r"[45](\d\d|xx)", status):
            for code in code_spans(cells[0]):
                found.setdefault(code, []).append(status)
    return found


def test_every_code_that_is_computed_is_accounted_for() -> None:
    assert set(COMPUTED) == FOUND.computed


@both_readmes
def test_every_error_code_has_a_row_and_every_row_a_code(readme: str) -> None:
    expected, actual = CODES, set(error_table(readme))

    assert expected == actual


@both_readmes
def test_a_row_has_the_status_with_which_its_code_is_raised(readme: str) -> None:
    table = error_table(readme)
    wrong = {(s, code) for s, code in FOUND.pairs if str(s) not in table.get(code, [])}

    assert not wrong


@both_guides
def test_every_error_code_has_an_entry_with_something_in_it(guide: Path) -> None:
    text = guide.read_text(encoding="utf-8")
    entries = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    found: list[str] = []
    for title, _, body in (entry.partition("\n") for entry in entries):
        found += code_spans(title)
        assert len(body.partition("\n## ")[0].strip()) >= 10, title

    assert len(set(found)) == len(found)
    assert set(found) == CODES


# -- addresses -------------------------------------------------------------------------------


@both_readmes
def test_every_address_and_prefix_is_named(readme: str) -> None:
    named = set(code_spans("\n".join(prose(readme))))
    addresses = {match.route for match in routes._FIXED.values()}
    for pattern in ("/v1/models/any", "/v1/files"):
        match = routes.match(pattern, everything=True)
        assert match is not None
        addresses.add(match.route)

    assert addresses <= named
    assert {prefix for prefix in routes.PREFIXES if prefix} <= named


# -- the two languages -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (ENGLISH, CHINESE_README),
        tuple(guide.read_text(encoding="utf-8") for guide in TROUBLESHOOTING),
        tuple(guide.read_text(encoding="utf-8") for guide in GUIDES),
    ],
    ids=["README", "troubleshooting", "guide"],
)
def test_both_languages_have_the_same_shape(english: str, chinese: str) -> None:
    assert [h.level for h in headings(english)] == [h.level for h in headings(chinese)]
    assert [len(row) for row in rows(english)] == [len(row) for row in rows(chinese)]
    assert _without_tree(english) == _without_tree(chinese)


def _without_tree(text: str) -> list[Block]:
    return [block for block in blocks(text) if "jarvis_proxy/" not in block.text]


@pytest.mark.parametrize(
    "document", [*READMES.values(), *TROUBLESHOOTING, *GUIDES, SECURITY], ids=lambda p: p.name
)
def test_every_link_inside_the_documents_leads_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    anchors = {_anchor(heading.text) for heading in headings(text)}
    links = re.findall(r"\]\(([^)]+)\)", "\n".join(prose(text)))
    broken = [
        link
        for link in links
        if not (link[1:] in anchors if link.startswith("#") else (document.parent / link).exists())
    ]

    assert links
    assert not broken


def _anchor(title: str) -> str:
    """Return a heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", [*TROUBLESHOOTING, *GUIDES], ids=lambda p: p.name)
def test_documents_speak_of_settings_that_are_there(document: Path) -> None:
    """Names in capitals are settings, or are listed here for what else they are."""
    known = {s.name for s in SETTINGS} | {"JARVIS_KEY", "REPOSITORY", "HOST:9000"}
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Z][A-Z<>]*_[A-Z_<>]+)=?", text))
    named |= set(re.findall(r"^([A-Z]+_[A-Z_]+)=", text, flags=re.MULTILINE))

    assert named
    assert {name for name in named if not _is_setting(name, known)} == set()


def _is_setting(name: str, known: set[str]) -> bool:
    return name in known or is_policy_setting(name)


# -- what is promised ------------------------------------------------------------------------


def test_every_promise_names_tests_that_are_there() -> None:
    promises = [row for row in rows(SECURITY.read_text(encoding="utf-8")) if "tests/" in row[-1]]
    named = [code_spans(row[-1]) for row in promises]
    missing = {path for paths in named for path in paths if not (ROOT / path).is_file()}

    assert promises
    assert all(named)
    assert missing == set()


# -- the image -------------------------------------------------------------------------------


def test_the_image_holds_the_program_and_nothing_else_of_this_folder() -> None:
    """A wildcard, or the folder as a whole, would take .env along."""
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    ours = [name for names in copied for name in names if not names[0].startswith("--from")]

    assert ours == ["${LOCK}", "server.py", "jarvis_proxy"]


def test_the_image_has_hashed_packages_only_and_a_user_without_rights() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    users = re.findall(r"^USER (\d+):(\d+)$", text, flags=re.MULTILINE)

    assert (
        text.count(" pip ") >= text.count("--require-hashes") == text.count("--requirement ") == 1
    )
    assert users == [("10001", "10001")]


def test_the_health_check_of_the_image_asks_an_address_that_is_there() -> None:
    asked = re.findall(r"http://127\.0\.0\.1:9000(/\w+)", DOCKERFILE.read_text(encoding="utf-8"))

    assert asked
    assert all((found := routes.match(path)) and found.kind in routes.OPEN for path in asked)


# -- the examples ----------------------------------------------------------------------------


def _example(language: str, mark: str) -> str:
    """Return the first block of a language that has *mark* in it."""
    return next(b.text for b in blocks(ENGLISH) if b.language == language and mark in b.text)


async def _run(*command: str, folder: Path, **env: str) -> str:
    """Run a command without the caller's settings and proxies; return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return printed.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_curl_example_streams_an_answer(proxy: ProxyFactory, tmp_path: Path) -> None:
    example = _example("sh", "curl")
    (tmp_path / ".env").write_text(f"# settings\nPROXY_API_KEYS={KEY}\n")
    async with proxy() as running:
        printed = await _run(
            "sh", "-c", example.replace(_EXAMPLE_ADDRESS, running.url), folder=tmp_path
        )
    *events, end = [line.removeprefix("data: ") for line in printed.splitlines() if line]
    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in events]

    assert example.count(_EXAMPLE_ADDRESS) == 1
    assert end == "[DONE]"
    assert deltas == ["", "Hello ", "from ", "curl", ""]


async def test_the_python_example_streams_an_answer(proxy: ProxyFactory, tmp_path: Path) -> None:
    example = _example("python", "OpenAI")
    async with proxy() as running:
        code = example.replace(_EXAMPLE_ADDRESS, running.url)
        printed = await _run(sys.executable, "-c", code, folder=tmp_path, JARVIS_KEY=KEY)

    assert example.count(_EXAMPLE_ADDRESS) == 1
    assert printed == "Hello from Python\n"
