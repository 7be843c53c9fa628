"""Merges ``allOf``, which Gemini's schema dialect lacks, into one schema. Pure.

Source: https://json-schema.org/draft/2020-12/json-schema-core (10.2.1.1, read 2026-11).
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from jarvis_proxy.canonical.json_values import same
from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema, is_number
from jarvis_proxy.upstreams.gemini.request.schema.refs import REFERENCES, RefResolver, reference
from jarvis_proxy.wire.work_budget import WorkBudget

_ANNOTATIONS: Final = frozenset(
    ("title", "description", "default", "examples", "example", "deprecated", "readOnly",
     "writeOnly", "nullable", "$comment", "$schema", "$id", "$anchor", "$dynamicAnchor", "$defs",
     "definitions")
)  # fmt: skip
_RESOLVED: Final = frozenset(("allOf", *REFERENCES))
_UNITED: Final = ("properties", "patternProperties")
_TIGHTER: Final = {"minimum": max, "maximum": min, "minItems": max, "maxItems": min}
_AROUND_REFERENCE: Final = frozenset(
    ("properties", "required", "patternProperties", "additionalProperties", "items", "prefixItems",
     "anyOf", "oneOf", "enum", "const")
)  # fmt: skip
"""Keywords next to a reference that form a second schema: both apply."""
_OWN_SCHEMA: Final = _AROUND_REFERENCE | {"allOf"}


@dataclass(slots=True)
class Merged:
    """One schema in place of several. *lost* are keywords whose value another member overrode."""

    schema: Schema
    lost: list[tuple[str, object]] = field(default_factory=list)
    targets: dict[int, object] = field(default_factory=dict)


class AllOfMerger:
    """Merges the members of ``allOf``: properties and required are united, else the first one wins.

    *visit* is called with the depth of every schema visited, and raises if that is too much.
    """

    __slots__ = ("_ancestors", "_refs", "_visit", "_work")

    def __init__(self, refs: RefResolver, visit: Callable[[int], None], work: WorkBudget) -> None:
        self._refs = refs
        self._visit = visit
        self._work = work
        self._ancestors: Counter[int] = Counter()

    def enter(self, schema: Schema, depth: int) -> Merged:
        """Return *schema* without ``allOf``; pass the result to ``leave`` once its inside is done.

        Schemas merged into it are not merged again further inside. So a schema that extends itself
        keeps a reference there, and the recursion ends.
        """
        members = schema.get("allOf")
        ref = reference(schema)
        if not isinstance(members, list):
            if ref is None or _AROUND_REFERENCE.isdisjoint(schema) or self._refs.is_outside(ref):
                return Merged(schema)
            members = []
        elif ref is None and (alone := _reference_alone(schema, members)) is not None:
            return Merged(alone)
        merged = Merged({})
        found: list[Schema] = []
        self._flatten(schema, depth, found, merged)
        merged.schema = self._unite(found, merged.lost)
        for target in merged.targets:
            self._ancestors[target] += 1
        return merged

    def leave(self, merged: Merged) -> None:
        """Forget the schemas merged into this one."""
        for target in merged.targets:
            self._ancestors[target] -= 1

    def _flatten(self, schema: Schema, depth: int, found: list[Schema], merged: Merged) -> None:
        """Add *schema* and its members to *found*, with references resolved, each one once."""
        members = schema.get("allOf")
        members = members if isinstance(members, list) else []
        self._work.spend(len(schema) + len(members))
        ref = reference(schema)
        own = {key: value for key, value in schema.items() if key not in _RESOLVED}
        found.append(own)
        if ref is not None:
            self._follow(ref, depth, found, merged)
        weighty = [member for member in members if not _only_annotates(member)]
        light = [member for member in members if _only_annotates(member)]
        for member in weighty + light:
            self._visit(depth + 1)
            if isinstance(member, dict):
                self._flatten(member, depth + 1, found, merged)

    def _follow(self, ref: str, depth: int, found: list[Schema], merged: Merged) -> None:
        target, targets = self._refs.resolve(ref), merged.targets
        if self._refs.is_outside(ref):
            merged.lost.append(("allOf", [{"$ref": ref}]))
            return
        if id(target) in targets:
            # It has been added already; a schema that contains itself adds nothing.
            return
        if self._ancestors[id(target)] > 0:
            found.append({"$ref": ref})
            return
        targets[id(target)] = target
        self._visit(depth + 1)
        if isinstance(target, dict):
            self._flatten(target, depth + 1, found, merged)

    def _unite(self, members: list[Schema], lost: list[tuple[str, object]]) -> Schema:
        merged: Schema = {}
        pools: dict[str, dict[str, dict[int, object]]] = {key: {} for key in _UNITED}
        names: dict[str, None] = {}
        for member in members:
            for key, value in member.items():
                mine = merged.setdefault(key, value)
                if key in pools and isinstance(mine, dict) and isinstance(value, dict):
                    self._pool(pools[key], value)
                elif key == "required" and isinstance(mine, list) and isinstance(value, list):
                    self._work.spend(len(value))
                    names.update((name, None) for name in value if isinstance(name, str))
                elif mine is not value:
                    self._decide(merged, key, value, lost)
        for key, pool in pools.items():
            if pool:
                merged[key] = {name: _all_of(found) for name, found in pool.items()}
        if isinstance(merged.get("required"), list):
            merged["required"] = list(names)
        return merged

    def _pool(self, pool: dict[str, dict[int, object]], properties: Schema) -> None:
        self._work.spend(len(properties))
        for name, value in properties.items():
            pool.setdefault(name, {})[id(value)] = value

    def _decide(
        self, merged: Schema, key: str, value: object, lost: list[tuple[str, object]]
    ) -> None:
        """Keep the tighter bound, otherwise the first value; describe the other one."""
        mine = merged[key]
        if key in _TIGHTER and is_number(mine) and is_number(value):
            merged[key] = _TIGHTER[key](mine, value)
        elif key not in _ANNOTATIONS and not same(mine, value, self._work):
            lost.append((key, value))


def _all_of(found: dict[int, object]) -> object:
    values = list(found.values())
    return values[0] if len(values) == 1 else {"allOf": values}


def _reference_alone(schema: Schema, members: list[object]) -> Schema | None:
    """Return a schema that keeps its reference, if ``allOf`` only adds a description to it."""
    weighty = [member for member in members if not _only_annotates(member)]
    only = weighty[0] if len(weighty) == 1 else None
    if not isinstance(only, dict) or (ref := reference(only)) is None:
        return None
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    if not _only_annotates(rest) or not _OWN_SCHEMA.isdisjoint(only):
        return None
    for member in members:
        for key, value in member.items() if isinstance(member, dict) else ():
            rest.setdefault(key, value)
    return {**rest, "$ref": ref}


def _only_annotates(schema: object) -> bool:
    return isinstance(schema, dict) and schema.keys() <= _ANNOTATIONS
