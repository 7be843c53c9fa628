"""Changes inputs: as bytes, and as the JSON that they hold, which bytes alone seldom keep. Pure."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

_JSON: Final = re.compile(rb"[{\[][^\n\r]*[}\]]", re.DOTALL)
_ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 1.5, -0.0, 1e308, "", " ", "a", "\ud800", "\x00",
    "é€🦀", "data: [DONE]\n\n", "null", "{", "[]", [], {}, [[]], [None], {"": None}, [{}, {}],
)  # fmt: skip
_MOST_CHANGES: Final = 4
_NUMBERS: Final = (0, 1, 0x0A, 0x0D, 0x20, 0x22, 0x3A, 0x5C, 0x7B, 0x7F, 0x80, 0xC3, 0xFF)


def mutate(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    """Return *data* changed in a few places; *others* are inputs to borrow from."""
    for _ in range(rng.randint(1, _MOST_CHANGES)):
        change = rng.choice(_CHANGES if _JSON.search(data) else _BYTE_CHANGES)
        data = change(data, rng, tokens, others)
    return data


def _insert(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(tokens) + data[at:]


def _overwrite(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes([rng.choice(_NUMBERS)]) + data[at + 1 :]


def _flip(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    if not data:
        return b"\x00"
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _delete(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.choice((1, 2, 8, 64)) :]


def _repeat(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    start = rng.randint(0, len(data))
    end = rng.randint(start, min(len(data), start + 200))
    return data[:end] + data[start:end] + data[end:]


def _splice(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    other = rng.choice(others)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _change_json(
    data: bytes, rng: random.Random, tokens: Sequence[bytes], others: Sequence[bytes]
) -> bytes:
    """Change one of the JSON texts that *data* holds, and keep it JSON."""
    found = list(_JSON.finditer(data))
    if not found:
        return data
    match = rng.choice(found)
    try:
        value = json.loads(match[0])
    except (ValueError, RecursionError):
        return _flip(data, rng, tokens, others)
    changed = _changed(value, rng, _borrowed(rng, others))
    text = json.dumps(changed, ensure_ascii=rng.random() < 0.5, separators=(",", ":"))
    return data[: match.start()] + text.encode("utf-8", "surrogatepass") + data[match.end() :]


def _borrowed(rng: random.Random, others: Sequence[bytes]) -> Any:
    """Return some value of another input, or an odd one."""
    if rng.random() < 0.5 and (match := _JSON.search(rng.choice(others))) is not None:
        try:
            value = json.loads(match[0])
        except (ValueError, RecursionError):
            return rng.choice(_ODD)
        places = _places(value)
        if places:
            holder, key = rng.choice(places)
            return holder[key]
    return rng.choice(_ODD)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return where values stand in *value*: what holds them, and under which key."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def _changed(value: Any, rng: random.Random, new: Any) -> Any:
    places = _places(value)
    if not places:
        return new
    holder, key = rng.choice(places)
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]]
        case 2 if isinstance(holder, list):
            holder.insert(rng.randint(0, len(holder)), json.loads(json.dumps(holder[key])))
        case 3:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        case _:
            holder[key] = new
    return value


_Change = Callable[[bytes, random.Random, Sequence[bytes], Sequence[bytes]], bytes]
_BYTE_CHANGES: Final[tuple[_Change, ...]] = (_insert, _overwrite, _flip, _delete, _repeat, _splice)
_CHANGES: Final[tuple[_Change, ...]] = (*_BYTE_CHANGES, *(_change_json,) * 8)
