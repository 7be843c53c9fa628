"""names: function names both ways."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.names import Names

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")


@pytest.mark.parametrize("name", ["get_weather", "_x", "a-b", "mcp.tool:run", "x" * 128])
def test_legal_names_stay(name: str) -> None:
    names = Names([name])

    assert (name, {}) == (names.upstream(name), names.renamed)


@pytest.mark.parametrize(
    ("name", "upstream"),
    [
        ("3d_print", "_3d_print"),
        ("-x", "_-x"),
        (".x", "_.x"),
        ("ünder score", "_nder_score"),
        ("y" * 200, "y" * 128),
    ],
)
def test_others_are_renamed_and_known_on_the_way_back(name: str, upstream: str) -> None:
    names = Names([name])

    assert upstream == names.upstream(name) == names.upstream(name)
    assert {upstream: name} == names.renamed


def test_a_new_name_never_takes_one_that_is_declared_or_given() -> None:
    names = Names(["1x", "_1x", "ä", "ö"])

    assert [names.upstream(n) for n in ("1x", "_1x", "ä", "ö")] == ["_1x_2", "_1x", "_", "__2"]


def test_declared_names_are_the_clients() -> None:
    assert frozenset({"1x", "f"}) == Names(["1x", "f"]).declared


@given(st.lists(st.text(min_size=1), unique=True))
def test_any_names_become_legal_and_stay_apart(given_names: list[str]) -> None:
    names = Names(given_names)
    upstream = [names.upstream(name) for name in given_names]

    assert all(LEGAL.fullmatch(name) for name in upstream)
    assert given_names == [names.renamed.get(name, name) for name in upstream]
