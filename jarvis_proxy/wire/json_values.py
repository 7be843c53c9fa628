"""How many values JSON holds, without decoding it. Pure.

A decoded value takes 50 to 250 bytes of memory however few bytes it is written with: ``{"":0},``
takes thirty times its size. So they are counted before anything is decoded.
"""

from array import array
from collections import Counter
from itertools import accumulate
from typing import Final

from jarvis_proxy.wire.json_outline import outline

_STEP: Final = 2**20
_STEPS: Final = bytes.maketrans(b"[{]}:", b"\x01\x01\xff\xff\x00")  # as signed bytes


def exceeds_values(body: bytes, most: int) -> bool:
    """Tell whether *body*, JSON, holds more than about *most* values.

    Counted are commas and opening brackets outside of strings: each value has one of them before
    it, but the first; a list or an object in it has one more.
    """
    return rough_count(body) > most and _exceeds_exactly(body, most)


def exceeds_fields(body: bytes, most: int) -> bool:
    """Tell whether *body*, a JSON object, has more than *most* fields of its own.

    A decoder takes 1 µs for each name in a large object, and lets nobody else do anything.
    """
    if body.count(b":") <= most:
        return False
    depth = found = 0
    for piece in outline(body, b"[]{}:"):
        steps = array("b", piece.translate(_STEPS))
        # A colon is no step, and the fields of the body stand one level deep.
        found += Counter(zip(steps, accumulate(steps, initial=depth), strict=False))[0, 1]
        if found > most:
            return True
        depth += sum(steps)
    return False


def rough_count(body: bytes) -> int:
    """Return how many values *body* holds at the most: what stands in strings counts too."""
    # In steps: one count of 60 MB lets nobody else do anything for 40 ms.
    return sum(
        body.count(mark, start, start + _STEP)
        for start in range(0, len(body), _STEP)
        for mark in (b",", b"[", b"{")
    )


def rough_count_in_text(text: str) -> int:
    """Return the same for JSON in a text."""
    return text.count(",") + text.count("[") + text.count("{")


def _exceeds_exactly(body: bytes, most: int) -> bool:
    found = 0
    for piece in outline(body, b",[{"):
        found += len(piece)
        if found > most:
            return True
    return False
