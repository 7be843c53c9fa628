"""names: function names both ways."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.function_names import (
    CHAT_NAMES,
    FunctionNames,
    Member,
    flat_name,
    member_called,
)
from jarvis_proxy.upstreams.gemini.request.tools import GEMINI_NAMES

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")


@pytest.mark.parametrize("name", ["get_weather", "_x", "a-b", "mcp.tool:run", "x" * 128])
def test_legal_names_stay(name: str) -> None:
    names = FunctionNames([name], rule=GEMINI_NAMES)

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
    names = FunctionNames([name], rule=GEMINI_NAMES)

    assert upstream == names.upstream(name) == names.upstream(name)
    assert {upstream: name} == names.renamed


def test_a_new_name_never_takes_one_that_is_declared_or_given() -> None:
    names = FunctionNames(["1x", "_1x", "ä", "ö"], rule=GEMINI_NAMES)

    assert [names.upstream(n) for n in ("1x", "_1x", "ä", "ö")] == ["_1x_2", "_1x", "_", "__2"]


def test_declared_names_are_the_clients() -> None:
    assert frozenset({"1x", "f"}) == FunctionNames(["1x", "f"]).declared


@given(st.lists(st.text(min_size=1), unique=True))
def test_any_names_become_legal_and_stay_apart(given_names: list[str]) -> None:
    names = FunctionNames(given_names, rule=GEMINI_NAMES)
    upstream = [names.upstream(name) for name in given_names]

    assert all(LEGAL.fullmatch(name) for name in upstream)
    assert given_names == [names.renamed.get(name, name) for name in upstream]


@pytest.mark.parametrize(
    ("name", "upstream"),
    [
        ("get_weather", "get_weather"),
        ("3d-print", "3d-print"),
        ("a.b:c", "a_b_c"),
        ("ü", "_"),
        ("", "_"),
        ("y" * 64, "y" * 64),
        ("y" * 65, "y" * 64),
    ],
)
def test_chat_services_take_short_plain_names(name: str, upstream: str) -> None:
    names = FunctionNames([name], rule=CHAT_NAMES)

    assert names.upstream(name) == upstream
    assert names.client(upstream) == name


@pytest.mark.parametrize(
    ("called", "client"),
    [
        ("f", "f"),
        ("a_b", "a.b"),
        ("x__g", Member("x", "g")),
        ("g", Member("x", "g")),
        ("x.g", Member("x", "g")),
        ("unknown", "unknown"),
    ],
)
def test_a_called_name_is_the_clients_again(called: str, client: str | Member) -> None:
    names = FunctionNames(["f", "a.b"], [Member("x", "g")])
    names.upstream("a.b")

    assert names.client(called) == client


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("mcp__wx", "get_weather", "mcp__wx__get_weather"),
        ("mcp__wx__", "get_weather", "mcp__wx__get_weather"),
        ("multi_agent_v1", "wait", "multi_agent_v1__wait"),
        ("my server", "a.b:c", "my_server__a_b_c"),
        ("1st", "f", "_1st__f"),
        ("é", "ü", "____"),
    ],
)
def test_a_member_has_a_flat_legal_name(namespace: str, name: str, expected: str) -> None:
    names = FunctionNames((), [Member(namespace, name)])

    assert names.upstream(name, namespace) == expected
    assert names.namespaced == {expected: Member(namespace, name)}


def test_a_long_name_is_cut_and_stays_unique() -> None:
    first, second = Member("mcp__" + "n" * 40, "a" * 40), Member("mcp__" + "n" * 40, "a" * 39 + "b")
    names = FunctionNames((), [first, second])

    flat = [names.upstream(member.name, member.namespace) for member in (first, second)]
    assert [len(name) for name in flat] == [64, 64]
    assert flat[0] != flat[1]
    assert flat == [flat_name(first), flat_name(second)], "the same in every request"


def test_names_that_would_be_one_stay_two() -> None:
    members = [Member("a", "b__c"), Member("a__b", "c"), Member("a.b", "c"), Member("a_b", "c")]
    names = FunctionNames(["a__b__c"], members)

    flat = [names.upstream(member.name, member.namespace) for member in members]
    assert len({"a__b__c", *flat}) == 5
    assert all(len(name) <= 64 for name in flat)
    assert [names.namespaced[name] for name in flat] == members


def test_an_illegal_plain_name_does_not_become_a_members() -> None:
    names = FunctionNames(["a__b!"], [Member("a", "b_")])

    assert names.upstream("a__b!") != names.upstream("b_", "a")


def test_a_call_that_lost_its_namespace_is_found() -> None:
    names = FunctionNames(
        ["f"], [Member("x", "f"), Member("x", "g"), Member("x", "h"), Member("y", "h")]
    )

    assert [names.upstream(name) for name in "fgh"] == ["f", "x__g", "h"]


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("f", None, "f"),
        ("9", None, "_9"),
        ("g", "x", "x__g"),
        ("g", None, "x__g"),
        ("x__g", None, "x__g"),
        ("g", "y", None),
        ("h", None, None),
    ],
)
def test_only_what_is_declared_is_found(
    name: str, namespace: str | None, expected: str | None
) -> None:
    names = FunctionNames(["f", "9"], [Member("x", "g")], GEMINI_NAMES)

    assert names.find(name, namespace) == expected


def test_all_of_a_namespace() -> None:
    names = FunctionNames(["f"], [Member("x", "g"), Member("y", "h"), Member("x", "i")])

    assert names.inside("x") == ["x__g", "x__i"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("get_weather", Member("mcp__wx", "get_weather")),
        ("mcp__wx.get_weather", Member("mcp__wx", "get_weather")),
        ("mcp__wx:get_weather", Member("mcp__wx", "get_weather")),
        ("mcp__wx/get_weather", Member("mcp__wx", "get_weather")),
        ("mcp_wx_get_weather", Member("mcp__wx", "get_weather")),
        ("twice", None),
        ("other", None),
    ],
)
def test_what_a_model_means(name: str, expected: Member | None) -> None:
    members = [Member("mcp__wx", "get_weather"), Member("a", "twice"), Member("b", "twice")]

    assert member_called(name, members) == expected


def test_thousands_of_names_that_become_alike_are_looked_up_once_each() -> None:
    class Counting(FunctionNames):
        __slots__ = ("looked",)
        looked: int

        def _is_taken(self, name: str) -> bool:
            self.looked += 1
            return super()._is_taken(name)

    names = Counting((), rule=GEMINI_NAMES)
    names.looked = 0
    renamed = [names.upstream("a" * 130 + chr(0x100 + number)) for number in range(3000)]

    assert len(set(renamed)) == 3000
    assert renamed[1:3] == ["a" * 120 + "_2", "a" * 120 + "_3"]
    assert names.looked <= 2 * 3000


def test_a_call_with_a_namespace_that_no_tool_has_is_found_by_its_bare_name() -> None:
    names = FunctionNames(["f", "g"], [Member("ns", "g")])

    assert names.upstream("f", "of_a_search") == "f"
    assert names.upstream("g", "ns") == "ns__g"
    assert names.upstream("h", "of_a_search") == "of_a_search__h"
