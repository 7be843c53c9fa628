"""Where an input is cut: derived from its bytes, so that a finding can be played again. Pure."""

import random
import zlib
from collections.abc import Iterator

_BYTEWISE_UP_TO = 300


def cuts_of(data: bytes) -> Iterator[list[bytes]]:
    """Yield *data* in pieces, cut at a few places that it decides itself, then bytewise."""
    rng = random.Random(zlib.crc32(data))
    for count in (1, 3, 9):
        marks = sorted(rng.randint(0, len(data)) for _ in range(count))
        yield [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True)]
    if len(data) <= _BYTEWISE_UP_TO:
        yield [data[at : at + 1] for at in range(len(data))]
