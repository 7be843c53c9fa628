"""Resolves the ``$ref``s of one JSON schema, and names their targets after cleaning. Pure.

Source: https://json-schema.org/draft/2020-12/json-schema-core (8.2, read 2026-11).
"""

import re
from collections import Counter
from typing import Final
from urllib.parse import unquote

from jarvis_proxy.canonical.json_values import children
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.work_budget import WorkBudget

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")
_OTHER_SPELLING: Final = {"definitions": "$defs", "$defs": "definitions"}
DEFINITION_PREFIX: Final = "#/$defs/"
REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_REFERRING: Final = frozenset(REFERENCES)
_NAMES: Final = (("$id", ""), ("$anchor", "#"), ("$dynamicAnchor", "#"))
_MAX_DIGITS: Final = 9


def reference(schema: object) -> str | None:
    """Return the reference in *schema*, by any draft's keyword, or None."""
    if isinstance(schema, dict) and not _REFERRING.isdisjoint(schema):
        for key in REFERENCES:
            if isinstance(ref := schema.get(key), str):
                return ref
    return None


class RefResolver:
    """Resolves references in one schema and collects the definitions that they need.

    After cleaning, every reference reads ``#/$defs/<name>`` or ``#``: definitions are kept, never
    inlined, so recursive and deeply shared schemas stay small. Each target has one name, and each
    reference is followed once, however often it occurs.
    """

    __slots__ = (
        "_anchors",
        "_names",
        "_param",
        "_repeats",
        "_resolved",
        "_root",
        "_work",
        "targets",
    )

    def __init__(self, root: object, param: str, work: WorkBudget) -> None:
        self._root = root
        self._param = param
        self._work = work
        self._resolved: dict[str, object] = {}
        # By the target's id(), which is stable because the root keeps the target alive.
        self._names: dict[int, str] = {}
        self._repeats: Counter[str] = Counter()
        self._anchors: dict[str, object] | None = None
        self.targets: dict[str, object] = {}
        """Uncleaned definitions, by the names that ``rename`` gave them."""

    def rename(self, ref: str) -> str:
        """Return the reference in its cleaned form; its target is then in ``targets``.

        Raises:
            ProxyError: 400, as ``resolve``.
        """
        target = self.resolve(ref)
        if target is self._root:
            return "#"
        name = self._names.get(id(target))
        if name is None:
            name = self._names[id(target)] = self._name(ref)
            self.targets[name] = target
        return DEFINITION_PREFIX + name

    def resolve(self, ref: str) -> object:
        """Return the uncleaned schema that *ref* refers to; True, any value, if it is external.

        Raises:
            ProxyError: 400, *ref* points to a missing part of this schema.
        """
        if ref not in self._resolved:
            self._resolved[ref] = self._find(ref)
        return self._resolved[ref]

    def is_outside(self, ref: str) -> bool:
        """Return whether *ref* leads to another document, which is not read."""
        base = ref.partition("#")[0]
        return bool(base) and base not in self._anchored()

    def _find(self, ref: str) -> object:
        if self.is_outside(ref):
            return True
        base, _, fragment = ref.partition("#")
        start = self._anchored()[base] if base else self._root
        if not fragment:
            return start
        if fragment.startswith("/"):
            return self._walk(start, fragment, ref)
        anchors = self._anchored()
        if "#" + fragment not in anchors:
            raise self._unresolved(ref)
        return anchors["#" + fragment]

    def _walk(self, node: object, pointer: str, ref: str) -> object:
        tokens = unquote(pointer)[1:].split("/")
        self._work.spend(len(tokens), param=self._param)
        for token in tokens:
            node = self._step(node, token.replace("~1", "/").replace("~0", "~"), ref)
        return node

    def _step(self, node: object, token: str, ref: str) -> object:
        if isinstance(node, dict):
            for key in (token, _OTHER_SPELLING.get(token, token)):
                if key in node:
                    return node[key]
        if isinstance(node, list) and token.isdecimal() and len(token) <= _MAX_DIGITS:
            index = int(token)
            if index < len(node):
                return node[index]
        raise self._unresolved(ref)

    def _anchored(self) -> dict[str, object]:
        if self._anchors is None:
            self._anchors = self._find_anchors()
        return self._anchors

    def _find_anchors(self) -> dict[str, object]:
        """Return the schemas with names of their own: by ``$id``, or by anchor with ``#``."""
        found: dict[str, object] = {}
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            self._work.spend(param=self._param)
            if isinstance(node, dict):
                for key, prefix in _NAMES:
                    if isinstance(name := node.get(key), str):
                        found.setdefault(prefix + name, node)
            waiting.extend(children(node))
        return found

    def _unresolved(self, ref: str) -> ProxyError:
        return invalid(
            self._param,
            f"Invalid schema: the reference {ref[:200]!r} does not resolve within it.",
            "invalid_schema",
        )

    def _name(self, ref: str) -> str:
        wanted = _UNSAFE.sub("_", unquote(ref.rpartition("/")[2])) or "_"
        return free_name(wanted, self._repeats)


def free_name(wanted: str, repeats: Counter[str]) -> str:
    """Return *wanted*, with a number if it is taken. *repeats* counts the names given out.

    Counting continues where it stopped, so that thousands of equal names need no search each.
    """
    name = wanted
    while repeats[name]:
        repeats[wanted] += 1
        name = f"{wanted}_{repeats[wanted]}"
    repeats[name] += 1
    return name
