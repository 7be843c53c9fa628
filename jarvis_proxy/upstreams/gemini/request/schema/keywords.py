"""Single keywords of a JSON schema: types, choices, null, and their descriptions. Pure.

Source: https://json-schema.org/draft/2020-12/json-schema-validation (6, read 2026-11).
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias, TypeGuard

from jarvis_proxy.canonical.json_values import compact, excerpt
from jarvis_proxy.wire.work_budget import WorkBudget

Schema: TypeAlias = dict[str, object]

_TYPES: Final = ("object", "array", "string", "integer", "number", "boolean", "null")
_MAX_HINT: Final = 200
_SHARED: Final = ("title", "description", "default")

_FOR_TYPE: Final = {
    "object": ("properties", "required", "propertyOrdering", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("format",),
    "integer": ("minimum", "maximum", "format"),
    "number": ("minimum", "maximum", "format"),
}
_TYPED: Final = frozenset(key for keys in _FOR_TYPE.values() for key in keys)
"""Keywords for values of certain types only; Google rejects them with other types."""


class EnumValues(NamedTuple):
    """The result of ``enum`` or ``const``: its values, whether null was one, and their types."""

    values: list[object] | None = None
    null: bool = False
    types: list[str] = []  # noqa: RUF012 - never changed


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether *value* is a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def constraint(key: str, value: object) -> str:
    """Return a constraint as short text for a description."""
    if isinstance(value, str) and value:
        return f"{key}: {value[:_MAX_HINT]}"
    text = excerpt(value, _MAX_HINT)
    return f"{key}: {text}" if text else key


def describe(out: Schema, hints: list[str]) -> None:
    """Append *hints* to the description of a cleaned schema."""
    if hints:
        words = f"({'; '.join(hints)})"
        before = out.get("description")
        out["description"] = f"{before} {words}" if before else words


def types_of(schema: Schema) -> tuple[list[str], bool]:
    """Return the types in a schema, and whether null is also allowed.

    OpenAPI's spellings are accepted: ``STRING``, and ``nullable``.
    """
    named = schema.get("type")
    given = named if isinstance(named, list) else [named]
    lowered = [item.lower() for item in given if isinstance(item, str)]
    types = [name for name in dict.fromkeys(lowered) if name in _TYPES]
    if "number" in types and "integer" in types:
        types.remove("integer")
    nullable = schema.get("nullable") is True
    if "null" in types and len(types) > 1:
        types.remove("null")
        nullable = True
    return types, nullable


def choices(schema: Schema, types: list[str], hints: list[str], work: WorkBudget) -> EnumValues:
    """Return the string and number values of ``const`` or ``enum``.

    Their types are those of *types* that the values have. If no value has any of them, *types* is
    probably a mistake, and the values decide.
    """
    given = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(given, list):
        return EnumValues(types=types)
    work.spend(len(given))
    values = [value for value in given if value is not None]
    null = len(values) < len(given)
    if not values:
        return EnumValues(null=null and "type" in schema, types=types or (["null"] if null else []))
    fitting = [value for value in values if any(_fits(value, name) for name in types)]
    if not fitting:
        fitting, types = values, []
    types = [name for name in types if any(_fits(value, name) for value in fitting)]
    if any(isinstance(value, bool | dict | list) for value in fitting):
        hints.append(constraint("one of", values))
        return EnumValues(None, null, types or _shared_types(fitting))
    # Google answers 400 to an empty string among the choices.
    kept = [value for value in {(type(v), v): v for v in fitting}.values() if value != ""]
    if not kept:
        hints.append(constraint("one of", values))
    work.spend_text(sum(len(value) for value in kept if isinstance(value, str)))
    return EnumValues(kept or None, null, types or _shared_types(kept or fitting))


def one_of(branches: list[Schema]) -> Schema:
    """Return a schema that allows what any of *branches* allows."""
    if {} in branches:
        return {}
    apart = {compact(branch): branch for branch in branches}
    return branches[0] if len(apart) == 1 else {"anyOf": list(apart.values())}


def implied_type(out: Schema) -> list[str]:
    """Return the type that the keywords of an untyped schema imply."""
    if "anyOf" in out or "oneOf" in out:
        return []
    if "properties" in out:
        return ["object"]
    return ["array"] if "items" in out or "prefixItems" in out else []


def with_types(out: Schema, types: list[str]) -> Schema:
    """Return a cleaned schema with its type, or with a choice of schemas for several types.

    Lists of types are only partly documented, and other fields of the API reject them.
    """
    if not types:
        return out
    if len(types) == 1:
        others = _TYPED.difference(_FOR_TYPE.get(types[0], ()))
        kept = {key: value for key, value in out.items() if key not in others}
        return _complete({"type": types[0], **kept})
    if "anyOf" in out or "oneOf" in out:
        # These branches have the types already.
        return out
    branches = _branches(out, types)
    if not branches:
        # The choices have none of the types, and are more specific.
        return out
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def subschemas(node: Schema) -> Iterator[Schema]:
    """Yield the schemas directly inside a cleaned *node*, without its ``$defs``."""
    for key in ("anyOf", "oneOf"):
        yield from node.get(key, ())  # type: ignore[misc]
    if isinstance(properties := node.get("properties"), dict):
        yield from properties.values()
    if isinstance(extra := node.get("additionalProperties"), dict):
        yield extra
    yield from node.get("prefixItems", ())  # type: ignore[misc]
    if isinstance(items := node.get("items"), dict):
        yield items


def add_null(out: Schema) -> Schema:
    """Return a cleaned schema that also allows null."""
    shared: Schema = {key: out[key] for key in _SHARED if key in out}
    rest = {key: value for key, value in out.items() if key not in shared}
    if not rest or rest == {"type": "null"}:
        return out
    null: Schema = {"type": "null"}
    for key in ("anyOf", "oneOf"):
        branches = rest.get(key)
        if list(rest) == [key] and isinstance(branches, list):
            return {**shared, key: branches if null in branches else [*branches, null]}
    return {**shared, "anyOf": [rest, null]}


def _shared_types(values: list[object]) -> list[str]:
    """Return the common type of all *values*; none if they differ."""
    for name in ("integer", "number", "string", "boolean"):
        if all(_fits(value, name) for value in values):
            return [name]
    return []


def _branches(out: Schema, types: list[str]) -> list[Schema]:
    """Return one schema for each type, with the keywords for that type."""
    branches: list[Schema] = []
    values = out.get("enum")
    for name in types:
        keep = _FOR_TYPE.get(name, ())
        branch: Schema = {"type": name, **{key: out[key] for key in keep if key in out}}
        if isinstance(values, list):
            branch["enum"] = [value for value in values if _fits(value, name)]
            if not branch["enum"]:
                continue
        branches.append(_complete(branch))
    return branches


def _fits(value: object, name: str) -> bool:
    match value:
        case bool():
            return name == "boolean"
        case int():
            return name in ("integer", "number")
        case float():
            return name == "number" or (name == "integer" and value.is_integer())
        case str():
            return name == "string"
        case list():
            return name == "array"
        case _:
            return name == ("object" if isinstance(value, dict) else "null")


def _complete(out: Schema) -> Schema:
    if out["type"] == "array" and "items" not in out and "prefixItems" not in out:
        # Without it, Google answers 400: missing field.
        out["items"] = {}
    return out
