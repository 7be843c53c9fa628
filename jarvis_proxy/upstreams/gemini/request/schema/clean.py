"""Reduces a JSON Schema to what Gemini's JSON-schema fields accept. Pure.

Source: https://ai.google.dev/api/generate-content#FIELDS.response_json_schema (read 2026-11) and
recorded requests that models accepted. Constraints without an equivalent are summarised in the
description, which the model reads. A cleaned schema allows everything that the original allows.
"""

import math
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from jarvis_proxy.canonical.json_values import MAX_DEPTH, copyable
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.schema.all_of import AllOfMerger
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm, restrict
from jarvis_proxy.upstreams.gemini.request.schema.keywords import (
    EnumValues,
    Schema,
    add_null,
    choices,
    constraint,
    describe,
    implied_type,
    is_number,
    one_of,
    subschemas,
    types_of,
    with_types,
)
from jarvis_proxy.upstreams.gemini.request.schema.loops import open_loops
from jarvis_proxy.upstreams.gemini.request.schema.refs import (
    DEFINITION_PREFIX,
    RefResolver,
    reference,
)
from jarvis_proxy.wire.work_budget import WorkBudget

_FORMATS: Final = frozenset(
    ("date-time", "date", "time", "int32", "int64", "float", "double", "enum")
)
_BOUNDS: Final = ("minItems", "maxItems", "minimum", "maximum")

DESCRIBED_KEYWORDS: Final = (
    "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies",
    "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems",
    "contains", "minContains", "maxContains",
    # Gemini 2.5 accepted these when recorded; for newer models that is unverified. In the
    # description no model rejects them, and the model can read them.
    "multipleOf", "minProperties", "maxProperties", "minLength", "maxLength", "pattern",
    "uniqueItems", "contentEncoding", "contentMediaType", "contentSchema", "examples", "example",
)  # fmt: skip
"""Keywords that move to the description."""

_HINTED: Final = frozenset(DESCRIBED_KEYWORDS)
_LIMITING: Final = frozenset((*_BOUNDS, "format", "exclusiveMinimum", "exclusiveMaximum"))
_TEXTS: Final = ("title", "description")
_PLAIN: Final = frozenset(("type", *_TEXTS))
_PLAIN_TYPES: Final = frozenset(("string", "integer", "number", "boolean"))
_CHARACTERS_PER_STEP: Final = 8
"""Characters of a value that moves to the description."""
_NODE_STEPS: Final = 4
"""A schema's cost in addition to its keywords: it is merged, typed and described."""

_FLAGS: Final = ("deprecated", "readOnly", "writeOnly")
"""Keywords that move to the description if they are true."""

_SPOKEN: Final = frozenset(
    (*DESCRIBED_KEYWORDS, *_BOUNDS, "type", "format", "enum", "const", "anyOf", "oneOf", "allOf",
     "items", "prefixItems", "properties", "required", "additionalProperties", "exclusiveMinimum",
     "exclusiveMaximum")
)  # fmt: skip
_AROUND_REFERENCE: Final = _SPOKEN - {"type"}
_ANY_NAME: Final = frozenset(
    ("", "^", "$", "^.*", ".*", ".*$", "^.*$", "(.*)", "^(.*)$", ".+", "^.+$", "^(.+)$",
     "[\\s\\S]*", "^[\\s\\S]*$")
)  # fmt: skip
"""Patterns that match every name, which generators use for records."""


class Cleaned(NamedTuple):
    """A schema in Gemini's dialect. *relaxed*: its form made it less specific than the full one."""

    schema: Schema
    relaxed: bool


def clean(
    schema: object,
    *,
    param: str = "schema",
    form: SchemaForm = FULL,
    work: WorkBudget | None = None,
) -> Schema:
    """Return *schema* in the dialect of ``responseJsonSchema`` and ``parametersJsonSchema``.

    Like ``clean_as``, without ``relaxed``.
    """
    return clean_as(schema, form, param=param, work=work or WorkBudget()).schema


def clean_as(schema: object, form: SchemaForm, *, param: str, work: WorkBudget) -> Cleaned:
    """Return *schema* in Gemini's dialect and in *form*. A cleaned schema stays unchanged.

    Raises:
        ProxyError: 400 `invalid_schema` with *param*: a reference leads nowhere, a value is no
            schema, or there are more than 100 levels; 400 `request_too_complex`.
    """
    cleaner = _Cleaner(schema, param, form, work)
    out = cleaner.clean()
    relaxed = cleaner.relaxed
    if cleaner.refers:
        out = open_loops(out, work).schema
    out, changed = restrict(out, form, work)
    return Cleaned(out, relaxed or changed)


