"""Maps OpenAI's pixel sizes to Google's shapes, and reads the size of a picture. Pure.

Source: https://ai.google.dev/gemini-api/docs/image-generation (read 2026-11).
"""

import math
import re
import struct
from typing import Final, NamedTuple

_SIZE: Final = re.compile(r"(\d{1,5})x(\d{1,5})")
_SHAPES: Final = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_LONGEST: Final = ((1792, None), (2560, "2K"))
_NEAR: Final = 0.05
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers whose segment has a height and a width."""
_MAX_SEGMENTS: Final = 200


class Shape(NamedTuple):
    """Google's nearest shape; without *is_near*, its aspect ratio differs by more than 5 %."""

    aspect_ratio: str
    image_size: str | None
    is_near: bool


def nearest(size: str) -> Shape | None:
    """Return Google's shape nearest to *size*, ``WIDTHxHEIGHT``; None if that is invalid."""
    found = _SIZE.fullmatch(size)
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    if not width or not height:
        return None
    wanted = math.log(width / height)
    distances = {shape: abs(math.log(_ratio(shape)) - wanted) for shape in _SHAPES}
    shape = min(distances, key=lambda name: distances[name])
    longest = max(width, height)
    name = next((name for most, name in _LONGEST if longest <= most), "4K")
    return Shape(shape, name, distances[shape] <= _NEAR)


def pixels(picture: bytes) -> str | None:
    """Return the size of a PNG or JPEG as ``WIDTHxHEIGHT``, None for other files."""
    if picture.startswith(_PNG) and len(picture) >= 24:
        width, height = struct.unpack(">II", picture[16:24])
        return f"{width}x{height}"
    return _jpeg(picture) if picture.startswith(_JPEG) else None


def _jpeg(picture: bytes) -> str | None:
    at = 2
    for _ in range(_MAX_SEGMENTS):
        head = picture[at : at + 9]
        if len(head) < 9 or head[0] != 0xFF:
            return None
        if head[1] in _FRAMES:
            height, width = struct.unpack(">HH", head[5:9])
            return f"{width}x{height}"
        at += 2 + int.from_bytes(head[2:4], "big")
    return None


def _ratio(shape: str) -> float:
    width, _, height = shape.partition(":")
    return int(width) / int(height)
