"""Marks for Anthropic's prompt cache: at most four, and one where a client knows none. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (read 2026-11).
"""

from collections.abc import Iterator
from typing import Any, Final

from jarvis_proxy.upstreams.anthropic.request.content import (
    marked,
)

JsonObject = dict[str, Any]

MOST_MARKS: Final = 4
_MARK: Final = "cache_control"


def mark_for_cache(body: JsonObject, wanted: object, *, allowed: bool) -> None:
    """Keep the last four of the marks in *body*; mark the whole request where it has tools only.

    *wanted* is the client's mark for the whole request: it takes one of the four places. A request
    with tools is an agent's, which comes again with more behind it. *allowed*: the upstream takes
    marks.
    """
    blocks = [*body.get("tools", ()), *body.get("system", ()), *blocks_of(body["messages"])]
    found = [block for block in blocks if _MARK in block]
    whole = marked({}, wanted)
    if not whole and not found and body.get("tools"):
        whole = marked({}, {"type": "ephemeral"})
    kept = MOST_MARKS - len(whole) if allowed else 0
    for block in found[: max(0, len(found) - kept)]:
        del block[_MARK]
    if allowed:
        body |= whole


def blocks_of(turns: list[JsonObject]) -> Iterator[JsonObject]:
    """Yield every block of *turns*, those within results too."""
    for turn in turns:
        for block in turn["content"]:
            inner = block.get("content")
            if block["type"] == "tool_result" and isinstance(inner, list):
                yield from inner
            yield block
