"""The documents say what the code does: settings, addresses, links, examples.

``test_docs_errors.py`` has the error codes, ``test_contributing.py`` the walks.
"""

import ast
import asyncio
import json
import os
import plistlib
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from aiohttp import ClientSession

from jarvis_proxy.config.env_example import env_example
from jarvis_proxy.config.key_policies import is_policy_setting
from jarvis_proxy.config.settings import ALL_SETTINGS, KeyPolicy, ServerLimits, Settings
from jarvis_proxy.config.upstreams import settings_of
from jarvis_proxy.routing import endpoints as routes
from jarvis_proxy.wire.chat_types import INFERENCE
from tests.conftest import BEARER, KEY, ProxyFactory
from tests.support.error_codes import PACKAGE
from tests.support.markdown import blocks, code_spans, headings, prose, rows
from tools import docs

ROOT = Path(__file__).resolve().parent.parent
READMES = {"en": ROOT / "README.md", "zh": ROOT / "README.zh-CN.md"}
ENGLISH = READMES["en"].read_text(encoding="utf-8")
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")
ERRORS = [ROOT / "docs/errors.md", ROOT / "docs/errors.zh-CN.md"]
GUIDES = [ROOT / "docs/guide.md", ROOT / "docs/guide.zh-CN.md"]
CLIENTS = [ROOT / "docs/clients/README.md", ROOT / "docs/clients/README.zh-CN.md"]
SECURITY = ROOT / "SECURITY.md"
DOCKERFILE = ROOT / "deploy/Dockerfile"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_ON_CODE = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    SECURITY,
    ROOT / "docs/architecture.md",
    ROOT / "docs/performance.md",
    *sorted((ROOT / "docs/decisions").glob("*.md")),
]
every_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix()
)

_EXAMPLE_ADDRESS = "http://127.0.0.1:9000"


# -- settings --------------------------------------------------------------------------------


def test_the_example_file_is_what_the_settings_give() -> None:
    """To update it: python -m tools.docs"""
    assert env_example() == docs.ENV_EXAMPLE.read_text(encoding="utf-8")


def test_the_page_of_settings_is_what_the_settings_give() -> None:
    """To update it: python -m tools.docs"""
    page = docs.SETTINGS_PAGE.read_text(encoding="utf-8")

    assert docs.settings_page(page) == page
    assert {setting.name for setting in ALL_SETTINGS} == set(settings_in(page))


def settings_in(page: str) -> dict[str, str]:
    """Return the default cell of each setting that the tables of a page have."""
    found: dict[str, str] = {}
    for name, *cells in rows(page):
        if re.fullmatch(r"`[A-Z_<>]+`", name):
            assert name not in found
            found[name.strip("`")] = cells[0]
    return found


@pytest.mark.parametrize("readme", READMES.values(), ids=READMES)
def test_a_readme_names_ten_settings_with_their_defaults(readme: Path) -> None:
    table = settings_in(readme.read_text(encoding="utf-8"))
    defaults = {s.name: s.default for s in ALL_SETTINGS}

    assert len(table) == 10
    assert {name: cell.strip("`") for name, cell in table.items() if cell.startswith("`")} == {
        name: defaults[name] for name in table if defaults[name]
    }


@pytest.mark.slow
def test_every_setting_is_read_somewhere() -> None:
    assert {name for name, reads in _readers().items() if not reads} == set()


