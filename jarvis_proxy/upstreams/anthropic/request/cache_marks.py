"""Marks for Anthropic's prompt cache: at most four, and one for clients that set none. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (read 2026-11).
"""

from typing import Any, Final

from jarvis_proxy.upstreams.anthropic.request.content import MARK, marked

JsonObject = dict[str, Any]

MOST_MARKS: Final = 4


def mark_for_cache(body: JsonObject, wanted: object, *, allowed: bool) -> None:
    """Keep the last four marks in *body*; if there is none, mark a whole request with tools.

    *wanted* is the client's mark for the whole request; it counts as one of the four. A request
    with tools is usually an agent's, and returns with more messages. *allowed*: the upstream
    accepts marks.
    """
    said = [block for turn in body["messages"] for block in turn["content"]]
    blocks = [*body.get("tools", ()), *body.get("system", ()), *said]
    found = [block for block in blocks if MARK in block]
    whole = marked({}, wanted)
    if not whole and not found and body.get("tools"):
        whole = marked({}, {"type": "ephemeral"})
    kept = MOST_MARKS - len(whole) if allowed else 0
    for block in found[: max(0, len(found) - kept)]:
        del block[MARK]
    if allowed:
        body |= whole
