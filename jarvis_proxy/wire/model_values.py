"""Where an undecoded JSON body names its model. Pure."""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import Final

from jarvis_proxy.wire.json_limits import outline

_NAME: Final = b'"model"'
_VALUE: Final = re.compile(rb'"model"[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.)*+"|null)')
_BACKSLASH: Final = 0x5C
_MOST_NAMES: Final = 2048
"""Most names that are looked at, many times what Google takes in one batch. Each costs time."""


def model_values(body: bytes, depths: tuple[int, ...] = (1,)) -> Iterator[tuple[int, int]]:
    r"""Yield where the values of fields called ``model`` stand in *body*, valid JSON.

    Only strings and null count, and only as deep as one of *depths*; 1 is the outermost object. A
    name that is written with escapes (``\u006dodel``) is not found.
    """
    found = list(islice(_fields(body), _MOST_NAMES))
    for field, depth in zip(found, _depths(body, found), strict=True):
        if depth in depths:
            yield field.span(1)


def _fields(body: bytes) -> Iterator[re.Match[bytes]]:
    end = 0
    while (start := body.find(_NAME, end)) >= 0:
        # Behind a backslash it is a part of a string, and elsewhere no string ends in front of it.
        found = None if body[start - 1] == _BACKSLASH else _VALUE.match(body, start)
        if found is not None:
            yield found
        end = start + len(_NAME) if found is None else found.end()


def _depths(body: bytes, found: Sequence[re.Match[bytes]]) -> list[int]:
    """Return how deep each field stands.

    Brackets are counted from both ends, and not in the widest gap: mostly the conversation, before
    or behind the model's name.
    """
    ends = [0, *(end for field in found for end in field.span()), len(body)]
    gaps = list(pairwise(ends))[::2]
    widest = max(range(len(gaps)), key=lambda index: gaps[index][1] - gaps[index][0])
    before = accumulate(_levels(body[start:end]) for start, end in gaps[:widest])
    behind = accumulate(-_levels(body[start:end]) for start, end in reversed(gaps[widest + 1 :]))
    return [*before, *reversed(list(behind))]


def _levels(json: bytes) -> int:
    """Return how many levels deeper the end of *json* stands than its start."""
    return sum(
        marks.count(b"[") + marks.count(b"{") - marks.count(b"]") - marks.count(b"}")
        for marks in outline(json, b"[]{}")
    )
