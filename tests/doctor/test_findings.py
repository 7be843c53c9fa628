"""The exit code and the last sentence."""

import pytest

from jarvis_proxy.doctor.findings import (
    Finding,
    exit_code,
    ok,
    problem,
    skipped,
    summary,
    warning,
)

FINE, ODD, BROKEN, UNTRIED = ok("a", "b"), warning("a", "b"), problem("a", "b"), skipped("a", "b")


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
def test_the_exit_code_tells_the_outcome(
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
def test_the_summary_counts_each_kind(findings: list[Finding], expected: str) -> None:
    assert expected == summary(findings)


def test_a_finding_keeps_its_advice_and_example() -> None:
    assert (
        warning("a", "b", "do", "this").advice,
        problem("a", "b", "do", "this").example,
    ) == ("do", "this")
