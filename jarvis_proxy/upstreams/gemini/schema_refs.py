"""Where the ``$ref``s of one JSON schema lead, and their names after cleaning. Pure.

Source: https://json-schema.org/draft/2020-12/json-schema-core (8.2, read 2026-11).
"""

import re
from collections import deque
from typing import Final
from urllib.parse import unquote

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.faults import invalid
from jarvis_proxy.upstreams.gemini.values import children

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")
_OTHER_SPELLING: Final = {"definitions": "$defs", "$defs": "definitions"}


class References:
    """Resolves references in one schema and collects the definitions that they need.

    Wherever a reference leads, after cleaning it reads ``#/$defs/<name>``, or ``#``: definitions
    are kept, never inlined, so recursive and deeply shared schemas stay small.
    """

    __slots__ = ("_anchors", "_names", "_param", "_root", "_taken", "pending")

    def __init__(self, root: object, param: str) -> None:
        self._root = root
        self._param = param
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._anchors: dict[str, object] | None = None
        self.pending: deque[tuple[str, object]] = deque()
        """Names handed out, with their uncleaned definitions."""

    def rename(self, ref: str) -> str:
        """Return the reference as it reads after cleaning; its target then is in ``pending``.

        Raises:
            ProxyError: 400, nothing in this schema stands there.
        """
        target = self.resolve(ref)
        if target is self._root:
            return "#"
        if ref not in self._names:
            name = self._name(ref)
            self._names[ref] = name
            self.pending.append((name, target))
        return f"#/$defs/{self._names[ref]}"

    def resolve(self, ref: str) -> object:
        """Return the uncleaned schema that *ref* means.

        Raises:
            ProxyError: 400, nothing in this schema stands there.
        """
        base, _, fragment = ref.partition("#")
        start = self._anchored(base, ref) if base else self._root
        if not fragment:
            return start
        if not fragment.startswith("/"):
            return self._anchored("#" + fragment, ref)
        return self._walk(start, fragment, ref)

    def _walk(self, node: object, pointer: str, ref: str) -> object:
        for token in unquote(pointer)[1:].split("/"):
            node = self._step(node, token.replace("~1", "/").replace("~0", "~"), ref)
        return node

    def _step(self, node: object, token: str, ref: str) -> object:
        if isinstance(node, dict):
            for key in (token, _OTHER_SPELLING.get(token, token)):
                if key in node:
                    return node[key]
        if isinstance(node, list) and token.isdecimal() and int(token) < len(node):
            return node[int(token)]
        raise self._unresolved(ref)

    def _anchored(self, name: str, ref: str) -> object:
        if self._anchors is None:
            self._anchors = _find_anchors(self._root)
        if name not in self._anchors:
            raise self._unresolved(ref)
        return self._anchors[name]

    def _unresolved(self, ref: str) -> ProxyError:
        return invalid(
            self._param,
            f"Invalid schema: the reference {ref[:200]!r} leads nowhere within it.",
            "invalid_schema",
        )

    def _name(self, ref: str) -> str:
        wanted = _UNSAFE.sub("_", unquote(ref.rpartition("/")[2])) or "_"
        name, count = wanted, 1
        while name in self._taken:
            count += 1
            name = f"{wanted}_{count}"
        self._taken.add(name)
        return name


def _find_anchors(root: object) -> dict[str, object]:
    """Return every schema that has a name of its own: ``$id``, ``$anchor`` with ``#`` before."""
    found: dict[str, object] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key, prefix in (("$id", ""), ("$anchor", "#")):
                if isinstance(name := node.get(key), str):
                    found.setdefault(prefix + name, node)
        waiting.extend(children(node))
    return found
