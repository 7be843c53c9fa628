"""Converts tools of a Responses request to tools of the equivalent chat request. Pure.

The input also contains tools: those found by a search at the client, and those that it added.

Source: https://platform.openai.com/docs/api-reference/responses/create#tools (read 2026-11).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from jarvis_proxy.canonical.function_names import Member, flat_name
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import NAMESPACE, TOOL_SEARCH, members
from jarvis_proxy.dialects.responses.client_tools import as_function

JsonObject: TypeAlias = dict[str, Any]

_CALLED: Final = ("function", "custom")
_SEARCH: Final = "web_search"
_INTERPRETER: Final = "code_interpreter"
_PAINTING: Final = "image_generation"
_LATER: Final = "defer_loading"


@dataclass(slots=True)
class CanonicalTools:
    """Tools in chat's form, and the param of each in the Responses request."""

    tools: list[JsonObject] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    paints: bool = False
    """Whether the request asks for pictures, which the model generates by itself."""
    client_types: set[str] = field(default_factory=set)
    """OpenAI's types of the declared tools that the client runs."""


def chat_tools(
    tools: list[JsonObject] | None,
    loaded: list[tuple[JsonObject, str]],
    ignored: IgnoredParams,
    *,
    draws: bool,
) -> CanonicalTools | None:
    """Return all tools of the model, None if the request does not mention tools.

    *loaded* are tools from the input, each with its param. ``tools`` is newer than these, so of two
    with the same name the one in ``tools`` counts, otherwise the last one. A model that *draws* by
    itself needs no tool for it.

    Raises:
        ProxyError: 400, a namespace is not valid.
    """
    if tools is None and not loaded:
        return None
    found = CanonicalTools()
    places = _declare(found, tools or [], ignored, draws=draws)
    _load(found, places, _flatten(loaded, ignored))
    if any(map(_is_clients_search, found.tools)):
        found.client_types.add(TOOL_SEARCH)
    found.tools = [_as_chat(tool) for tool in found.tools]
    return found


def _declare(
    found: CanonicalTools, tools: list[JsonObject], ignored: IgnoredParams, *, draws: bool
) -> dict[str | Member, int]:
    """Add the tools of ``tools`` to *found*; return the place of each by its key."""
    places: dict[str | Member, int] = {}
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        if draws and tool.get("type") == _PAINTING:
            found.paints = True
            for key in sorted(tool.keys() - {"type"}):
                ignored.add_or_reject(f"{param}.{key}")
            continue
        if (function := as_function(tool)) is not None:
            found.client_types.add(str(tool["type"]))
            tool = function
        for plain, where in _plain(tool, param, ignored):
            places[_key(plain, where)] = len(found.tools)
            found.tools.append(plain)
            found.params.append(where)
    return places


def _load(
    found: CanonicalTools,
    places: dict[str | Member, int],
    loaded: Iterable[tuple[JsonObject, str]],
) -> None:
    """Add the tools that came in the input to *found*, or replace earlier ones of them."""
    declared = len(found.tools)
    for plain, where in loaded:
        place = places.setdefault(_key(plain, where), len(found.tools))
        if place == len(found.tools):
            found.tools.append(plain)
            found.params.append(where)
        elif place < declared:
            # It was declared for a search, which has found it.
            found.tools[place].pop(_LATER, None)
        else:
            found.tools[place], found.params[place] = plain, where


def listed(tools: list[JsonObject]) -> str:
    """Return a text that tells the model which tools a search found, by their known names."""
    ignored = IgnoredParams()
    names = [
        flat_name(Member(plain[NAMESPACE], str(name))) if NAMESPACE in plain else str(name)
        for tool in tools
        if tool.get("type") in (*_CALLED, NAMESPACE)
        for plain, _ in _plain(tool, "", ignored)
        if (name := plain.get("name")) is not None
    ]
    return f"Tools that are available now: {', '.join(names)}" if names else "No tool was found."


def _flatten(
    loaded: list[tuple[JsonObject, str]], ignored: IgnoredParams
) -> Iterator[tuple[JsonObject, str]]:
    for tool, param in loaded:
        if tool.get("type") not in (*_CALLED, NAMESPACE):
            # OpenAI's servers would run it.
            ignored.add_or_reject(param)
            continue
        for plain, where in _plain(tool, param, ignored):
            plain.pop(_LATER, None)
            yield plain, where


def _plain(
    tool: JsonObject, param: str, ignored: IgnoredParams
) -> Iterator[tuple[JsonObject, str]]:
    """Yield *tool* in flat form, or the tools inside it."""
    kind = tool.get("type")
    if kind == NAMESPACE:
        yield from members(tool, param, ignored)
    elif kind in _CALLED and isinstance(inner := tool.get(kind), dict):
        yield {**inner, "type": kind}, param
    else:
        yield dict(tool), param


def _key(tool: JsonObject, where: str) -> str | Member:
    """Return the key by which a later tool counts as the same one."""
    name = tool.get("name")
    if tool.get("type") not in _CALLED or not isinstance(name, str):
        return where
    namespace = tool.get(NAMESPACE)
    return Member(namespace, name) if isinstance(namespace, str) else f"name {name}"


def _as_chat(tool: JsonObject) -> JsonObject:
    """Return a flat tool in chat's form."""
    kind = tool.get("type")
    if kind in _CALLED:
        return {"type": kind, kind: {k: v for k, v in tool.items() if k != "type"}}
    if isinstance(kind, str) and kind.startswith(_SEARCH):
        # Names have dates: web_search_2025_08_26.
        return {**tool, "type": _SEARCH}
    if kind == _INTERPRETER:
        # Its container says where OpenAI would run it.
        return {"type": kind}
    return tool


def _is_clients_search(tool: JsonObject) -> bool:
    return tool.get("type") == TOOL_SEARCH and tool.get("execution") == "client"
