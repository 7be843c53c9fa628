"""Sentences from TOML, the exit code and the last sentence."""

import re
from pathlib import Path
from string import Formatter

import pytest

from jarvis_proxy import doctor
from jarvis_proxy.doctor.checks import intermediaries
from jarvis_proxy.doctor.findings import (
    Check,
    Finding,
    FindingTemplate,
    Status,
    counted,
    exit_code,
    read_templates,
    summary,
)
from jarvis_proxy.doctor.net.http_answer import HttpAnswer

FINE, ODD = Finding("a", Status.OK, "b"), Finding("a", Status.WARNING, "b")
BROKEN, UNTRIED = Finding("a", Status.PROBLEM, "b"), Finding("a", Status.SKIPPED, "b")
FOLDER = Path(doctor.__file__).parent
FILES = sorted(
    path.relative_to(FOLDER).with_suffix("").as_posix()
    for path in FOLDER.rglob("*.toml")
    if path.stem != Path(intermediaries.__file__).stem
)
EVALUATED = [
    ("checks/public_url", "health"),
    ("checks/public_url", "auth"),
    ("checks/public_url", "models"),
    ("checks/public_url", "large request"),
    ("checks/streaming", "refusal"),
    ("checks/upstream_keys", "key"),
    ("checks/traces", "traces"),
]
"""The checks whose results are chosen by an answer."""

MESSAGES = [
    pytest.param(file, message, id=f"{file}: {check}.{result}")
    for file in FILES
    for check, results in read_templates(file).items()
    for result, message in results.items()
]


@pytest.mark.parametrize("file", FILES)
def test_each_file_has_the_name_of_the_module_that_uses_it(file: str) -> None:
    assert f'"{file}"' in (FOLDER / f"{file}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(("file", "message"), MESSAGES)
def test_every_result_that_needs_action_gives_advice(file: str, message: FindingTemplate) -> None:
    """A result that only passes on a sentence has the advice in it."""
    is_passed_on = message.detail in ("{hint}", "{reason}", "{sentence}") or not message.advice
    needs_action = message.status in (Status.WARNING, Status.PROBLEM)

    assert bool(message.advice) or not needs_action or is_passed_on
    assert message.detail == message.detail.strip()
    assert not re.search(r"  |\n", message.detail + str(message.advice))


@pytest.mark.parametrize(("file", "message"), MESSAGES)
def test_every_placeholder_has_a_value_in_the_code(file: str, message: FindingTemplate) -> None:
    advice = message.advice if isinstance(message.advice, str) else "".join(message.advice.values())
    texts = (message.detail, advice, message.example)
    names = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}
    modules = (f"{file}.py", "checks/intermediaries.py", "findings.py")
    code = "".join((FOLDER / module).read_text(encoding="utf-8") for module in modules)

    assert {name for name in names if not re.search(rf'\b{name}=|"{name}"', code)} == set()


@pytest.mark.parametrize("file", FILES)
def test_every_result_is_chosen_by_name_or_by_the_answer(file: str) -> None:
    folder = (FOLDER / file).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    unnamed = {
        (check, result)
        for check, results in read_templates(file).items()
        for result, each in results.items()
        if f'"{result}"' not in code and not (each.statuses or each.codes or each.when)
    }

    assert {check for check, _ in unnamed} <= {name for path, name in EVALUATED if path == file}
    assert len({check for check, _ in unnamed}) == len(unnamed)


@pytest.mark.parametrize(
    ("file", "check"),
    EVALUATED,
)
def test_every_answer_has_a_result(file: str, check: str) -> None:
    messages = read_templates(file)[check].values()

    assert any(not (each.statuses or each.codes or each.when) for each in messages)


def test_finding_is_filled_and_named() -> None:
    check = Check("checks/upstream_keys", "key", label="openai", title="key 1 of 2")

    assert check.finding("no_credit", answered="402", upstream="openai") == Finding(
        "openai: key 1 of 2",
        Status.PROBLEM,
        "its credit is used up (402)",
        "Add credit at openai, or use another key.",
    )


@pytest.mark.parametrize(
    ("audience", "words"), [("site", "fullchain.pem"), ("upstream", "ca-certificates")]
)
def test_advice_depends_on_the_audience(audience: str, words: str) -> None:
    check = Check("net/reachability", "TLS", audience=audience)

    assert words in check.finding("unknown_issuer", host="h").advice


@pytest.mark.parametrize(
    ("answer", "true", "expected"),
    [
        (HttpAnswer(401, {}), {"new"}, True),
        (HttpAnswer(502, {}), {"new"}, True),
        (HttpAnswer(400, {}, b'{"error":{"code":"bad"}}'), {"new", "other"}, True),
        (HttpAnswer(400, {}), {"new"}, False),
        (HttpAnswer(401, {}), {"other"}, False),
    ],
)
def test_message_applies_by_status_or_code_and_by_facts(
    answer: HttpAnswer, true: set[str], expected: bool
) -> None:
    message = FindingTemplate(
        status=Status.OK,
        detail="x",
        statuses=frozenset({"401", "5xx"}),
        codes=frozenset({"bad"}),
        when=frozenset({"new"}),
    )

    assert message.applies(answer, true) == expected


def test_answer_is_named_by_its_status_and_first_code() -> None:
    check = Check("checks/streaming", "refusal")
    codes = HttpAnswer(503, {}, b'{"error":{"code":"server_shutdown","type":"server_error"}}')

    assert "but 503 server_shutdown (" in check.evaluate(codes, who="nginx").detail
    assert "but 502 (" in check.evaluate(HttpAnswer(502, {}), who="nginx").detail


def test_message_without_statuses_and_codes_applies_to_every_answer() -> None:
    assert FindingTemplate(status=Status.OK, detail="x").applies(HttpAnswer(200, {}), set())


@pytest.mark.parametrize(
    ("findings", "refused", "expected"),
    [
        ([], False, 0),
        ([FINE, UNTRIED], False, 0),
        ([FINE, ODD], False, 0),
        ([FINE, BROKEN, ODD], False, 1),
        ([BROKEN], True, 78),
        ([], True, 78),
    ],
)
def test_exit_code_depends_on_the_findings(
    findings: list[Finding], refused: bool, expected: int
) -> None:
    assert expected == exit_code(findings, settings_refused=refused)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], "no problems, no warnings, 0 ok."),
        ([FINE, BROKEN], "1 problem, no warnings, 1 ok."),
        ([BROKEN, BROKEN, ODD, UNTRIED], "2 problems, 1 warning, 0 ok, 1 skipped."),
    ],
)
def test_summary_counts_each_kind(findings: list[Finding], expected: str) -> None:
    assert expected == summary(findings)


def test_counts_have_their_plural() -> None:
    assert counted(1, "key") == "1 key"
    assert counted(0, "key") == "0 keys"
    assert counted(2, "address", "addresses") == "2 addresses"
