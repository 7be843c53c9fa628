"""Bytes in pieces: whole again, and without a cost for each piece."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.wire.pieces import ByteBuffer

SIZES = st.lists(st.sampled_from([0, 1, 2, 100, 4095, 4096, 5000]), max_size=12)
WHOLE = bytes(range(256)) * 250


def cut(sizes: list[int]) -> tuple[ByteBuffer, bytes]:
    pieces, at = ByteBuffer(), 0
    for size in sizes:
        pieces.add(WHOLE[at : at + size])
        at += size
    return pieces, WHOLE[:at]


@given(SIZES)
def test_pieces_are_whole_again_and_keep_their_order(sizes: list[int]) -> None:
    pieces, whole = cut(sizes)

    assert pieces.join() == b"".join(pieces) == whole
    assert pieces.size == len(whole)
    popped = b""
    while piece := pieces.pop():
        popped += piece
    assert popped == whole
    assert pieces.size == 0


@given(SIZES, st.data())
def test_bytes_inside_are_replaced(sizes: list[int], data: st.DataObject) -> None:
    pieces, whole = cut(sizes)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    if start == end:
        return  # nothing is never replaced
    pieces.replace(start, end, b"new")

    assert pieces.join() == whole[:start] + b"new" + whole[end:]
    assert pieces.size == len(pieces.join())


@pytest.mark.slow
@given(SIZES, st.integers(0, 20_000))
def test_after_yields_the_bytes_that_follow(sizes: list[int], start: int) -> None:
    pieces, whole = cut(sizes)

    assert b"".join(pieces.after(start)) == whole[start:]


def test_large_piece_is_not_copied() -> None:
    pieces = ByteBuffer()
    pieces.add(WHOLE)

    assert pieces.join() is WHOLE


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_small_pieces_take_no_more_memory_than_their_bytes(size: int) -> None:
    tracemalloc.start()
    try:
        pieces = ByteBuffer()
        for _ in range(200_000 // size):
            pieces.add(WHOLE[:size])
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 1.3 * pieces.size + 10_000


def test_bytes_are_replaced_within_and_across_pieces() -> None:
    pieces = ByteBuffer()
    for piece in (b"a" * 5000, b"b" * 5000, b"c" * 5000):
        pieces.add(piece)
    pieces.replace(4999, 10_001, b"X")

    assert pieces.join() == b"a" * 4999 + b"X" + b"c" * 4999
    assert b"".join(pieces.after(4999)) == b"X" + b"c" * 4999
    assert pieces.size == 9999
