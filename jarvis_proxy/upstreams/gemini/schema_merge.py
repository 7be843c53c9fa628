"""Merges ``allOf``, which Gemini's schema dialect has not, into one schema. Pure.

Source: https://json-schema.org/draft/2020-12/json-schema-core (10.2.1.1, read 2026-11).
"""

from collections.abc import Callable
from typing import Final, TypeGuard

from jarvis_proxy.upstreams.gemini.schema_refs import References
from jarvis_proxy.upstreams.gemini.schema_terms import Schema

_ANNOTATIONS: Final = frozenset(
    ("title", "description", "default", "examples", "example", "deprecated", "readOnly",
     "writeOnly", "nullable", "$comment", "$schema", "$id", "$defs", "definitions")
)  # fmt: skip


class Merger:
    """Merges the members of ``allOf``: properties and required united, else the first one wins.

    *visit* is called with the depth of every schema looked at, and raises when it is too much.
    """

    __slots__ = ("_ancestors", "_busy", "_refs", "_visit")

    def __init__(self, refs: References, visit: Callable[[int], None]) -> None:
        self._refs = refs
        self._visit = visit
        self._busy: list[object] = []
        self._ancestors: list[object] = []

    def enter(self, schema: Schema, depth: int) -> tuple[Schema, int]:
        """Return *schema* without ``allOf``, and a mark for ``leave`` once its inside is done.

        What was merged into it is not merged again further inside: a schema that extends itself
        keeps a reference there, and this ends.
        """
        mark = len(self._ancestors)
        targets: list[object] = []
        merged = self._merged(schema, depth, targets)
        self._ancestors += targets
        return merged, mark

    def leave(self, mark: int) -> None:
        """Forget what was merged since *mark*."""
        del self._ancestors[mark:]

    def _merged(self, schema: Schema, depth: int, targets: list[object]) -> Schema:
        members = schema.get("allOf")
        if not isinstance(members, list):
            return schema
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        weighty = [member for member in members if not _only_annotates(member)]
        if len(weighty) == 1 and _is_reference(weighty[0]) and _only_annotates(merged):
            # The usual way to put a description next to a reference: the reference stays.
            merged["$ref"] = weighty[0]["$ref"]
            weighty = []
        light = [member for member in members if _only_annotates(member)]
        for member in weighty + light:
            _merge(merged, self._flat(member, depth + 1, targets))
        return merged

    def _flat(self, member: object, depth: int, targets: list[object]) -> Schema:
        """Return a member of ``allOf`` as one object, references resolved."""
        self._visit(depth)
        if not isinstance(member, dict):
            return {}
        if not _is_reference(member):
            return self._merged(member, depth, targets)
        target = self._refs.resolve(str(member["$ref"]))
        if any(target is busy for busy in self._busy):
            return {}  # it contains itself, which adds nothing
        if any(target is ancestor for ancestor in self._ancestors):
            return {"$ref": member["$ref"]}
        targets.append(target)
        self._busy.append(target)
        try:
            return self._flat(target, depth + 1, targets)
        finally:
            self._busy.pop()


def _merge(into: Schema, member: Schema) -> None:
    for key, value in member.items():
        mine = into.setdefault(key, value)
        if mine is value:
            continue
        if key == "properties" and isinstance(mine, dict) and isinstance(value, dict):
            into[key] = _unite(mine, value)
        elif key == "required" and isinstance(mine, list) and isinstance(value, list):
            into[key] = mine + value


def _unite(first: Schema, second: Schema) -> Schema:
    united = {**second, **first}
    for name in first.keys() & second.keys():
        if first[name] != second[name]:
            united[name] = {"allOf": [first[name], second[name]]}
    return {name: united[name] for name in (*first, *(key for key in second if key not in first))}


def _only_annotates(schema: object) -> bool:
    return isinstance(schema, dict) and schema.keys() <= _ANNOTATIONS


def _is_reference(schema: object) -> TypeGuard[Schema]:
    return isinstance(schema, dict) and isinstance(schema.get("$ref"), str)
