"""How many values JSON holds, without decoding it. Pure.

A decoded value takes 50 to 250 bytes of memory however few bytes it is written with: ``{"":0},``
takes thirty times its size. So they are counted before anything is decoded.
"""

import re
from typing import Final

_STEP: Final = 256 * 1024
_NO_STRUCTURE: Final = bytes(byte for byte in range(256) if byte not in b'",[{')
_ESCAPED: Final = re.compile(rb'\\["\\]')


def holds_more(body: bytes, most: int) -> bool:
    """Tell whether *body*, JSON, holds more than about *most* values.

    Counted are commas and opening brackets outside of strings: each value has one of them before
    it, but the first; a list or an object in it has one more.
    """
    return rough_count(body) > most and _is_more(body, most)


def rough_count(body: bytes) -> int:
    """Return how many values *body* holds at the most: what stands in strings counts too."""
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def rough_count_in_text(text: str) -> int:
    """Return the same for JSON in a text."""
    return text.count(",") + text.count("[") + text.count("{")


def _is_more(body: bytes, most: int) -> bool:
    """Look at *body* in pieces: an outline of all of it may take as much memory as itself."""
    found = 0
    is_inside = False  # of a string
    carried = b""
    for start in range(0, len(body), _STEP):
        piece = carried + body[start : start + _STEP]
        whole = piece.rstrip(b"\\")
        # An odd backslash at the end belongs to what follows.
        carried = b"\\" * ((len(piece) - len(whole)) % 2)
        outline = _ESCAPED.sub(b"", whole).translate(None, _NO_STRUCTURE)
        pieces = outline.split(b'"')
        found += sum(map(len, pieces[is_inside::2]))
        if found > most:
            return True
        is_inside ^= len(pieces) % 2 == 0
    return False