def _readers() -> dict[str, list[str]]:
    """Return, for each setting that a field of its own holds, the modules that read the field."""
    reads: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if not path.name.startswith("settings"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for attribute in {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}:
                reads.setdefault(attribute, []).append(path.name)
    specs = [spec for cls in (Settings, ServerLimits, KeyPolicy) for spec in fields(cls)]
    named = [(spec.name, spec.metadata.get("settings", ())) for spec in specs]
    return {of[0].name: reads.get(name, []) for name, of in named if len(of) == 1}


@every_page
def test_documents_speak_of_settings_that_are_there(page: Path) -> None:
    """Names in capitals are settings, or are listed here for what else they are."""
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Z][A-Z<>]*_[A-Z_<>]+)(?:=[^`]*)?`", text))
    for block in blocks(text):
        if block.language in ("sh", "env"):
            named |= set(re.findall(r"^([A-Z]+_[A-Z_]+)=", block.text, flags=re.MULTILINE))
    others = CLIENT_VARIABLES if "clients" in page.parts else OTHER_NAMES.get(page.name, set())

    assert {name for name in named if not _is_setting(name)} <= {"JARVIS_KEY"} | others


CLIENT_VARIABLES = {
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_PROXY_URL",
    "AUDIO_STT_ENGINE",
    "AUDIO_STT_MODEL",
    "AUDIO_STT_OPENAI_API_BASE_URL",
    "AUDIO_STT_OPENAI_API_KEY",
    "AUDIO_TTS_ENGINE",
    "AUDIO_TTS_MODEL",
    "AUDIO_TTS_OPENAI_API_BASE_URL",
    "AUDIO_TTS_OPENAI_API_KEY",
    "BASE_URL",
    "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY",
    "COPILOT_MODEL",
    "COPILOT_OFFLINE",
    "COPILOT_PROVIDER_API_KEY",
    "COPILOT_PROVIDER_BASE_URL",
    "COPILOT_PROVIDER_WIRE_API",
    "CUSTOM_MODELS",
    "ENABLE_IMAGE_EDIT",
    "ENABLE_IMAGE_GENERATION",
    "GOOGLE_API_KEY",
    "GOOGLE_PROXY_URL",
    "IMAGES_EDIT_OPENAI_API_BASE_URL",
    "IMAGES_EDIT_OPENAI_API_KEY",
    "IMAGES_OPENAI_API_BASE_URL",
    "IMAGES_OPENAI_API_KEY",
    "IMAGE_EDIT_ENGINE",
    "IMAGE_EDIT_MODEL",
    "IMAGE_GENERATION_ENGINE",
    "IMAGE_GENERATION_MODEL",
    "OPENAI_API_BASE",
    "OPENAI_API_BASE_URL",
    "OPENAI_MODEL_LIST",
    "OPENAI_PROXY_URL",
    "RAG_EMBEDDING_ENGINE",
    "RAG_EMBEDDING_MODEL",
    "RAG_OPENAI_API_BASE_URL",
    "RAG_OPENAI_API_KEY",
}
OTHER_NAMES: dict[str, set[str]] = {
    "CHANGELOG.md": {"PIP_PREFIX", "PIP_TARGET"},
    "google.md": {"GOOGLE_GEMINI_BASE_URL"},
    "reliability.md": {
        "DEADLINE_EXCEEDED",  # a status of Google's, as the next one
        "RESOURCE_EXHAUSTED",
        "JARVIS_TEST_CALLS",
        "JARVIS_TEST_DRAINS",
        "JARVIS_TEST_FAULTS",
        "JARVIS_TEST_RESTARTS",
        "JARVIS_TEST_UPLOADS",
    },
}


def _is_setting(name: str) -> bool:
    known = {s.name for s in ALL_SETTINGS} | settings_of(
        ("openai", "gemini", "anthropic", "deepseek", "ollama")
    )
    return name in known | {"NO_PROXY", "MY_LLM_BASE_URL"} or is_policy_setting(name)


# -- addresses -------------------------------------------------------------------------------


def test_every_address_and_prefix_is_named() -> None:
    named = set(code_spans("\n".join(prose(API))))
    addresses = {match.route for match in routes.SPELLINGS.values()}
    for pattern in ("/v1/models/any", "/v1/files"):
        match = routes.match_endpoint(pattern, allow_any=True)
        assert match is not None
        addresses.add(match.route)

    assert addresses <= named
    assert {prefix for prefix in routes.PREFIXES if prefix} <= named


def endpoint_table() -> dict[str, list[str]]:
    """Return what the page says of each endpoint: relayed, Gemini, Anthropic, `jarvis-echo`."""
    table = [row for row in rows(API) if len(row) == 6]
    return {name: row[2:] for row in table for name in code_spans(row[0])}


@pytest.mark.parametrize("endpoint", INFERENCE)
async def test_an_endpoint_is_served_as_its_row_says(endpoint: str, proxy: ProxyFactory) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}
    served = {}
    async with proxy() as running, ClientSession(headers=BEARER) as session:
        for model in ("gemini-3-flash", "jarvis-echo"):
            async with session.post(
                f"{running.url}/v1/{endpoint}", json={"model": model, **body}
            ) as response:
                answer = await response.json(content_type=None)

            served[model] = (answer.get("error") or {}).get("code") != "unsupported_endpoint"
    relayed, gemini, _, echo = endpoint_table()[f"/v1/{endpoint}"]

    assert relayed.split(",")[0] == "relayed"
    assert served == {"gemini-3-flash": gemini != "400", "jarvis-echo": echo != "400"}


@pytest.mark.parametrize("readme", READMES.values(), ids=READMES)
def test_a_readme_says_of_endpoints_what_the_page_says(readme: Path) -> None:
    own = {row[0]: row[1:] for row in rows(readme.read_text(encoding="utf-8")) if len(row) == 5}
    page = endpoint_table()
    for name in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        assert [cell == "–" for cell in own[f"`{name}`"]] == [cell == "400" for cell in page[name]]


# -- the two languages -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("english", "chinese"),
    [tuple(READMES.values()), tuple(ERRORS), tuple(GUIDES), tuple(CLIENTS)],
    ids=["README", "errors", "guide", "clients"],
)
def test_both_languages_have_the_same_shape(english: Path, chinese: Path) -> None:
    one, other = (path.read_text(encoding="utf-8") for path in (english, chinese))

    assert [h.level for h in headings(one)] == [h.level for h in headings(other)]
    assert [len(row) for row in rows(one)] == [len(row) for row in rows(other)]
    assert blocks(one) == blocks(other)


