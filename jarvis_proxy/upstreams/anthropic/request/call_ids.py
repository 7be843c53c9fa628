"""Ids of past tool calls, as Anthropic takes them. Pure.

Source: https://platform.claude.com/docs/en/api/messages: ``^[a-zA-Z0-9_-]+$`` (read 2026-11).
"""

import re
from collections import Counter
from typing import Final

from jarvis_proxy.canonical.history import strip_signature_suffix

_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]")


class CallIds:
    """Gives each call of a history an id of its own.

    It depends on the history alone, so that the same history always reads the same and caches hold.
    """

    __slots__ = ("_calls", "_repeats", "_taken")

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._repeats: Counter[str] = Counter()
        self._calls = 0

    def new(self, call_id: str) -> str:
        """Return the id for the next call, whose id the client gives as *call_id*."""
        self._calls += 1
        base = _ILLEGAL.sub("_", strip_signature_suffix(call_id)) or f"toolu_{self._calls}"
        wanted = base
        while wanted in self._taken:
            self._repeats[base] += 1
            wanted = f"{base}_{self._repeats[base] + 1}"
        self._taken.add(wanted)
        return wanted
