"""Limits on undecoded JSON: nesting depth, number of values and of fields. Pure.

A decoded value takes 50 to 250 bytes of memory, however short its text: ``{"":0},`` takes thirty
times its size. So values are counted before decoding.
"""

from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

_PIECE: Final = 256 * 1024
_BACKSLASH: Final = b"\\"
# Steps of +1 and -1, as signed bytes.
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_SMALL: Final = 4096
_COUNT_STEP: Final = 2**20
# As above, and 0 for a colon.
_FIELD_STEPS: Final = bytes.maketrans(b"[{]}:", b"\x01\x01\xff\xff\x00")


def outline(body: bytes, kept: bytes) -> Iterator[bytes]:
    r"""Yield, piece by piece, the bytes of *body*, JSON, that are in *kept* and outside strings.

    A piece covers 256 KiB of *body*: it takes a few milliseconds, so that other threads can run,
    and little memory. *kept* must not contain ``"`` or ``\``.
    """
    dropped = bytes(byte for byte in range(256) if byte not in kept + b'"')
    # Whether the position is inside a string.
    is_inside = False
    carried = b""
    for start in range(0, len(body), _PIECE):
        piece = carried + body[start : start + _PIECE]
        whole = piece.rstrip(_BACKSLASH)
        # If the trailing backslashes are odd in number, the last one escapes the next piece's
        # start.
        carried = _BACKSLASH * ((len(piece) - len(whole)) % 2)
        if _BACKSLASH in whole:
            whole = whole.replace(rb"\\", b"").replace(rb"\"", b"")
        # Quotes open and close in turn, so an adjacent pair leaves the outside unchanged.
        parts = whole.translate(None, dropped).replace(b'""', b"").split(b'"')
        yield b"".join(parts[is_inside::2])
        is_inside ^= len(parts) % 2 == 0


def exceeds_depth(body: bytes, levels: int) -> bool:
    """Return whether *body*, valid JSON, nests lists and objects more than *levels* deep.

    Takes 1 µs for a body of 2 kB with few brackets. Otherwise it takes about as long as skipping
    the body in a decoder, plus 40 ns per bracket.
    """
    # Most bodies end here: they have no more brackets than levels, even counting those in strings.
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
    """Return whether *body* has more than *levels* opening brackets.

    A large body is searched for one bracket after another: over megabytes, counting a byte takes
    thirty times as long as not finding it.
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

    This counts commas and opening brackets outside strings: each value but the first has one before
    it, and lists and objects have one more.
    """
    return rough_count(body) > most and _exceeds_exactly(body, most)


def exceeds_fields(body: bytes, most: int) -> bool:
    """Return whether *body*, a JSON object, has more than *most* fields at its top level.

    A decoder takes 1 µs per name in a large object, and blocks the whole process meanwhile.
    """
    if body.count(b":") <= most:
        return False
    depth = found = 0
    for piece in outline(body, b"[]{}:"):
        steps = array("b", piece.translate(_FIELD_STEPS))
        # A colon is a step of 0, and the body's own fields are at depth 1.
        found += Counter(zip(steps, accumulate(steps, initial=depth), strict=False))[0, 1]
        if found > most:
            return True
        depth += sum(steps)
    return False


def rough_count(body: bytes) -> int:
    """Return an upper bound for the number of values in *body*: strings are counted too."""
    # Count in steps: a single count over 60 MB would block the process for 40 ms.
    return sum(
        body.count(mark, start, start + _COUNT_STEP)
        for start in range(0, len(body), _COUNT_STEP)
        for mark in (b",", b"[", b"{")
    )


def rough_count_in_text(text: str) -> int:
    """Return the upper bound of ``rough_count`` for JSON in a str."""
    return text.count(",") + text.count("[") + text.count("{")


def _exceeds_exactly(body: bytes, most: int) -> bool:
    found = 0
    for piece in outline(body, b",[{"):
        found += len(piece)
        if found > most:
            return True
    return False
