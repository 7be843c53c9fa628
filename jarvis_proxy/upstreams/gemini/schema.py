"""Cuts a JSON Schema down to what Gemini's JSON-schema fields take. Pure.

Source: https://ai.google.dev/api/generate-content#FIELDS.response_json_schema (read 2026-11) and
recorded requests that the models took. What cannot be said in that dialect moves, in short, to
the description, where the model reads it.
"""

import math
from typing import Final

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.faults import invalid
from jarvis_proxy.upstreams.gemini.schema_merge import Merger
from jarvis_proxy.upstreams.gemini.schema_refs import References
from jarvis_proxy.upstreams.gemini.schema_terms import (
    Choices,
    Schema,
    add_null,
    choices,
    constraint,
    describe,
    implied_type,
    is_number,
    types_of,
    with_types,
)
from jarvis_proxy.upstreams.gemini.values import MAX_DEPTH, within_depth

_MAX_NODES: Final = 20_000
"""Schemas looked at in one cleaning: a chain of ``allOf`` can double at every link."""

_FORMATS: Final = frozenset(
    ("date-time", "date", "time", "int32", "int64", "float", "double", "enum")
)
_BOUNDS: Final = ("minItems", "maxItems", "minimum", "maximum")

HINTED: Final = (
    "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
    "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems",
    "contains", "minContains", "maxContains",
    # Taken by 2.5 when recorded; whether newer models take them is unverified. In the
    # description they are refused by none, and the model gets to read them.
    "multipleOf", "minProperties", "maxProperties", "minLength", "maxLength", "pattern",
    "uniqueItems",
)  # fmt: skip
"""Keywords that become words of the description."""


def clean(schema: object, *, param: str = "schema", loose: bool = False) -> Schema:
    """Return *schema* in the dialect of ``responseJsonSchema`` and ``parametersJsonSchema``.

    Cleaning a clean schema changes nothing. *loose* also turns into words what can make the
    upstream say "too many states": minItems, maxItems, minimum and maximum; and drops formats.

    Raises:
        ProxyError: 400 `invalid_schema` with *param*: a reference that leads nowhere, a value that
            is no schema, or more than 100 levels.
    """
    return _Cleaner(schema, param, loose=loose).clean()


