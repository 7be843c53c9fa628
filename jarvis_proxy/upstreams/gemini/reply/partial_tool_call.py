"""Assembles tool calls that arrive in pieces. Pure.

Only Vertex sends them, and only on request, which this proxy never makes. But an upstream behind
another base URL may send them anyway, and then no call may be lost.

Source: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling (streaming
function call arguments, read 2026-11).
"""

import re
from itertools import pairwise
from typing import Final

import msgspec

from jarvis_proxy.upstreams.gemini.reply.frames import FunctionCall, PartialArg

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]")
# A huge index must not create a list of that length.
_MAX_INDEX: Final = 10_000


class PartialToolCall:
    """One incomplete call."""

    __slots__ = ("_args", "_id", "_name", "_open", "signature")

    def __init__(self, native_id: str | None, name: str | None, signature: str | None) -> None:
        self._id = native_id
        self._name = name
        self.signature = signature
        self._args: dict[str, object] = {}
        self._open = ""
        """The path of the string that continues."""

    def feed(self, piece: FunctionCall) -> FunctionCall | None:
        """Add a *piece*; return the whole call with its last piece, before that None."""
        for arg in piece.partial_args or ():
            self._put(arg)
        if piece.will_continue:
            return None
        return FunctionCall(self._id, self._name, msgspec.Raw(msgspec.json.encode(self._args)))

    def _put(self, arg: PartialArg) -> None:
        steps = _steps(arg.json_path)
        if not steps:
            return
        value: object = None
        if arg.string_value is not None:
            value = arg.string_value
        elif arg.number_value is not None:
            number = arg.number_value
            value = int(number) if number.is_integer() else number
        elif arg.bool_value is not None:
            value = arg.bool_value
        _set(self._args, steps, value, append=arg.json_path == self._open)
        self._open = arg.json_path if arg.will_continue else ""


def _steps(path: str) -> list[str | int]:
    """Return the keys and indices in a path such as ``$.recipe.steps[2]``; [] if it is invalid."""
    steps: list[str | int] = []
    at = 1
    while path[:1] == "$" and (match := _STEP.match(path, at)):
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name if name is not None else quoted)
        at = match.end()
    return steps if at == len(path) and steps and isinstance(steps[0], str) else []


def _set(root: dict[str, object], steps: list[str | int], value: object, *, append: bool) -> None:
    """Set *value* at the path, creating objects and lists; *append* extends a string."""
    place: object = root
    for step, following in pairwise(steps):
        inner = _get(place, step)
        if not isinstance(inner, dict | list):
            inner = {} if isinstance(following, str) else []
            _put_at(place, step, inner)
        place = inner
    old = _get(place, steps[-1])
    if append and isinstance(old, str) and isinstance(value, str):
        value = old + value
    _put_at(place, steps[-1], value)


def _get(place: object, step: str | int) -> object:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        return place[step]
    return None


def _put_at(place: object, step: str | int, value: object) -> None:
    if isinstance(place, dict) and isinstance(step, str):
        place[step] = value
    elif isinstance(place, list) and isinstance(step, int) and step < _MAX_INDEX:
        place += [None] * (step + 1 - len(place))
        place[step] = value
