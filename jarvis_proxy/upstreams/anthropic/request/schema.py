"""JSON schemas in Anthropic's dialect: for tools' inputs and for structured answers. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs (read 2026-11) and
recorded refusals, such as `input_schema does not support oneOf, allOf, or anyOf at the top level`.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Final

from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.upstreams.json_values import fields_of, items_of
from jarvis_proxy.wire.work_budget import WorkBudget

Schema = dict[str, object]

_COMBINED: Final = ("allOf", "anyOf", "oneOf")
_MAX_DEPTH: Final = 60
_FORMATS: Final = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
)
_KEPT: Final = frozenset(("type", "enum", "const", "title", "description", "default", "$ref"))
_DEFINITIONS: Final = ("$defs", "definitions")
_SCHEMAS: Final = (*_DEFINITIONS, "properties")
"""Keywords with a mapping of names to schemas."""


class NotStructured(ValueError):
    """The schema cannot be enforced: any supported form of it would have another meaning."""


def input_schema(parameters: object, work: WorkBudget) -> Schema:
    """Return the schema of a tool's input: an object at the top level, without combinations there.

    *work* is the request's budget.
    """
    root = fields_of(parameters)
    folded = _Folder(root, work).fold(root)
    folded.pop("$schema", None)
    folded["type"] = "object"
    return folded


class _Folder:
    """Merges the combinations at the top level of *root* into one object."""

    __slots__ = ("_root", "_work")

    def __init__(self, root: object, work: WorkBudget) -> None:
        self._root = fields_of(root)
        self._work = work

    def fold(self, schema: object, inside: frozenset[str] = frozenset()) -> Schema:
        """Return *schema* as one object. *inside* are the references that led to it."""
        found = dict(fields_of(schema))
        self._work.spend(1 + len(found))
        if len(inside) > _MAX_DEPTH:
            return found
        members = [(key, items_of(found.pop(key, None))) for key in _COMBINED]
        reference = found.pop("$ref", None)
        if isinstance(reference, str) and reference not in inside:
            inside |= {reference}
            members.append(("allOf", [self._target(reference)]))
        for key, each in members:
            self._unite(found, [self.fold(member, inside) for member in each], key)
        return found

    def _unite(self, found: Schema, members: list[Schema], key: str) -> None:
        """Merge *members* into *found*, whose own keywords take precedence."""
        if not members:
            return
        united = {name: dict(fields_of(found.get(name))) for name in _SCHEMAS}
        for member in members:
            for name, value in member.items():
                if name in united:
                    self._work.spend(len(fields_of(value)))
                    for inner, schema in fields_of(value).items():
                        united[name].setdefault(inner, schema)
                elif name not in ("required", "additionalProperties", "type", "title"):
                    found.setdefault(name, value)
        found |= {name: schemas for name, schemas in united.items() if schemas}
        every = self._required(members[0])
        for member in members[1:]:
            names = self._required(member)
            if key == "allOf":
                every |= names
            else:
                self._work.spend(len(every))
                every = {name: None for name in every if name in names}
        if both := self._required(found) | every:
            found["required"] = list(both)

    def _required(self, schema: Schema) -> dict[str, None]:
        """Return the names of required properties, in order."""
        names = items_of(schema.get("required"))
        self._work.spend(len(names))
        return {name: None for name in names if isinstance(name, str)}

    def _target(self, reference: str) -> object:
        value: object = self._root
        for name in reference.removeprefix("#").strip("/").split("/"):
            value = fields_of(value).get(name.replace("~1", "/").replace("~0", "~"))
        return value


def structured(schema: object, work: WorkBudget) -> Schema:
    """Return *schema* reduced to what Anthropic enforces.

    Every object is closed. Unsupported limits move to descriptions. *work* is the request's budget.

    Raises:
        NotStructured: an object is open or recursive, or a schema is missing.
    """
    cleaned = _clean(schema, work, 0)
    if cleaned.get("type") != "object" and "anyOf" not in cleaned and "$ref" not in cleaned:
        raise NotStructured("the answer is no object")
    _check_loops(cleaned)
    return cleaned


def _clean(schema: object, work: WorkBudget, depth: int) -> Schema:
    given = fields_of(schema)
    work.spend(1 + len(given))
    if not given or depth > _MAX_DEPTH:
        raise NotStructured("no schema")
    cleaned: Schema = {}
    lost: Schema = {}
    for key, value in given.items():
        if key in _KEPT:
            cleaned[key] = value
        elif not _clean_inner(cleaned, key, value, work, depth):
            lost[key] = value
    _close(cleaned, given)
    if lost:
        words = ", ".join(f"{key}: {compact(value)}" for key, value in lost.items())
        said = cleaned.get("description")
        cleaned["description"] = f"{said} ({words})" if said else words
    return cleaned


def _clean_inner(cleaned: Schema, key: str, value: object, work: WorkBudget, depth: int) -> bool:
    """Convert a keyword with schemas, or one that is kept in part; return whether it was one."""
    match key:
        case _ if key in _SCHEMAS:
            inner = fields_of(value).items()
            cleaned[key] = {name: _clean(one, work, depth + 1) for name, one in inner}
        case "items":
            cleaned[key] = _clean(value, work, depth + 1)
        case "anyOf" | "oneOf" | "allOf":
            each = [_clean(one, work, depth + 1) for one in items_of(value)]
            cleaned["allOf" if key == "allOf" else "anyOf"] = each
        case "required":
            cleaned[key] = value
        case "minItems" if value in (0, 1):
            cleaned[key] = value
        case "format" if value in _FORMATS:
            cleaned[key] = value
        case "additionalProperties" | "$schema" | "$id" | "$comment" | "strict":
            pass
        case _:
            return False
    return True


def _close(cleaned: Schema, given: object) -> None:
    """Close an object, if that keeps its meaning."""
    fields = fields_of(given)
    kind = fields.get("type")
    if kind != "object" and "properties" not in fields:
        return
    opened = fields.get("additionalProperties")
    if isinstance(opened, dict) or "patternProperties" in fields:
        raise NotStructured("an object with any keys")
    if not fields.get("properties") and opened is not False:
        raise NotStructured("an object with any keys")
    cleaned["additionalProperties"] = False


def _check_loops(schema: Schema) -> None:
    """Reject definitions that refer to themselves, and references to anything else.

    Raises:
        NotStructured: there is such a reference.
    """
    names = {
        f"#/{where}/{name}": one
        for where in _DEFINITIONS
        for name, one in fields_of(schema.get(where)).items()
    }
    rest = {key: value for key, value in schema.items() if key not in _DEFINITIONS}
    graph = {name: set(_references(one)) for name, one in names.items()}
    graph[""] = set(_references(rest))
    if not set().union(*graph.values()) <= names.keys():
        raise NotStructured("a reference to something else than a definition")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        raise NotStructured("a schema that refers to itself") from None


def _references(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(reference := item.get("$ref"), str):
                yield reference
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