@pytest.mark.parametrize("readme", READMES.values(), ids=READMES)
def test_a_readme_is_short(readme: Path) -> None:
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 200


# -- links and paths ---------------------------------------------------------------------------


@every_page
def test_every_link_inside_the_documents_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose(text)))
    broken = [link for link in links if not link.startswith("https://") and not _leads(page, link)]

    assert links
    assert broken == []


def _leads(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = page if not file else page.parent / file
    if not anchor or not target.is_file():
        return target.exists()
    return anchor in {_anchor(h.text) for h in headings(target.read_text(encoding="utf-8"))}


def _anchor(title: str) -> str:
    """Return a heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            links = re.findall(r"\]\(([^)\s#]+\.md)", here.read_text(encoding="utf-8"))
            todo += [(here.parent / link).resolve() for link in links if "://" not in link]

    assert seen == set(PAGES)


@pytest.mark.parametrize("page", PAGES_ON_CODE, ids=lambda path: path.name)
def test_every_path_in_the_documents_is_there(page: Path) -> None:
    """Names of files and folders in backticks, seen from the root or from the package."""
    spans = code_spans("\n".join(prose(page.read_text(encoding="utf-8"))))
    paths = {span for span in spans if re.fullmatch(r"(?:[\w.-]+/)*(?:[\w.-]+\.\w+|)", span)}
    paths = {p for p in paths if p.endswith("/") or p.endswith((".py", ".md", ".toml", ".json"))}
    missing = {p for p in paths if not any((base / p).exists() for base in (ROOT, PACKAGE))}

    assert missing <= {"jarvis_proxy/x/y.py", "tests/x/test_y.py"}


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


def test_the_last_stage_of_the_image_runs_nothing_and_has_a_health_check() -> None:
    last = DOCKERFILE.read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    commands = [word for line in last.splitlines() if (word := line.partition(" ")[0]).isupper()]

    assert "RUN" not in commands
    assert {"USER", "VOLUME", "HEALTHCHECK", "ENTRYPOINT"} <= set(commands)


def test_compose_gives_the_container_nothing_that_it_does_not_need() -> None:
    text = (ROOT / "deploy/compose.yaml").read_text(encoding="utf-8")
    asked = re.findall(r"r\.build_opener.*", DOCKERFILE.read_text(encoding="utf-8"))[0]

    assert "\n    read_only: true\n" in text
    assert "\n    cap_drop:\n      - ALL\n" in text
    assert "\n      - no-new-privileges:true\n" in text
    assert "\n    tmpfs:\n" in text
    assert asked.removesuffix('"]') in text  # the image's own health check


def test_every_lock_file_but_the_tests_may_go_into_the_image() -> None:
    seen = (ROOT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    locks = {path.name for path in ROOT.glob("requirements*.lock")}

    assert {f"!{name}" for name in locks - {"requirements-test.lock"}} <= set(seen)
    assert "!requirements-test.lock" not in seen


def test_the_property_list_for_macos_starts_what_is_there() -> None:
    with (ROOT / "deploy/local.jarvis-proxy.plist").open("rb") as file:
        wanted = plistlib.load(file)

    assert f"{wanted['Label']}.plist" == "local.jarvis-proxy.plist"
    python, script = wanted["ProgramArguments"]
    assert python == f"{wanted['WorkingDirectory']}/.venv/bin/python"
    assert (ROOT / script).is_file()
    assert wanted["ExitTimeOut"] > Settings.from_env({"PROXY_API_KEYS": "k" * 32}).drain_timeout
    assert wanted["Umask"] == 0o077


def test_the_health_check_of_the_image_asks_an_address_that_is_there() -> None:
    asked = re.findall(r"http://127\.0\.0\.1:9000(/\w+)", DOCKERFILE.read_text(encoding="utf-8"))

    assert asked
    assert all(
        (found := routes.match_endpoint(path)) and found.kind in routes.PUBLIC for path in asked
    )


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


@pytest.mark.slow
async def test_the_python_example_streams_an_answer(proxy: ProxyFactory, tmp_path: Path) -> None:
    example = _example("python", "OpenAI")
    async with proxy() as running:
        code = example.replace(_EXAMPLE_ADDRESS, running.url)
        printed = await _run(sys.executable, "-c", code, folder=tmp_path, JARVIS_KEY=KEY)

    assert example.count(_EXAMPLE_ADDRESS) == 1
    assert printed == "Hello from Python\n"
