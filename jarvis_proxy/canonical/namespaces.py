"""Expands the tools inside a namespace to tools of their own. Pure.

Coding agents declare the tools of each MCP server as one tool of type ``namespace``.

Source: https://platform.openai.com/docs/api-reference/responses/create#tools (read 2026-11).
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import invalid, missing, wrong_type

JsonObject: TypeAlias = dict[str, Any]

NAMESPACE: Final = "namespace"
TOOL_SEARCH: Final = "tool_search"
"""The type of a search for further tools. If the client runs it, it is a function of this name."""
_MEMBERS: Final = ("function", "custom")
_MAX_WORDS: Final = 300
"""Longest part of a namespace's description, which is repeated for each of its functions."""


def members(
    tool: JsonObject, param: str, ignored: IgnoredParams
) -> Iterator[tuple[JsonObject, str]]:
    """Yield the functions and custom tools inside *tool*, each with its param.

    They are flat (``{"type","name",...}``), with their ``namespace``, whose description precedes
    theirs. Tools of other kinds are left out and noted.

    Raises:
        ProxyError: 400, *tool* has no name, or its content is not a list of tools.
    """
    namespace = tool.get("name")
    if namespace is None or namespace == "":
        raise missing(f"{param}.name")
    if not isinstance(namespace, str):
        raise wrong_type(f"{param}.name", "a string", namespace)
    inner = tool.get("tools")
    if not isinstance(inner, list):
        if inner is None:
            raise missing(f"{param}.tools")
        raise wrong_type(f"{param}.tools", "an array of objects", inner)
    for index, member in enumerate(inner):
        where = f"{param}.tools[{index}]"
        if not isinstance(member, dict):
            raise wrong_type(where, "an object", member)
        kind = member.get("type", "function")
        if kind not in _MEMBERS:
            ignored.add_or_reject(where)
            continue
        nested = member.get(kind)
        flat = {**member, **nested} if isinstance(nested, dict) else dict(member)
        flat.pop(kind, None)
        if "name" not in flat:
            raise missing(f"{where}.name")
        flat |= {"type": kind, NAMESPACE: namespace}
        flat["description"] = _described(tool.get("description"), flat.get("description"), where)
        yield flat, where


def _described(outer: object, inner: object, where: str) -> str | None:
    """Return a member's description, preceded by that of its namespace."""
    if inner is not None and not isinstance(inner, str):
        raise invalid(f"{where}.description", "A description is a string.", "invalid_type")
    words = outer.strip()[:_MAX_WORDS] if isinstance(outer, str) else ""
    if not words or (inner or "").startswith(words):
        return inner
    return f"{words}\n\n{inner}" if inner else words
