"""docs/reliability.md says what the matrix says, and names tests that exist."""

import ast
from pathlib import Path

import pytest

from tests.faults import client_rows, upstream_rows
from tests.faults.api_rows import API_ROWS
from tests.faults.document import PATH, render
from tests.faults.elsewhere import ELSEWHERE, Elsewhere
from tests.faults.inner_rows import INNER
from tests.faults.leaving_rows import LEAVINGS
from tests.faults.session_rows import CLIENT_ROWS as CLIENT_SESSION_ROWS
from tests.faults.session_rows import ROWS as SESSION_ROWS

TESTS = Path(__file__).resolve().parents[1]
OTHERS = [other for _, others in ELSEWHERE for other in others]


def test_the_page_is_the_one_that_the_matrix_gives() -> None:
    """To update it: python -m tests.faults.document"""
    assert render() == PATH.read_text(encoding="utf-8")


def test_no_two_rows_have_one_name() -> None:
    names = [row.name for row in (*upstream_rows.ROWS, *API_ROWS)]
    names += [fault.name for fault in client_rows.FAULTS]
    names += [row.name for row in LEAVINGS]
    names += [row.name for row in INNER]
    names += [row.name for row in SESSION_ROWS]
    names += [row.name for row in CLIENT_SESSION_ROWS]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.test)
def test_tests_elsewhere_are_there(other: Elsewhere) -> None:
    tree = ast.parse((TESTS / other.file).read_text(encoding="utf-8"))
    names = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert other.test in names
