"""Function names: the client's and, where Gemini's rules differ, the upstream's. Pure.

Source: https://ai.google.dev/api/caching#FunctionDeclaration (read 2026-11): a letter or ``_``
first, then letters, digits and ``_.:-``, at most 128.
"""

import re
from collections.abc import Iterable
from typing import Final

_LEGAL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}\Z")
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_MAX_LENGTH: Final = 128


class Names:
    """Maps the names of one request both ways; *declared* are those that the client declared."""

    __slots__ = ("_upstream", "declared", "renamed")

    def __init__(self, declared: Iterable[str]) -> None:
        self.declared = frozenset(declared)
        self._upstream: dict[str, str] = {}
        self.renamed: dict[str, str] = {}
        """The upstream's name → the client's, where they differ."""

    def upstream(self, name: str) -> str:
        """Return the name that Gemini takes: the same wherever it is legal."""
        if _LEGAL.match(name):
            return name
        if name not in self._upstream:
            self._upstream[name] = self._rename(name)
        return self._upstream[name]

    def _rename(self, name: str) -> str:
        wanted = _ILLEGAL.sub("_", name)
        if not (wanted[0].isalpha() or wanted[0] == "_"):
            wanted = "_" + wanted
        new, count = wanted[:_MAX_LENGTH], 1
        while new in self.declared or new in self.renamed:
            count += 1
            new = f"{wanted[: _MAX_LENGTH - 8]}_{count}"
        self.renamed[new] = name
        return new
