"""schema_refs: where references lead and how they read afterwards."""

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.schema_refs import References

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
    assert target == References(ROOT, "schema").resolve(ref)


@pytest.mark.parametrize(("ref", "key"), [("definitions", "$defs"), ("$defs", "definitions")])
def test_the_other_spelling_of_definitions_is_understood(ref: str, key: str) -> None:
    refs = References({key: {"A": {"type": "string"}}}, "schema")

    assert refs.resolve(f"#/{ref}/A") == {"type": "string"}


@pytest.mark.parametrize(
    "ref",
    [
        "#/$defs/Missing",
        "#/properties/p/items/7",
        "#/properties/p/items/x",
        "#/$defs/A/type/deeper",
        "#anchor",
        "other.json",
        "http://json-schema.org/draft-07/schema#",
    ],
)
def test_references_that_lead_nowhere_are_a_400(ref: str) -> None:
    with pytest.raises(ProxyError, match="leads nowhere") as caught:
        References(ROOT, "tools[0].function.parameters").resolve(ref)

    assert (
        caught.value.code,
        caught.value.param,
    ) == ("invalid_schema", "tools[0].function.parameters")


def test_several_anchors_are_found_in_one_schema() -> None:
    refs = References(ROOT, "schema")

    assert refs.resolve("#box") == {"type": "boolean", "$anchor": "box"}
    assert refs.resolve("https://x.test/root") is ROOT


def test_names_are_plain_and_apart_and_each_target_is_pending_once() -> None:
    refs = References(ROOT, "schema")
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
    assert [name for name, _ in refs.pending] == ["A", "Box_int_", "0", "A_2", "a_1b"]


def test_a_pointer_that_ends_in_nothing_still_gets_a_name() -> None:
    refs = References({"$defs": {"": {"type": "string"}}}, "schema")

    assert refs.rename("#/$defs/") == "#/$defs/_"
