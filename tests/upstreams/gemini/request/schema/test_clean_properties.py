"""Any schema gives one in Gemini's dialect."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jarvis_proxy.upstreams.gemini.request.schema.clean import clean
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from tests.upstreams.gemini.request.schema.schemas import DEEP, LOOSE, assert_dialect

VALUE = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["", "a", "b"]))


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    mapping = st.dictionaries(st.sampled_from(["a", "b", "$ref"]), inner, max_size=3)
    number = st.one_of(st.integers(-9, 9), st.floats(-9, 9), st.booleans(), st.none())
    types = ["string", "INTEGER", "number", "boolean", "array", "object", "null", "any"]
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(st.sampled_from(types), st.lists(st.sampled_from(types), max_size=3)),
            "enum": st.lists(VALUE, max_size=4),
            "const": VALUE,
            "nullable": st.booleans(),
            "title": VALUE,
            "description": VALUE,
            "default": VALUE,
            "format": st.sampled_from(["date", "uri", "int32"]),
            "properties": mapping,
            "required": st.lists(st.sampled_from(["a", "b", "z"]), max_size=3),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "propertyOrdering": st.lists(st.sampled_from(["a", "z"]), max_size=2),
            "items": st.one_of(inner, st.lists(inner, max_size=2)),
            "prefixItems": st.lists(inner, max_size=2),
            "minItems": number,
            "maximum": number,
            "exclusiveMinimum": number,
            "exclusiveMaximum": number,
            "anyOf": st.lists(inner, max_size=3),
            "oneOf": st.lists(inner, max_size=2),
            "allOf": st.lists(inner, max_size=3),
            "$ref": st.sampled_from(["#", "#/$defs/X", "#/definitions/Y", "#/$defs/X~1y"]),
            "$schema": st.just("https://json-schema.org/draft/2020-12/schema"),
            "pattern": st.just("^a"),
            "not": inner,
            "minLength": number,
            "uniqueItems": st.booleans(),
            "x-anything": VALUE,
        },
    )


SCHEMA: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.booleans(), st.just({"type": "string"})), _schemas, max_leaves=8
)
ROOTS = st.builds(
    lambda schema, x, y: {
        **schema,
        "$defs": {"X": x, "X/y": y},
        "definitions": {"Y": x},
    },
    _schemas(SCHEMA),
    SCHEMA,
    SCHEMA,
)


@pytest.mark.slow
@given(schema=ROOTS, form=st.sampled_from([FULL, LOOSE, SchemaForm(loops=False), DEEP]))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_cleaning_gives_the_dialect_and_cleaning_again_changes_nothing(
    schema: dict[str, Any], form: SchemaForm
) -> None:
    once = clean(schema, form=form)

    assert_dialect(once)
    assert once == clean(once, form=form)
