"""schema_refs: where references lead and how they read afterwards."""

from collections import Counter

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.refs import RefResolver, free_name, reference
from jarvis_proxy.wire.work_budget import WorkBudget

ROOT = {
    "$id": "https://x.test/root",
    "$defs": {
        "A": {"type": "string"},
        "a/b": {"type": "number"},
        "tilde~": {"type": "integer"},
        "Box[int]": {"type": "boolean", "$anchor": "box"},
        "Far": {"$id": "https://x.test/far", "$defs": {"In": {"type": "null"}}},
    },
    "definitions": {"Old": {"type": "array"}, "A": {"type": "object"}},
    "properties": {"p": {"items": [{"title": "first"}]}},
}


@pytest.mark.parametrize(
    ("ref", "target"),
    [
        ("#", ROOT),
        ("", ROOT),
        ("#/$defs/A", {"type": "string"}),
        ("#/$defs/a~1b", {"type": "number"}),
        ("#/$defs/tilde~0", {"type": "integer"}),
        ("#/$defs/Box%5Bint%5D", {"type": "boolean", "$anchor": "box"}),
        ("#box", {"type": "boolean", "$anchor": "box"}),
        ("#/definitions/Old", {"type": "array"}),
        ("#/properties/p/items/0", {"title": "first"}),
        ("https://x.test/root", ROOT),
        ("https://x.test/far#/$defs/In", {"type": "null"}),
    ],
)
def test_references_lead_to_schemas(ref: str, target: object) -> None:
    assert target == RefResolver(ROOT, "schema", WorkBudget()).resolve(ref)


@pytest.mark.parametrize(("ref", "key"), [("definitions", "$defs"), ("$defs", "definitions")])
def test_the_other_spelling_of_definitions_is_understood(ref: str, key: str) -> None:
    refs = RefResolver({key: {"A": {"type": "string"}}}, "schema", WorkBudget())

    assert refs.resolve(f"#/{ref}/A") == {"type": "string"}


@pytest.mark.parametrize(
    "ref",
    [
        "#/$defs/Missing",
        "#/properties/p/items/7",
        "#/properties/p/items/x",
        "#/$defs/A/type/deeper",
        "#/properties/p/items/99999999999999999999",
        "#anchor",
    ],
)
def test_references_that_lead_nowhere_are_a_400(ref: str) -> None:
    with pytest.raises(ProxyError, match="does not resolve") as caught:
        RefResolver(ROOT, "tools[0].function.parameters", WorkBudget()).resolve(ref)

    assert (
        caught.value.code,
        caught.value.param,
    ) == ("invalid_schema", "tools[0].function.parameters")


@pytest.mark.parametrize(
    "ref",
    ["other.json", "http://json-schema.org/draft-07/schema#", "https://x.test/other#/$defs/A"],
)
def test_references_that_lead_outside_are_any_value(ref: str) -> None:
    refs = RefResolver(ROOT, "schema", WorkBudget())

    assert (refs.is_outside(ref), refs.resolve(ref)) == (True, True)
    assert not refs.is_outside("https://x.test/far#/$defs/In")


@pytest.mark.parametrize(
    ("schema", "ref"),
    [
        ({"$ref": "#/a"}, "#/a"),
        ({"$dynamicRef": "#a"}, "#a"),
        ({"$recursiveRef": "#"}, "#"),
        ({"$ref": 3}, None),
        ({}, None),
        (True, None),
    ],
)
def test_every_drafts_references_are_seen(schema: object, ref: str | None) -> None:
    assert ref == reference(schema)


def test_one_target_has_one_name_however_it_is_spelled() -> None:
    refs = RefResolver(ROOT, "schema", WorkBudget())
    spellings = ["#/$defs/A", "#/%24defs/A", "#/$defs/%41", "https://x.test/root#/$defs/A"]

    assert {refs.rename(ref) for ref in spellings} == {"#/$defs/A"}
    assert list(refs.targets) == ["A"]


def test_thousands_of_equal_names_cost_a_step_each() -> None:
    root = {"$defs": {f"g{n}": {"a": {"title": str(n)}} for n in range(3000)}}
    work = WorkBudget()
    refs = RefResolver(root, "schema", work)

    names = [refs.rename(f"#/$defs/g{n}/a") for n in range(3000)]

    assert len(set(names)) == 3000
    assert names[-1] == "#/$defs/a_3000"
    assert work.steps <= 3 * 3000


def test_a_reference_is_followed_once() -> None:
    work = WorkBudget()
    refs = RefResolver(ROOT, "schema", work)
    for _ in range(1000):
        refs.rename("#/properties/p/items/0")

    assert work.steps == 4


def test_free_names_count_on_where_they_stopped() -> None:
    taken: Counter[str] = Counter()

    assert [free_name(name, taken) for name in ("a", "a_2", "a", "a", "a_2", "b")] == [
        "a",
        "a_2",
        "a_3",
        "a_4",
        "a_2_2",
        "b",
    ]


def test_several_anchors_are_found_in_one_schema() -> None:
    refs = RefResolver(ROOT, "schema", WorkBudget())

    assert refs.resolve("#box") == {"type": "boolean", "$anchor": "box"}
    assert refs.resolve("https://x.test/root") is ROOT


def test_names_are_plain_and_apart_and_each_target_is_named_once() -> None:
    refs = RefResolver(ROOT, "schema", WorkBudget())
    asked = ["#/$defs/A", "#/$defs/Box%5Bint%5D", "#/$defs/A", "#", "#/properties/p/items/0"]
    asked += ["#/definitions/A", "#/$defs/a~1b"]

    assert [refs.rename(ref) for ref in asked] == [
        "#/$defs/A",
        "#/$defs/Box_int_",
        "#/$defs/A",
        "#",
        "#/$defs/0",
        "#/$defs/A_2",
        "#/$defs/a_1b",
    ]
    assert list(refs.targets) == ["A", "Box_int_", "0", "A_2", "a_1b"]


def test_a_pointer_that_ends_in_nothing_still_gets_a_name() -> None:
    refs = RefResolver({"$defs": {"": {"type": "string"}}}, "schema", WorkBudget())

    assert refs.rename("#/$defs/") == "#/$defs/_"
