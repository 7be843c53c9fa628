"""The pages of errors have one entry for each code, with the statuses of the code."""

import re
from functools import cache
from pathlib import Path

import pytest

from jarvis_proxy.aiohttp_ext import malformed_requests
from jarvis_proxy.canonical import validation_errors as faults
from tests.support.error_codes import find_codes
from tests.support.markdown import code_spans
from tools import docs, error_pages

ROOT = Path(__file__).resolve().parent.parent
both_errors = pytest.mark.parametrize(
    "page", [ROOT / "docs/errors.md", ROOT / "docs/errors.zh-CN.md"], ids=["en", "zh"]
)

# Codes that no literal spells, by the expression that makes them.
COMPUTED: dict[str, set[str]] = {
    "server/secrecy.py: clean(record.code)": set(),
    "server/secrecy.py: clean(attempt.code)": set(),
    "server/relay/tracing.py: str(exc.code or exc.status)": set(),  # any of the others
    "errors.py: secrets.redact(self.code)": set(),  # any other's, blacked out
    "doctor/cli.py: exit_code(output.findings, settings_refused=refusal is not None)": set(),
    "observability/live_stats.py: _name(record.code)": set(),  # any of the others
    "observability/live_stats.py: label.partition(' ')": set(),
    "upstreams/gemini/reply/errors.py: fault.status.lower()": set(),  # Google's own
    "canonical/validation_errors.py: f'{number}_{side}_value'": {
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
    "upstreams/openai_errors.py: _code(spoken.code)": set(),
    "server/handlers/realtime.py: f'close_{end.broken}'": set(),  # for the log only
    "server/handlers/realtime.py: f'close_{end.frame.close_code}'": set(),
    "upstream_client/model_refresher.py: f'status_{reply.status}'": set(),  # for the log only
    "runtime/supervisor.py: os.waitstatus_to_exitcode(status)": set(),  # a process's
    "runtime/supervisor.py: self._work(self._settings, setup)": set(),
    "aiohttp_ext/malformed_requests.py: NOT_HTTP[1]": {malformed_requests.NOT_HTTP[1]},
    "aiohttp_ext/malformed_requests.py: "
    "TEXTS.get(status, ('The proxy failed.', 'internal_error'))": {
        code for _, code in malformed_requests.TEXTS.values()
    },
}
found_codes = cache(find_codes)  # it parses the whole package: not for those who only collect


def all_codes() -> set[str]:
    """Return every code that the package can answer with."""
    return set(found_codes().codes).union(*COMPUTED.values())


ENTRY = re.compile(r"\n\n\*\*((?:[45](?:\d\d|xx)(?:, |、)?)+)(?:\.|。)\*\* (.*)", re.DOTALL)


def error_entries(page: Path) -> list[tuple[list[str], list[str], str]]:
    """Return the entries of a page of errors: codes, statuses, and the text below them."""
    found = []
    for entry in re.split(r"^### ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title, _, rest = entry.partition("\n")
        match = ENTRY.match("\n" + rest.partition("\n## ")[0])
        assert match is not None, f"{title}: the entry must begin with its statuses, as **400.**"
        found.append((code_spans(title), re.split(", |、", match[1]), match[2].strip()))
    return found


@pytest.mark.slow  # parses the whole package, as the next two
def test_every_code_that_is_computed_is_accounted_for() -> None:
    assert set(COMPUTED) == found_codes().computed


@pytest.mark.slow
@both_errors
def test_every_error_code_has_one_entry_and_every_entry_a_code(page: Path) -> None:
    codes = [code for found, _, _ in error_entries(page) for code in found]

    assert len(set(codes)) == len(codes)
    assert set(codes) == all_codes()


@pytest.mark.slow
@both_errors
def test_an_entry_has_the_status_with_which_its_code_is_raised(page: Path) -> None:
    table = {code: statuses for codes, statuses, _ in error_entries(page) for code in codes}
    wrong = {(s, code) for s, code in found_codes().pairs if str(s) not in table[code]}

    assert not wrong


@both_errors
def test_every_entry_has_something_in_it(page: Path) -> None:
    for codes, _, text in error_entries(page):
        assert len(text) >= 10, codes


def test_the_dashboards_errors_are_those_of_the_documents() -> None:
    """To update them: python -m tools.docs"""
    files = docs.dashboard_files()

    assert {path.name for path in files} == {"reasons.js", "errors.html", "errors.zh-CN.html"}
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, path.name


@both_errors
def test_every_code_has_a_sentence_and_a_place_on_the_dashboards_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    html = error_pages.error_page(text, "en")
    found = {code: entry.reason for entry in error_pages.entries(text) for code in entry.codes}

    assert set(found) == {code for codes, _, _ in error_entries(page) for code in codes}
    for code, reason in found.items():
        assert re.fullmatch(r"[^`\n]{8,300}[.。]", reason), code
        assert f'<code id="{code}">' in html