class _Cleaner:
    __slots__ = ("_loose", "_merger", "_param", "_refs", "_root", "_visits")

    def __init__(self, root: object, param: str, *, loose: bool) -> None:
        self._root = root
        self._param = param
        self._loose = loose
        self._refs = References(root, param)
        self._merger = Merger(self._refs, self._visit)
        self._visits = 0

    def clean(self) -> Schema:
        out = self._node(self._root, 1) or {}
        definitions: Schema = {}
        while self._refs.pending:
            name, target = self._refs.pending.popleft()
            definitions[name] = self._node(target, 1) or {}
        if out.get("$ref") == "#":
            del out["$ref"]  # a schema that is only itself says nothing
        if definitions:
            out["$defs"] = definitions
        return out

    def _visit(self, depth: int) -> None:
        self._visits += 1
        if depth > MAX_DEPTH:
            raise self._broken(f"it nests deeper than {MAX_DEPTH} levels")
        if self._visits > _MAX_NODES:
            raise self._broken("it is too large")

    def _broken(self, why: str) -> ProxyError:
        return invalid(self._param, f"Invalid schema: {why}.", "invalid_schema")

    def _node(self, schema: object, depth: int) -> Schema | None:
        """Return a cleaned schema; None for ``false``, which nothing can satisfy."""
        self._visit(depth)
        if isinstance(schema, bool):
            return {} if schema else None
        if not isinstance(schema, dict):
            raise self._broken("a schema must be an object or a boolean")
        schema, mark = self._merger.enter(schema, depth)
        out = self._whole(schema, depth)
        self._merger.leave(mark)
        return out

    def _whole(self, schema: Schema, depth: int) -> Schema:
        hints: list[str] = []
        types, nullable = types_of(schema)
        if isinstance(ref := schema.get("$ref"), str):
            out: Schema = {"$ref": self._refs.rename(ref)}
        else:
            allowed = choices(schema, hints)
            nullable = nullable or allowed.null
            out = self._structure(schema, depth, types=types, allowed=allowed, hints=hints)
        for key in ("title", "description"):
            if isinstance(text := schema.get(key), str):
                out[key] = text
        if "default" in schema and within_depth(schema["default"]):
            out["default"] = schema["default"]
        describe(out, hints)
        if nullable:
            out = add_null(out)
        if "$ref" in out and len(out) > 1:
            # Only `$` keywords may stand next to `$ref`.
            out["anyOf"] = [{"$ref": out.pop("$ref")}]
        return out

    def _structure(
        self, schema: Schema, depth: int, *, types: list[str], allowed: Choices, hints: list[str]
    ) -> Schema:
        out: Schema = {}
        if allowed.values is not None:
            out["enum"] = allowed.values
        for key in ("anyOf", "oneOf"):
            if branches := self._branches(schema.get(key), depth):
                out[key] = branches
        # Of several types each takes its own keywords, and choices leave scalars only: what no
        # type takes is not walked, so no definition is kept for its sake.
        spread = len(types) > 1 and not out.keys() & {"anyOf", "oneOf"}
        if not spread or ("object" in types and allowed.values is None):
            self._object(out, schema, depth)
        if not spread or ("array" in types and allowed.values is None):
            self._array(out, schema, depth)
        if not types:
            types = [allowed.type] if allowed.type else implied_type(out)
        self._limits(out, schema, types, hints=hints)
        hints += [
            constraint(key, schema[key])
            for key in HINTED
            if key in schema and not (key == "uniqueItems" and schema[key] is False)
        ]
        return with_types(out, types)

    def _object(self, out: Schema, schema: Schema, depth: int) -> None:
        if isinstance(properties := schema.get("properties"), dict):
            cleaned = {key: self._node(value, depth + 1) for key, value in properties.items()}
            kept: Schema = {key: value for key, value in cleaned.items() if value is not None}
            out["properties"] = kept
            for key in ("required", "propertyOrdering"):
                # A name that is no property is a 400.
                if names := _names(schema.get(key), kept):
                    out[key] = names
        extra = schema.get("additionalProperties")
        if isinstance(extra, bool):
            out["additionalProperties"] = extra
        elif isinstance(extra, dict):
            out["additionalProperties"] = self._node(extra, depth + 1)

    def _array(self, out: Schema, schema: Schema, depth: int) -> None:
        items = schema.get("items")
        # Before draft 2020-12 a list of schemas stood under `items`.
        if prefix := self._branches(
            items if isinstance(items, list) else schema.get("prefixItems"), depth
        ):
            out["prefixItems"] = prefix
        if isinstance(items, dict | bool) and (node := self._node(items, depth + 1)) is not None:
            out["items"] = node

    def _branches(self, value: object, depth: int) -> list[Schema]:
        """Return cleaned schemas; none when every one of them allows anything."""
        if not isinstance(value, list):
            return []
        nodes = [self._node(item, depth + 1) for item in value]
        kept = [node for node in nodes if node is not None]
        return kept if any(kept) else []

    def _limits(self, out: Schema, schema: Schema, types: list[str], *, hints: list[str]) -> None:
        found: Schema = {}
        for key in _BOUNDS:
            value = schema.get(key)
            if not is_number(value):
                continue
            if not key.endswith("Items"):
                found[key] = value
            elif value >= 0:
                found[key] = int(value)
        _close("minimum", found, schema, whole=types == ["integer"], hints=hints)
        _close("maximum", found, schema, whole=types == ["integer"], hints=hints)
        if self._loose:
            hints += [constraint(key, value) for key, value in found.items()]
            return
        out.update(found)
        if schema.get("format") in _FORMATS:
            out["format"] = schema["format"]


def _close(key: str, found: Schema, schema: Schema, *, whole: bool, hints: list[str]) -> None:
    """Turn an exclusive bound into an inclusive one; for *whole* numbers nothing is lost."""
    name = "exclusive" + key.title()
    value, bound = schema.get(name), found.get(key)
    if value is True:
        value, bound = bound, None  # draft 4: a flag on the bound
    if not is_number(value):
        return
    low = key == "minimum"
    if whole:
        value = math.floor(value) + 1 if low else math.ceil(value) - 1
    else:
        hints.append(constraint(name, value))
    found[key] = (max if low else min)(value, bound) if is_number(bound) else value


def _names(value: object, known: Schema) -> list[str]:
    if not isinstance(value, list):
        return []
    return list(dict.fromkeys(name for name in value if isinstance(name, str) and name in known))
