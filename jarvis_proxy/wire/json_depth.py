"""How deep JSON nests, without decoding it. Pure."""

from array import array
from itertools import accumulate
from typing import Final

from jarvis_proxy.wire.json_outline import outline

_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 and -1 as signed bytes
_SMALL: Final = 4096


def exceeds_depth(body: bytes, levels: int) -> bool:
    """Tell whether *body*, valid JSON, nests lists and objects more than *levels* deep.

    1 µs for a body of 2 kB with few brackets, else about as much as skipping over it in a decoder
    and 40 ns for each bracket.
    """
    # No more brackets than levels, be they nested or not, quoted or not: most bodies end here.
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
    """Tell whether more than *levels* brackets open in *body*.

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