class _Cleaner:
    __slots__ = ("_form", "_merger", "_param", "_refs", "_root", "_work", "refers", "relaxed")

    def __init__(self, root: object, param: str, form: SchemaForm, work: WorkBudget) -> None:
        self._root = root
        self._param = param
        self._form = form
        self._work = work
        self._refs = RefResolver(root, param, work)
        self._merger = AllOfMerger(self._refs, self._visit, work)
        self.refers = False
        """Whether the schema still contains a reference."""
        self.relaxed = False

    def clean(self) -> Schema:
        if not isinstance(self._root, bool | dict):
            raise self._broken("a schema must be an object or a boolean")
        out = self._node(self._root, 1) or {}
        if out.get("$ref") == "#":
            # A schema that only refers to itself has no content.
            del out["$ref"]
        if definitions := self._definitions(out):
            out["$defs"] = definitions
        return out

    def _definitions(self, out: Schema) -> Schema:
        """Return the cleaned definitions that *out* reaches.

        Cleaning may drop a schema after following its references, so the output decides.
        """
        definitions: Schema = {}
        unread = deque([out])
        while unread:
            for name in self._referenced(unread.popleft()):
                if name not in definitions:
                    definition = self._node(self._refs.targets[name], 1) or {}
                    definitions[name] = definition
                    unread.append(definition)
        return definitions

    def _referenced(self, node: Schema) -> Iterator[str]:
        self._work.spend(param=self._param)
        if isinstance(ref := node.get("$ref"), str) and ref != "#":
            yield ref.removeprefix(DEFINITION_PREFIX)
        for inner in subschemas(node):
            yield from self._referenced(inner)

    def _visit(self, depth: int, steps: int = 1) -> None:
        self._work.spend(steps, param=self._param)
        if depth > MAX_DEPTH:
            raise self._broken(f"it nests deeper than {MAX_DEPTH} levels")

    def _broken(self, why: str) -> ProxyError:
        return invalid(self._param, f"Invalid schema: {why}.", "invalid_schema")

    def _node(self, schema: object, depth: int) -> Schema | None:
        """Return a cleaned schema; None for ``false``, which nothing can satisfy.

        A value that is no schema, such as null or PHP's ``[]`` for ``{}``, allows any value.
        """
        if not isinstance(schema, dict) or not schema:
            self._visit(depth)
            return None if schema is False else {}
        if _is_plain(schema):
            self._visit(depth, 1 + len(schema))
            self._spend_texts(schema)
            return dict(schema)
        self._visit(depth, _NODE_STEPS + len(schema))
        merged = self._merger.enter(schema, depth)
        hints: list[str] = []
        out = self._whole(merged.schema, depth, hints)
        self._merger.leave(merged)
        lost = [constraint(key, value) for key, value in merged.lost if key in _SPOKEN]
        return self._finish(out, merged.schema, hints + lost)

    def _whole(self, schema: Schema, depth: int, hints: list[str]) -> Schema:
        types, nullable = types_of(schema)
        if (ref := reference(schema)) is not None:
            out = self._reference(ref, hints)
            hints += self._words(schema, _AROUND_REFERENCE)
        else:
            allowed = choices(schema, types, hints, self._work)
            nullable = nullable or allowed.null
            out = self._structure(schema, depth, allowed=allowed, hints=hints)
        hints += [f"{key}: true" for key in _FLAGS if schema.get(key) is True]
        return add_null(out) if nullable else out

    def _finish(self, out: Schema, schema: Schema, hints: list[str]) -> Schema:
        """Return *out* with the texts of *schema*."""
        texts: Schema = {key: text for key in _TEXTS if isinstance(text := schema.get(key), str)}
        self._spend_texts(texts)
        if "default" in schema and copyable(schema["default"], self._work):
            texts["default"] = schema["default"]
        if hints:
            self._work.spend(sum(map(len, hints)) // _CHARACTERS_PER_STEP, param=self._param)
            describe(texts, hints)
        if "$ref" in out and texts:
            # Only keywords with `$` are allowed next to `$ref`.
            return {**texts, "anyOf": [out]}
        return {**out, **texts}

    def _spend_texts(self, texts: Schema) -> None:
        for key in _TEXTS:
            if isinstance(text := texts.get(key), str):
                self._work.spend_text(len(text), param=self._param)

    def _reference(self, ref: str, hints: list[str]) -> Schema:
        if self._refs.is_outside(ref):
            hints.append(constraint("as in", ref))
            return {}
        self.refers = True
        return {"$ref": self._refs.rename(ref)}

    def _words(self, schema: Schema, keys: frozenset[str]) -> list[str]:
        return [constraint(key, value) for key, value in schema.items() if key in keys]

    def _structure(
        self, schema: Schema, depth: int, *, allowed: EnumValues, hints: list[str]
    ) -> Schema:
        out: Schema = {}
        types = allowed.types
        if allowed.values is not None:
            out["enum"] = allowed.values
        for key in ("anyOf", "oneOf"):
            if branches := self._branches(schema.get(key), depth):
                out[key] = branches
            elif _says_something(schema.get(key)):
                hints.append(constraint(key, schema[key]))
        # Each type uses its own keywords, and choices leave only scalars. Keywords that no type
        # uses are not visited, so that no definition is kept for them.
        scalar = len(types) > 1 and (
            allowed.values is not None or any(key in out for key in _EITHER)
        )
        if not types or ("object" in types and not scalar):
            self._object(out, schema, depth, hints)
        if not types or ("array" in types and not scalar):
            self._array(out, schema, depth)
        types = types or implied_type(out)
        if not _LIMITING.isdisjoint(schema):
            self._limits(out, schema, types, hints=hints)
        if not _HINTED.isdisjoint(schema):
            hints += [
                constraint(key, schema[key])
                for key in DESCRIBED_KEYWORDS
                if key in schema and not _is_idle(key, schema[key])
            ]
        return with_types(out, types)

    def _object(self, out: Schema, schema: Schema, depth: int, hints: list[str]) -> None:
        kept: Schema = {}
        if isinstance(properties := schema.get("properties"), dict):
            cleaned = {key: self._node(value, depth + 1) for key, value in properties.items()}
            kept = {key: value for key, value in cleaned.items() if value is not None}
            out["properties"] = kept
            for key in ("required", "propertyOrdering"):
                # Google answers 400 to a required name that is no property.
                if names := self._names(schema.get(key), kept):
                    out[key] = names
        extra = self._extra(schema, depth)
        if extra is not None:
            out["additionalProperties"] = extra
        required = schema.get("required")
        if (out or "type" in schema) and isinstance(required, list):
            missing = [name for name in required if isinstance(name, str) and name not in kept]
            if missing:
                hints.append(constraint("required", missing))

    def _extra(self, schema: Schema, depth: int) -> Schema | bool | None:
        """Return the schema of properties without a name: the union of all patterns.

        A pattern for all names leaves nothing to ``additionalProperties``. If other patterns exist
        and further names are allowed with any value, then nothing is excluded.
        """
        extra, patterns = schema.get("additionalProperties"), schema.get("patternProperties")
        patterns = patterns if isinstance(patterns, dict) else {}
        for pattern in patterns.keys() & _ANY_NAME:
            node = self._node(patterns[pattern], depth + 1)
            return False if node is None else node
        if extra is not False and not isinstance(extra, dict):
            return extra if isinstance(extra, bool) else None
        branches = [self._node(value, depth + 1) for value in patterns.values()]
        if isinstance(extra, dict):
            branches.append(self._node(extra, depth + 1))
        allowed = [branch for branch in branches if branch is not None]
        return one_of(allowed) if allowed else False

    def _array(self, out: Schema, schema: Schema, depth: int) -> None:
        items = schema.get("items")
        # Before draft 2020-12, `items` could be a list of schemas.
        if prefix := self._branches(
            items if isinstance(items, list) else schema.get("prefixItems"), depth
        ):
            out["prefixItems"] = prefix
        if isinstance(items, dict | bool) and (node := self._node(items, depth + 1)) is not None:
            out["items"] = node

    def _branches(self, value: object, depth: int) -> list[Schema]:
        """Return cleaned schemas; none if every one of them allows anything."""
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
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            found["format"] = form
        elif isinstance(form, str) and form:
            hints.append(constraint("format", form))
        if self._form.limits:
            out.update(found)
        elif found:
            hints += [constraint(key, value) for key, value in found.items()]
            self.relaxed = True

    def _names(self, value: object, known: Schema) -> list[str]:
        if not isinstance(value, list):
            return []
        self._work.spend(len(value), param=self._param)
        names = (name for name in value if isinstance(name, str) and name in known)
        return list(dict.fromkeys(names))


_EITHER: Final = ("anyOf", "oneOf")


def _is_plain(schema: Schema) -> bool:
    """Return whether a schema is only a type and texts, as most are: these stay unchanged."""
    kind = schema.get("type")
    return (
        schema.keys() <= _PLAIN
        and isinstance(kind, str)
        and kind in _PLAIN_TYPES
        and all(isinstance(text, str) for text in schema.values())
    )


def _says_something(branches: object) -> bool:
    return isinstance(branches, list) and any(isinstance(item, dict) and item for item in branches)


def _is_idle(key: str, value: object) -> bool:
    """Return whether a keyword with this value excludes nothing beyond the other keywords."""
    if key == "patternProperties":
        return isinstance(value, dict) and len(value) == 1 and value.keys() <= _ANY_NAME
    return key == "uniqueItems" and value is False


def _close(key: str, found: Schema, schema: Schema, *, whole: bool, hints: list[str]) -> None:
    """Convert an exclusive bound to an inclusive one; for *whole* numbers nothing is lost."""
    name = "exclusive" + key.title()
    value, bound = schema.get(name), found.get(key)
    if value is True:
        # In draft 4 this is a flag on the bound.
        value, bound = bound, None
    if not is_number(value):
        return
    low = key == "minimum"
    if whole:
        value = math.floor(value) + 1 if low else math.ceil(value) - 1
    else:
        hints.append(constraint(name, value))
    found[key] = (max if low else min)(value, bound) if is_number(bound) else value
