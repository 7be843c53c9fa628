"""schema_loops: loops of references that Gemini cannot serve are opened."""

from collections.abc import Iterator
from typing import Any

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.loops import open_loops
from jarvis_proxy.wire.work_budget import WorkBudget

Json = dict[str, Any]
STRING = {"type": "string"}
NULL = {"type": "null"}
N = {"$ref": "#/$defs/N"}


def node(**properties: Any) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def whole(definition: Json, **others: Json) -> Json:
    return {**N, "$defs": {"N": definition, **others}}


def references(schema: Json, *, every: bool) -> Iterator[str]:
    """Yield the references that a value cannot do without, as Google counts them; or all."""
    if "$ref" in schema:
        yield schema["$ref"].removeprefix("#/$defs/")
    inner = list(schema.get("prefixItems", []))
    for key in ("anyOf", "oneOf"):
        branches = schema.get(key, [])
        inner += branches if every or NULL not in branches else []
    inner += [
        value
        for name, value in schema.get("properties", {}).items()
        if every or name in schema.get("required", [])
    ]
    if "items" in schema and (every or schema.get("minItems", 0) > 0):
        inner.append(schema["items"])
    if every and isinstance(extra := schema.get("additionalProperties"), dict):
        inner.append(extra)
    for value in inner:
        yield from references(value, every=every)


def has_loop(schema: Json, *, every: bool = False) -> bool:
    parts = {"#": {k: v for k, v in schema.items() if k != "$defs"}, **schema.get("$defs", {})}
    leads = {name: set(references(part, every=every)) for name, part in parts.items()}
    while ends := [name for name, targets in leads.items() if not targets & leads.keys()]:
        for name in ends:
            del leads[name]
    return bool(leads)


LOOPS = {
    "required": whole(node(next=N)),
    "choice": whole(node(next={"anyOf": [N, STRING]})),
    "one_of": whole(node(next={"oneOf": [STRING, N]})),
    "items": whole(node(next={"type": "array", "items": N, "minItems": 1})),
    "tuple": whole(node(next={"type": "array", "prefixItems": [STRING, N]})),
    "itself": whole({"anyOf": [N, STRING]}),
    "nothing_but_itself": whole(dict(N)),
    "root": node(a={"$ref": "#"}),
    "root_through_definition": {**node(a=N), "$defs": {"N": node(b={"$ref": "#"})}},
    "two": whole(node(m={"$ref": "#/$defs/M"}), M=node(n=N)),
    "three": whole(
        node(m={"$ref": "#/$defs/M"}), M=node(o={"$ref": "#/$defs/O"}), O=node(n=N, s=STRING)
    ),
    "name_taken": whole(node(next=N, other={"$ref": "#/$defs/N_2"}), N_2=STRING),
    "filters": whole(
        {"anyOf": [{"$ref": "#/$defs/And"}, {"$ref": "#/$defs/Or"}, STRING]},
        And=node(left=N, right=N),
        Or=node(left=N, right={"anyOf": [N, {"type": "number"}]}),
    ),
}
KEPT = {
    "optional": whole({"type": "object", "properties": {"next": N}}),
    "nullable": whole(node(next={"anyOf": [N, NULL]})),
    "empty_list": whole(node(children={"type": "array", "items": N})),
    "empty_list_said": whole(node(children={"type": "array", "items": N, "minItems": 0})),
    "record": whole({"type": "object", "additionalProperties": N}),
    "root": {"type": "object", "properties": {"child": {"$ref": "#"}}},
    "no_loop": whole(node(m={"$ref": "#/$defs/M"}), M=STRING),
    "no_reference": node(a=STRING),
}


@pytest.mark.parametrize("schema", LOOPS.values(), ids=LOOPS)
def test_no_loop_over_required_values_is_left(schema: Json) -> None:
    assert has_loop(schema)

    opened = open_loops(schema, WorkBudget())

    assert opened.changed
    assert not has_loop(opened.schema)
    assert opened.schema == open_loops(opened.schema, WorkBudget()).schema


@pytest.mark.parametrize("schema", KEPT.values(), ids=KEPT)
def test_what_google_serves_stays_as_it_is(schema: Json) -> None:
    opened = open_loops(schema, WorkBudget())

    assert (opened.schema, opened.changed) == (schema, False)


@pytest.mark.every_case
@pytest.mark.parametrize(
    "schema", [*LOOPS.values(), *KEPT.values()], ids=[*LOOPS, *(f"kept-{name}" for name in KEPT)]
)
def test_every_loop_is_opened_if_asked(schema: Json) -> None:
    opened = open_loops(schema, WorkBudget(), every=True)

    assert not has_loop(opened.schema, every=True)
    assert opened.changed is has_loop(schema, every=True)


def test_the_last_round_keeps_type_and_description() -> None:
    item = {"type": "array", "description": "D", "prefixItems": [N]}
    opened = open_loops(whole(item), WorkBudget()).schema

    assert opened["$defs"]["N_3"]["prefixItems"] == [  # type: ignore[index]
        {"type": "array", "items": {}, "description": "D (again as N)"}
    ]


def test_what_is_next_to_a_loop_is_not_copied() -> None:
    aside = {"type": "object", "properties": {"x": {"$ref": "#/$defs/Aside"}}}
    schema = whole(node(next=N, aside={"$ref": "#/$defs/Aside"}), Aside=aside)

    opened = open_loops(schema, WorkBudget()).schema

    assert list(opened["$defs"]) == ["N", "Aside", "N_2", "N_3"]  # type: ignore[call-overload]


def test_opening_costs_as_many_rounds_as_are_made() -> None:
    def steps(count: int) -> int:
        parts = {f"D{n}": node(next={"$ref": f"#/$defs/D{(n + 1) % count}"}) for n in range(count)}
        work = WorkBudget()
        open_loops({"$ref": "#/$defs/D0", "$defs": parts}, work)
        return work.steps

    assert steps(400) <= 2 * steps(200) + 10
    with pytest.raises(ProxyError):
        open_loops(whole(node(next=N)), WorkBudget(3))
