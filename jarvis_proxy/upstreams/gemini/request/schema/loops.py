"""Opens reference loops in a cleaned schema that Gemini cannot serve. Pure.

Source: Google's refusal "ref loops are only supported if they include optional or nullable property
values, or a potentially-zero-length array items" (read 2026-11). A loop without any of these has no
finite JSON either, except through other branches of an ``anyOf``, which Google does not count.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema, describe, is_number
from jarvis_proxy.upstreams.gemini.request.schema.refs import free_name
from jarvis_proxy.wire.work_budget import WorkBudget

_LEVELS: Final = 3
"""How many times a loop is unrolled before any value is allowed."""

_PREFIX: Final = "#/$defs/"
_ROOT: Final = ""
_NULL: Final = {"type": "null"}


class Opened(NamedTuple):
    """A schema, and whether a loop in it was opened."""

    schema: Schema
    changed: bool


def open_loops(schema: Schema, work: WorkBudget, *, every: bool = False) -> Opened:
    """Return a cleaned *schema* in which no reference loop runs over required values alone.

    With *every*, no loop is left at all. Each loop is unrolled three times, through copies of its
    definitions; inside the last copy any value of the right type is allowed.
    """
    opener = _Opener(schema, work, every=every)
    return Opened(opener.open(), True) if opener.looping else Opened(schema, False)


class _Opener:
    __slots__ = ("_every", "_names", "_order", "_parts", "_repeats", "_waiting", "_work", "looping")

    def __init__(self, schema: Schema, work: WorkBudget, *, every: bool) -> None:
        definitions = schema.get("$defs")
        definitions = definitions if isinstance(definitions, dict) else {}
        self._every = every
        self._work = work
        self._parts: dict[str, Schema] = {
            _ROOT: {key: value for key, value in schema.items() if key != "$defs"},
            **definitions,
        }
        self._order = {name: number for number, name in enumerate(self._parts)}
        self._repeats = Counter(definitions.keys())
        self._names: dict[tuple[str, int], str] = {}
        self._waiting: deque[tuple[str, int]] = deque()
        self.looping = self._looping()
        """Definitions on a loop, or on a path between two loops. The root is ""."""

    def open(self) -> Schema:
        parts = dict(self._parts)
        for name in self._parts:
            if name in self.looping:
                parts[name] = self._opened(self._parts[name], name, 1)
        while self._waiting:
            name, level = self._waiting.popleft()
            parts[self._names[name, level]] = self._opened(self._parts[name], name, level)
        root = parts.pop(_ROOT)
        return {**root, "$defs": parts} if parts else root

    def _looping(self) -> frozenset[str]:
        """Return the definitions that remain after repeatedly removing those that lead nowhere."""
        leads = {name: set(self._targets(part)) for name, part in self._parts.items()}
        comes_from: dict[str, list[str]] = {name: [] for name in leads}
        for name, targets in leads.items():
            for target in targets:
                comes_from[target].append(name)
        ends = [name for name, targets in leads.items() if not targets]
        while ends:
            end = ends.pop()
            for name in comes_from[end]:
                leads[name].discard(end)
                if not leads[name]:
                    ends.append(name)
        return frozenset(name for name, targets in leads.items() if targets)

    def _targets(self, node: Schema) -> Iterator[str]:
        """Yield the definitions that a value of *node* requires; with ``every``, all of them."""
        self._work.spend()
        if isinstance(ref := node.get("$ref"), str):
            yield _name(ref)
        for _, _, inner in self._inner(node):
            yield from self._targets(inner)

    def _inner(self, node: Schema) -> Iterator[tuple[str, str | int | None, Schema]]:
        """Yield the relevant schemas inside *node*, with their keyword and the key below it."""
        for key in ("anyOf", "oneOf", "prefixItems"):
            branches = node.get(key)
            if isinstance(branches, list) and (
                self._every or key == "prefixItems" or _NULL not in branches
            ):
                yield from ((key, index, branch) for index, branch in enumerate(branches))
        properties, required = node.get("properties"), node.get("required")
        if isinstance(properties, dict):
            wanted = properties if self._every else required
            for name in wanted if isinstance(wanted, list | dict) else ():
                yield "properties", name, properties[name]
        for key in ("items", "additionalProperties"):
            if isinstance(inner := node.get(key), dict) and (
                self._every or (key == "items" and _has_items(node))
            ):
                yield key, None, inner

    def _opened(self, node: Schema, owner: str, level: int) -> Schema:
        """Return *node*, a part of *owner*, with references that do not lead back."""
        self._work.spend(len(node))
        if isinstance(ref := node.get("$ref"), str):
            return self._reference(_name(ref), owner, level)
        out = dict(node)
        for key, place, inner in self._inner(node):
            opened = self._opened(inner, owner, level)
            if place is None:
                out[key] = opened
                continue
            if out[key] is node[key]:
                out[key] = _copied(node[key])
            out[key][place] = opened  # type: ignore[index]
        return out

    def _reference(self, target: str, owner: str, level: int) -> Schema:
        if target not in self.looping:
            return {"$ref": _PREFIX + target if target else "#"}
        # Every loop has a step that does not go forward in the order of definitions.
        if self._order[target] <= self._order[owner]:
            level += 1
        if level > _LEVELS:
            return self._last(target)
        if level == 1:
            return {"$ref": _PREFIX + target if target else "#"}
        if (target, level) not in self._names:
            self._names[target, level] = free_name(target or "root", self._repeats)
            self._waiting.append((target, level))
        return {"$ref": _PREFIX + self._names[target, level]}

    def _last(self, target: str) -> Schema:
        """Return the schema that replaces another round."""
        part = self._parts[target]
        out: Schema = {key: part[key] for key in ("type", "description") if key in part}
        if out.get("type") == "array":
            out["items"] = {}
        describe(out, [f"again as {target}" if target else "again as the whole"])
        return out


def _name(ref: str) -> str:
    return _ROOT if ref == "#" else ref.removeprefix(_PREFIX)


def _copied(value: object) -> object:
    return list(value) if isinstance(value, list) else dict(value)  # type: ignore[call-overload]


def _has_items(node: Schema) -> bool:
    fewest = node.get("minItems")
    return is_number(fewest) and fewest > 0
