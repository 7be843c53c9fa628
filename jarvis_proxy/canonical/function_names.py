"""Function names: the client's and, if an upstream's rules differ, the upstream's. Pure.

A function inside a namespace gets one flat name made from both names.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

_NOT_FLAT: Final = re.compile(r"[^A-Za-z0-9_-]")
_MAX_FLAT: Final = 64
"""Longest function name that every client and every such API accepts."""
_DIGEST: Final = 8
_SEPARATORS: Final = re.compile(r"[.:/]|__")


class NameRule(NamedTuple):
    """The names that an upstream accepts.

    *characters* is the content of a character class in a regular expression. *letter_first*: a name
    begins with a letter or ``_``.
    """

    characters: str
    longest: int
    letter_first: bool = False

    def allows(self, name: str) -> bool:
        """Return whether the upstream accepts *name* unchanged."""
        return (
            0 < len(name) <= self.longest
            and not re.search(f"[^{self.characters}]", name)
            and (not self.letter_first or name == _with_letter(name))
        )

    def fit(self, name: str) -> str:
        """Return *name* with legal characters only; it may still be too long."""
        fitting = re.sub(f"[^{self.characters}]", "_", name) or "_"
        return _with_letter(fitting) if self.letter_first else fitting


CHAT_NAMES: Final = NameRule("A-Za-z0-9_-", _MAX_FLAT)
"""OpenAI's rule, which chat services and Anthropic share.

Source: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11).
"""


class Member(NamedTuple):
    """A function inside a namespace, by the client's own names."""

    namespace: str
    name: str


class FunctionNames:
    """Maps the function names of one request in both directions.

    *declared* are the client's names of plain functions; *members* are the functions inside
    namespaces. *rule* is the upstream's.
    """

    __slots__ = (
        "_bare",
        "_flat",
        "_repeats",
        "_rule",
        "_upstream",
        "declared",
        "namespaced",
        "renamed",
    )

    def __init__(
        self,
        declared: Iterable[str],
        members: Iterable[Member] = (),
        rule: NameRule = CHAT_NAMES,
    ) -> None:
        self._rule = rule
        self.declared = frozenset(declared)
        self._upstream: dict[str, str] = {}
        self._repeats: Counter[str] = Counter()
        self.renamed: dict[str, str] = {}
        """The upstream's name → the client's, where they differ."""
        self._flat: dict[Member, str] = {}
        self.namespaced: dict[str, Member] = {}
        """The upstream's name → the function inside a namespace."""
        self._bare: dict[str, Member | None] = {}
        """None for a name in more than one namespace."""
        for member in members:
            self._flatten(member)

    def upstream(self, name: str, namespace: str | None = None) -> str:
        """Return the upstream's name for a function, unchanged if it is legal.

        A call in a history may lack its namespace, or have one from a tool search. Then its bare
        name identifies it.
        """
        if namespace and (name not in self.declared or Member(namespace, name) in self._flat):
            return self._flatten(Member(namespace, name))
        if name not in self.declared and (member := self._bare.get(name)) is not None:
            return self._flat[member]
        if self._rule.allows(name):
            return name
        if name not in self._upstream:
            self._upstream[name] = self._rename(name)
        return self._upstream[name]

    def find(self, name: str, namespace: str | None = None) -> str | None:
        """Return the upstream's name of a declared function, None for any other."""
        if namespace:
            return self._flat.get(Member(namespace, name))
        if name in self.declared or self._bare.get(name) is not None:
            return self.upstream(name)
        return name if name in self.namespaced else None

    def client(self, name: str) -> str | Member:
        """Return the client's name for the function that a model calls *name*."""
        if (found := self.declared_as(name)) is not None:
            return found
        return member_called(name, self.namespaced.values()) or name

    def declared_as(self, name: str) -> str | Member | None:
        """Return the client's declared name for the upstream's *name*, None if there is none."""
        if name in self.namespaced:
            return self.namespaced[name]
        name = self.renamed.get(name, name)
        return name if name in self.declared else None

    def inside(self, namespace: str) -> list[str]:
        """Return the upstream's names of all functions inside *namespace*."""
        return [flat for member, flat in self._flat.items() if member.namespace == namespace]

    def _rename(self, name: str) -> str:
        wanted, longest = self._rule.fit(name), self._rule.longest
        new, stem = wanted[:longest], wanted[: longest - 8]
        while self._is_taken(new):
            # Continue counting where it stopped: thousands of names may collide.
            self._repeats[stem] += 1
            new = f"{stem}_{self._repeats[stem] + 1}"
        self.renamed[new] = name
        return new

    def _flatten(self, member: Member) -> str:
        if member in self._flat:
            return self._flat[member]
        flat, count = flat_name(member), 0
        while self._is_taken(flat):
            flat = _with_digest(flat_name(member), f"{member.namespace}\0{member.name}\0{count}")
            count += 1
        self._flat[member], self.namespaced[flat] = flat, member
        self._bare[member.name] = None if member.name in self._bare else member
        return flat

    def _is_taken(self, name: str) -> bool:
        return name in self.declared or name in self.renamed or name in self.namespaced


def flat_name(member: Member) -> str:
    """Return the flat name for a function inside a namespace, at most 64 characters.

    It depends only on the two names, so that the same history always has the same text.
    """
    namespace, name = member
    full = namespace + ("" if namespace.endswith("__") else "__") + name
    flat = _with_letter(_NOT_FLAT.sub("_", full))
    return flat if len(flat) <= _MAX_FLAT else _with_digest(flat, full)


def member_called(name: str, namespaced: Iterable[Member]) -> Member | None:
    """Return the function inside a namespace that a model means by *name*, None if unclear.

    Models drop the namespace, or use another separator after it.
    """
    spelled = _SEPARATORS.sub("_", name)
    found = [
        member
        for member in namespaced
        if name == member.name
        or spelled == _SEPARATORS.sub("_", f"{member.namespace.rstrip('_')}__{member.name}")
    ]
    return found[0] if len(found) == 1 else None


def _with_letter(name: str) -> str:
    return name if name[:1].isalpha() or name[:1] == "_" else "_" + name


def _with_digest(flat: str, full: str) -> str:
    digest = hashlib.sha256(full.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{flat[: _MAX_FLAT - _DIGEST - 1]}_{digest}"
