"""schema_form: how far a schema is relaxed."""

from dataclasses import replace

from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SAFE_DEPTH, SchemaForm


def test_the_full_form_keeps_everything() -> None:
    assert SchemaForm() == FULL == SchemaForm(limits=True, loops=True, depth=None)


def test_stricter_forms_add_up() -> None:
    form = replace(replace(FULL, limits=False), depth=SAFE_DEPTH)

    assert form == SchemaForm(limits=False, loops=True, depth=5)
