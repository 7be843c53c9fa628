"""Requests that ask for much work for their size, each built for a number of bytes."""

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from bench.shapes import CHAT, REQUESTS, RESPONSES, Shape

_GEMINI: Final = "gemini-2.5-flash"
_GPT: Final = "gpt-4o-mini"
_STRING: Final = {"type": "string"}


def _body(model: str = _GEMINI, **fields: Any) -> bytes:
    said = {"model": model, "messages": [{"role": "user", "content": "a"}], **fields}
    return json.dumps(said, separators=(",", ":")).encode()


def _function(name: str, parameters: Any = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def _schema(make: Callable[[int], dict[str, Any]]) -> Callable[[int], bytes]:
    return lambda size: _body(tools=[_function("f", {"type": "object", **make(size)})])


def _names(count: int, letter: str = "p") -> list[str]:
    return [f"{letter}{number}" for number in range(max(count, 1))]


def _each(names: list[str], value: Any) -> dict[str, Any]:
    return {name: value for name in names}  # noqa: C420 - the same object, which is only read


def _required_often(size: int) -> dict[str, Any]:
    part = {"type": "object", "required": _names(size // 40)}
    refs = [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}] * (size // 100)
    return {"$defs": {"A": part, "B": part}, "allOf": refs, "properties": {"a": _STRING}}


def _merged_often(size: int) -> dict[str, Any]:
    wide = {"type": "object", "properties": _each(_names(size // 60), _STRING)}
    merged = {"allOf": [{"$ref": "#/$defs/W"}, {"minProperties": 1}]}
    return {"$defs": {"W": wide}, "properties": _each(_names(size // 140), merged)}


def _doubling(size: int) -> dict[str, Any]:
    links: dict[str, Any] = {"L0": _STRING}
    for number in range(1, min(size // 80, 90)):
        links[f"L{number}"] = {"allOf": [{"$ref": f"#/$defs/L{number - 1}"}] * 2}
    last = list(links)[-1]
    return {
        "$defs": links,
        "properties": _each(_names(size // 50), {"$ref": f"#/$defs/{last}"}),
    }


def _one_tail(size: int) -> dict[str, Any]:
    count = size // 70
    groups = {f"g{number}": {"a": {"title": str(number)}} for number in range(count)}
    refs = {f"p{number}": {"$ref": f"#/$defs/g{number}/a"} for number in range(count)}
    return {"$defs": groups, "properties": refs}


def _long_pointers(size: int) -> dict[str, Any]:
    count = size // 1500
    names = _names(count, " " * 300)
    refs = {f"p{name}": {"$ref": f"#/$defs/{quote(name)}"} for name in names}
    return {"properties": refs, "$defs": _each(names, _STRING)}


def _loops(size: int) -> dict[str, Any]:
    count = max(size // 110, 1)
    parts = {
        f"D{number}": {
            "type": "object",
            "properties": {"n": {"$ref": f"#/$defs/D{(number + 1) % count}"}},
            "required": ["n"],
        }
        for number in range(count)
    }
    return {"$defs": parts, "properties": {"a": {"$ref": "#/$defs/D0"}}}


def _tools(size: int) -> bytes:
    plain = {**_STRING, "description": "d"}
    wide = {"type": "object", "properties": _each(_names(size // 512 // 45), plain)}
    return _body(tools=[_function(f"f{number}", wide) for number in range(512)])


def _alike(size: int) -> bytes:
    names = ["a" * (size // 512) + chr(0x100 + number) for number in range(512)]
    return _body(tools=[_function(name) for name in names])


def _calls(size: int, *, ids: bool) -> bytes:
    messages: list[dict[str, Any]] = []
    for number in range(min(size // 180, 9_900)):
        name = f"call_{number}" if ids else ""
        call = {"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        if ids:
            messages.append({"role": "tool", "tool_call_id": name, "content": "{}"})
    return _body(messages=messages)


def _fields(model: str) -> Callable[[int], bytes]:
    return lambda size: _body(model, **_each(_names(size // 9), 1))


def _items(size: int) -> bytes:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    answer = {"type": "function_call_output", "call_id": "c", "output": "{}"}
    said = {"model": _GEMINI, "input": [call, answer] * min(size // 130, 9_900)}
    return json.dumps(said).encode()


WORK: Final = (
    Shape("required names of many references", _schema(_required_often)),
    Shape("a definition merged in many places", _schema(_merged_often)),
    Shape("allOf that doubles", _schema(_doubling)),
    Shape("references with one last segment", _schema(_one_tail)),
    Shape("long pointers", _schema(_long_pointers)),
    Shape("a loop of required references", _schema(_loops)),
    Shape("choices", _schema(lambda size: {"properties": {"a": {"enum": _names(size // 9)}}})),
    Shape("properties", _schema(lambda size: {"properties": _each(_names(size // 12), {})})),
    Shape("a constraint that becomes words", _schema(
        lambda size: {"properties": {"a": {"not": {"enum": _names(size // 9)}}}})),
    Shape("512 functions", _tools),
    Shape("names that become alike", _alike),
    Shape("calls and results", lambda size: _calls(size, ids=True)),
    Shape("calls without ids", lambda size: _calls(size, ids=False)),
    Shape("input items of calls", _items, RESPONSES),
    Shape("fields", _fields(_GEMINI)),
    Shape("fields to OpenAI", _fields(_GPT)),
    Shape("objects to OpenAI", lambda size: _body(_GPT, x=[{}] * (size // 3)), CHAT),
    *REQUESTS,
)  # fmt: skip
