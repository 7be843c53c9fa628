"""Short schemas, and a check that a schema is in Gemini's dialect."""

from typing import Any

from jarvis_proxy.upstreams.gemini.request.schema.form import SchemaForm

STRING = {"type": "string"}
NULL = {"type": "null"}
LOOSE = SchemaForm(limits=False)
DEEP = SchemaForm(depth=3)

# Every keyword that may stand in a cleaned schema.
KEPT = {
    "$defs", "$ref", "type", "format", "title", "description", "default", "enum", "items",
    "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties",
    "additionalProperties", "required", "propertyOrdering",
}  # fmt: skip


def assert_dialect(schema: dict[str, Any], *, root: bool = True) -> None:
    """Fail unless only Gemini's keywords stand in *schema*, each as Gemini wants it."""
    assert schema.keys() <= KEPT, schema.keys() - KEPT
    assert root or "$defs" not in schema
    if "$ref" in schema:
        assert schema.keys() <= {"$ref", "$defs"}
    assert isinstance(schema.get("type", ""), str)
    assert all(isinstance(v, str | int | float) and v != "" for v in schema.get("enum", ["x"]))
    assert not any(isinstance(value, bool) for value in schema.get("enum", []))
    if schema.get("type") == "array":
        assert "items" in schema or "prefixItems" in schema
    assert set(schema.get("required", [])) <= set(schema.get("properties", {}))
    inner = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("prefixItems", [])]
    inner += [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [schema[key] for key in ("items", "additionalProperties") if key in schema]
    for node in inner:
        if not isinstance(node, bool):
            assert_dialect(node, root=False)
