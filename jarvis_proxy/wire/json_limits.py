"""Limits on JSON that is not decoded yet: nesting depth, number of values and of fields. Pure.

A decoded value takes 50 to 250 bytes of memory however few bytes it is written with: ``{"":0},``
takes thirty times its size. So values are counted before anything is decoded.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

_PIECE: Final = 256 * 1024
_BACKSLASH: Final = b"\\"
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 and -1 as signed bytes
_SMALL: Final = 4096
_COUNT_STEP: Final = 2**20
_FIELD_STEPS: Final = bytes.maketrans(b"[{]}:", b"\x01\x01\xff\xff\x00")  # as signed bytes


def outline(body: bytes, kept: bytes) -> Iterator[bytes]:
    r"""Yield, piece by piece, the bytes of *body*, JSON, that are among *kept* and in no string.

    A piece is an outline of 256 KiB: it takes some ms at the most, so that other threads get their
    turn, and little memory. *kept* holds neither ``"`` nor ``\``.
    """
    dropped = bytes(byte for byte in range(256) if byte not in kept + b'"')
    is_inside = False  # of a string
    carried = b""
    for start in range(0, len(body), _PIECE):
        piece = carried + body[start : start + _PIECE]
        whole = piece.rstrip(_BACKSLASH)
        # An odd backslash at the end belongs to what follows.
        carried = _BACKSLASH * ((len(piece) - len(whole)) % 2)
        if _BACKSLASH in whole:
            whole = whole.replace(rb"\\", b"").replace(rb"\"", b"")
        # Quotes alternate between opening and closing, so a pair without anything between can go.
        parts = whole.translate(None, dropped).replace(b'""', b"").split(b'"')
        yield b"".join(parts[is_inside::2])
        is_inside ^= len(parts) % 2 == 0


def exceeds_depth(body: bytes, levels: int) -> bool:
    """Return whether *body*, valid JSON, nests lists and objects more than *levels* deep.

    1 µs for a body of 2 kB with few brackets, else about as much as skipping over it in a decoder
    and 40 ns for each bracket.
    """
    # No more brackets than levels, nested or not, quoted or not: most bodies end here.
    if not _opens_more(body, levels):
        return False
    depth = 0
    for brackets in outline(body, b"[]{}"):
        steps = array("b", brackets.translate(_STEPS))
        if max(accumulate(steps, initial=depth)) > levels:
            return True
        depth += sum(steps)
    return False


def _opens_more(body: bytes, levels: int) -> bool:
    """Return whether more than *levels* brackets open in *body*.

    In a large one they are found one by one: counting a byte in megabytes takes thirty times as
    long as not finding it.
    """
    if len(body) < _SMALL:
        return body.count(b"[") + body.count(b"{") > levels
    found = 0
    for bracket in (b"[", b"{"):
        at = body.find(bracket)
        while at >= 0:
            found += 1
            if found > levels:
                return True
            at = body.find(bracket, at + 1)
    return False


def exceeds_values(body: bytes, most: int) -> bool:
    """Return whether *body*, JSON, holds more than about *most* values.

    Counted are commas and opening brackets outside of strings: each value has one of them before
    it, but the first; a list or an object in it has one more.
    """
    return rough_count(body) > most and _exceeds_exactly(body, most)


def exceeds_fields(body: bytes, most: int) -> bool:
    """Return whether *body*, a JSON object, has more than *most* fields at its top level.

    A decoder takes 1 µs for each name in a large object, and lets nobody else do anything.
    """
    if body.count(b":") <= most:
        return False
    depth = found = 0
    for piece in outline(body, b"[]{}:"):
        steps = array("b", piece.translate(_FIELD_STEPS))
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
        body.count(mark, start, start + _COUNT_STEP)
        for start in range(0, len(body), _COUNT_STEP)
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
