"""Untrusted JSON values of unknown shape: parses, measures and describes them. Pure."""

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

import msgspec

from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.work_budget import WorkBudget

MAX_DEPTH: Final = 100
"""Most levels of nesting; protocol buffers, which parse the result, allow as many."""

EXACT_INTEGER: Final = 2**53
"""Google stores numbers in arguments and results as doubles, which are exact up to this."""

_ANY: Final = msgspec.json.Decoder()


class InvalidJSON(ValueError):
    """The text is not JSON, or is nested too deeply."""


def parse(text: str) -> object:
    """Return *text* parsed as JSON; a lone surrogate becomes U+FFFD.

    Raises:
        InvalidJSON: the text is not JSON, or is nested too deeply.
    """
    try:
        value = surrogates.decode(_ANY, text.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
        raise InvalidJSON(str(exc)) from exc
    if not within_depth(value):
        raise InvalidJSON(f"nested deeper than {MAX_DEPTH} levels")
    return value


def compact(value: object) -> str:
    """Return *value* as JSON without spaces."""
    return msgspec.json.encode(value).decode()


def children(value: object) -> Iterable[object]:
    """Return the direct children of a container, nothing for a scalar."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def within_depth(value: object, limit: int = MAX_DEPTH) -> bool:
    """Return whether containers nest at most *limit* levels deep; a scalar has depth 0."""
    level = [value]
    for _ in range(limit):
        level = [child for item in level for child in children(item)]
        if not level:
            return True
    return not any(isinstance(item, dict | list) for item in level)


def copyable(value: object, work: WorkBudget, limit: int = MAX_DEPTH) -> bool:
    """Return whether *value* nests at most *limit* levels deep; charge *work* for a copy."""
    level = [value]
    for _ in range(limit + 1):
        work.spend(len(level))
        work.spend_text(sum(len(item) for item in level if isinstance(item, str)))
        level = [child for item in level for child in children(item)]
        if not level:
            return True
    return False


def contains_key(value: object, key: str) -> bool:
    """Return whether any object within *value* has *key*."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict) and key in item:
            return True
        waiting.extend(children(item))
    return False


def survives_as_doubles(value: object) -> bool:
    """Return whether all integers within *value* can be stored exactly as doubles."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, int) and abs(item) > EXACT_INTEGER:
            return False
        waiting.extend(children(item))
    return True


def same(first: object, second: object, work: WorkBudget) -> bool:
    """Return whether two JSON values are equal; each compared pair is one step of *work*."""
    waiting = [(first, second)]
    while waiting:
        one, other = waiting.pop()
        if one is other:
            continue
        work.spend()
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            waiting += [(value, other[key]) for key, value in one.items()]
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            waiting += zip(one, other, strict=True)
        elif isinstance(one, dict | list) or type(one) is not type(other) or one != other:
            return False
    return True


def excerpt(value: object, limit: int) -> str:
    """Return the first *limit* characters of *value* as JSON, without reading the rest.

    Returns ``""`` if these characters nest deeper than ``MAX_DEPTH``.
    """
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value[:limit]):
        head = [item[:limit] if isinstance(item, str) else item for item in value[:limit]]
        # *limit* values take more than *limit* characters.
        return compact(head)[:limit]
    pieces: list[str] = []
    length = depth = 0
    waiting: list[object] = [value]
    while waiting and length < limit:
        item = waiting.pop()
        if isinstance(item, _Mark):
            piece = item.text
            depth -= piece in "}]"
        elif isinstance(item, dict | list):
            piece = "{" if isinstance(item, dict) else "["
            waiting += _inside(item, limit - length)
            depth += 1
            if depth > MAX_DEPTH:
                return ""
        else:
            piece = compact(item[:limit] if isinstance(item, str) else item)
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces)[:limit]


class _Mark(NamedTuple):
    """A piece of JSON text between values."""

    text: str


def _inside(value: dict[str, object] | list[object], limit: int) -> list[object]:
    """Return the items after the opening bracket of *value*, in reverse order."""
    found: list[object] = []
    if isinstance(value, dict):
        for key, inner in islice(value.items(), limit):
            found += [_Mark(f"{',' if found else ''}{compact(key[:limit])}:"), inner]
        found.append(_Mark("}"))
    else:
        for inner in islice(value, limit):
            found += [_Mark(","), inner] if found else [inner]
        found.append(_Mark("]"))
    return found[::-1]
