"""Finds the model names in an undecoded JSON body. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Final

from jarvis_proxy.wire.json_limits import outline

_NAME: Final = b'"model"'
_VALUE: Final = re.compile(rb'"model"[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.)*+"|null)')
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"')
_SHORT: Final = 1024
"""Below this many bytes, removing strings by a pattern takes less time than ``outline``."""
_BACKSLASH: Final = 0x5C
_MAX_NAMES: Final = 2048
"""Most names to find, many times Google's batch limit: each one takes time."""


def model_values(body: bytes, depths: tuple[int, ...] = (1,)) -> Iterator[tuple[int, int]]:
    r"""Yield the positions of the values of ``model`` fields in *body*, valid JSON.

    Only strings and null at one of *depths* count; 1 is the outermost object. Names written with
    escapes (``\u006dodel``) are not found.
    """
    found = list(islice(_fields(body), _MAX_NAMES))
    for field, depth in zip(found, _depths(body, found), strict=True):
        if depth in depths:
            yield field.span(1)


def _fields(body: bytes) -> Iterator[re.Match[bytes]]:
    end = 0
    while (start := body.find(_NAME, end)) >= 0:
        # After a backslash this is a part of a string; otherwise its first quote opens a string.
        found = None if body[start - 1] == _BACKSLASH else _VALUE.match(body, start)
        if found is not None:
            yield found
        end = start + len(_NAME) if found is None else found.end()


def _depths(body: bytes, found: Sequence[re.Match[bytes]]) -> list[int]:
    """Return the depth of each field.

    Brackets are counted from both ends, to skip the widest gap between fields, which is mostly the
    conversation before or after the model's name.
    """
    ends = [0, *(end for field in found for end in field.span()), len(body)]
    gaps = list(pairwise(ends))[::2]
    widest = max(range(len(gaps)), key=lambda index: gaps[index][1] - gaps[index][0])
    before = accumulate(_levels(body[start:end]) for start, end in gaps[:widest])
    behind = accumulate(-_levels(body[start:end]) for start, end in reversed(gaps[widest + 1 :]))
    return [*before, *reversed(list(behind))]


def _levels(json: bytes) -> int:
    """Return how many levels deeper the end of *json* is than its start."""
    if len(json) < _SHORT:
        return _opened(_STRING.sub(b"", json))
    return sum(map(_opened, outline(json, b"[]{}")))


def _opened(marks: bytes) -> int:
    return marks.count(b"[") + marks.count(b"{") - marks.count(b"]") - marks.count(b"}")
