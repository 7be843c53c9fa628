"""Limits the nesting of a cleaned schema: deeper parts move to descriptions. Pure.

Source: Google's refusal "exceeds the maximum allowed nesting depth" (read 2026-11). Definitions
count where they are used, so there is a copy of each for every level at which it occurs.
"""

from collections import Counter, deque
from collections.abc import Iterator
from itertools import chain
from typing import Final, NamedTuple

from jarvis_proxy.canonical.json_values import excerpt
from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema, describe
from jarvis_proxy.upstreams.gemini.request.schema.refs import free_name
from jarvis_proxy.wire.work_budget import WorkBudget

_MAX_TEXT: Final = 1000
_PREFIX: Final = "#/$defs/"
_LISTS: Final = ("anyOf", "oneOf", "prefixItems")
_SINGLE: Final = ("items", "additionalProperties")
_NESTING: Final = frozenset((*_LISTS, *_SINGLE, "properties", "required", "propertyOrdering"))
_DEEPEST_WORDS: Final = 30


class Limited(NamedTuple):
    """A schema, and whether a part of it moved to a description."""

    schema: Schema
    changed: bool


def limit_depth(schema: Schema, depth: int, work: WorkBudget) -> Limited:
    """Return a cleaned *schema* with at most *depth* levels; the root is the first one.

    A part at the last level keeps its type and loses its inside, which the description states in
    TypeScript notation.
    """
    limiter = _Limiter(schema, depth, work)
    return Limited(limiter.limit(), limiter.changed)


class _Limiter:
    __slots__ = ("_depth", "_names", "_parts", "_repeats", "_waiting", "_work", "changed")

    def __init__(self, schema: Schema, depth: int, work: WorkBudget) -> None:
        definitions = schema.get("$defs")
        self._parts: dict[str, Schema] = definitions if isinstance(definitions, dict) else {}
        self._parts = {
            "": {key: value for key, value in schema.items() if key != "$defs"},
            **self._parts,
        }
        self._depth = depth
        self._work = work
        self._repeats: Counter[str] = Counter()
        self._names: dict[tuple[str, int], str] = {}
        self._waiting: deque[tuple[str, int]] = deque()
        self.changed = False

    def limit(self) -> Schema:
        out = self._node(self._parts[""], 1)
        definitions: Schema = {}
        while self._waiting:
            name, level = self._waiting.popleft()
            definitions[self._names[name, level]] = self._node(self._parts[name], level)
        return {**out, "$defs": definitions} if definitions else out

    def _node(self, node: Schema, level: int) -> Schema:
        self._work.spend(len(node))
        if isinstance(ref := node.get("$ref"), str):
            return self._reference(_name(ref), level)
        if _NESTING.isdisjoint(node):
            return node
        if level >= self._depth and _nests(node):
            return self._described(node)
        out = dict(node)
        if isinstance(properties := node.get("properties"), dict):
            out["properties"] = {
                name: self._node(inner, level + 1) for name, inner in properties.items()
            }
        for key in _LISTS:
            if isinstance(branches := node.get(key), list):
                # A single branch with a description is not a level of its own.
                step = 0 if len(branches) == 1 and key != "prefixItems" else 1
                out[key] = [self._node(branch, level + step) for branch in branches]
        for key in _SINGLE:
            if isinstance(inner := node.get(key), dict):
                out[key] = self._node(inner, level + 1)
        return out

    def _reference(self, target: str, level: int) -> Schema:
        part = self._parts[target]
        if "$ref" not in part and not _nests(part):
            # The part is the same at every level.
            level = 0
        elif level >= self._depth:
            return self._described(part)
        if (target, level) not in self._names:
            self._names[target, level] = free_name(target or "root", self._repeats)
            self._waiting.append((target, level))
        return {"$ref": _PREFIX + self._names[target, level]}

    def _described(self, node: Schema) -> Schema:
        """Return *node* without its inside, which moves to the description."""
        self.changed = True
        out: Schema = {key: value for key, value in node.items() if key not in _NESTING}
        out.pop("$ref", None)
        if out.get("type") == "array":
            out["items"] = {}
        describe(out, [in_words(node, self._parts, self._work)])
        return out


def in_words(
    node: Schema, parts: dict[str, Schema], work: WorkBudget, limit: int = _MAX_TEXT
) -> str:
    """Return *node* in TypeScript notation, in at most *limit* characters.

    *parts* are the definitions by name, with the root under "".
    """
    pieces: list[str] = []
    length = 0
    for piece in _words(node, parts, ()):
        pieces.append(piece)
        length += len(piece)
        if length > limit:
            break
    work.spend(len(pieces))
    text = "".join(pieces)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _words(node: object, parts: dict[str, Schema], outer: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(node, dict) or len(outer) > _DEEPEST_WORDS:
        yield "any"
    elif isinstance(ref := node.get("$ref"), str):
        name = _name(ref)
        yield from (name,) if name in outer else _words(parts[name], parts, (*outer, name))
    elif isinstance(values := node.get("enum"), list):
        yield from _joined(((excerpt(value, _MAX_TEXT),) for value in values), " | ")
    elif isinstance(branches := node.get("anyOf", node.get("oneOf")), list):
        yield from _joined((_words(branch, parts, (*outer, "|")) for branch in branches), " | ")
    elif node.get("type") == "array" or "prefixItems" in node:
        yield from _list(node, parts, (*outer, "[]"))
    elif "properties" in node or "additionalProperties" in node:
        yield from _object(node, parts, (*outer, "{}"))
    else:
        yield str(node.get("type", "any"))
    if isinstance(node, dict) and isinstance(text := node.get("description"), str):
        yield f" /* {text[:_MAX_TEXT]} */"


def _list(node: Schema, parts: dict[str, Schema], outer: tuple[str, ...]) -> Iterator[str]:
    if isinstance(prefix := node.get("prefixItems"), list):
        yield "["
        yield from _joined((_words(item, parts, outer) for item in prefix), ", ")
        yield "]"
    else:
        yield "Array<"
        yield from _words(node.get("items"), parts, outer)
        yield ">"


def _object(node: Schema, parts: dict[str, Schema], outer: tuple[str, ...]) -> Iterator[str]:
    properties, required = node.get("properties"), node.get("required")
    properties = properties if isinstance(properties, dict) else {}
    required = frozenset(required) if isinstance(required, list) else frozenset()
    entries: Iterator[Iterator[str]] = (
        chain(
            (f"{name[:_MAX_TEXT]}{'' if name in required else '?'}: ",), _words(inner, parts, outer)
        )
        for name, inner in properties.items()
    )
    if isinstance(extra := node.get("additionalProperties"), dict):
        entries = chain(entries, (chain(("[name: string]: ",), _words(extra, parts, outer)),))
    yield "{"
    yield from _joined(entries, ", ")
    yield "}"


def _joined(groups: Iterator[Iterator[str]] | Iterator[tuple[str]], comma: str) -> Iterator[str]:
    for number, group in enumerate(groups):
        if number:
            yield comma
        yield from group


def _name(ref: str) -> str:
    return "" if ref == "#" else ref.removeprefix(_PREFIX)


def _nests(node: Schema) -> bool:
    """Return whether a cleaned schema contains non-empty schemas."""
    if any(node.get(key) for key in ("properties", *_LISTS)):
        return True
    return any(isinstance(inner := node.get(key), dict) and bool(inner) for key in _SINGLE)
