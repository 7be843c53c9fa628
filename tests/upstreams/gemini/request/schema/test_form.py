"""How far a schema is relaxed."""

from dataclasses import replace

import pytest

from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SAFE_DEPTH, SchemaForm, restrict
from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema
from jarvis_proxy.wire.work_budget import WorkBudget


def test_the_full_form_keeps_everything() -> None:
    assert SchemaForm() == FULL == SchemaForm(limits=True, loops=True, depth=None)


def test_stricter_forms_add_up() -> None:
    form = replace(replace(FULL, limits=False), depth=SAFE_DEPTH)

    assert form == SchemaForm(limits=False, loops=True, depth=5)


@pytest.mark.parametrize(
    ("form", "has_loop", "has_properties"),
    [
        (FULL, True, True),
        (SchemaForm(loops=False), False, True),
        (SchemaForm(depth=1), False, False),
    ],
)
def test_loops_and_depth_are_restricted(
    form: SchemaForm, has_loop: bool, has_properties: bool
) -> None:
    schema: Schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}

    restricted, changed = restrict(schema, form, WorkBudget())

    assert changed is (form != FULL)
    assert ("'#'" in str(restricted)) is has_loop
    assert ("properties" in restricted) is has_properties
