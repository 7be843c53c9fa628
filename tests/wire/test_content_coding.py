"""Compressed answers: unpacked as they come, a piece at a time, never without limit."""

import gzip
import os
import zlib

import pytest

from jarvis_proxy.wire.content_coding import Decompressor, InvalidCoding, is_known
from tests.support.splits import assert_same_for_every_split

TEXT = b'data: {"a":"' + b"x" * 300 + b'"}\n\n' + b"data: [DONE]\n\n"


def raw_deflate(data: bytes) -> bytes:
    pack = zlib.compressobj(wbits=-15)
    return pack.compress(data) + pack.flush()


FORMS = {
    "gzip": ("gzip", gzip.compress(TEXT, mtime=0)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT, mtime=0)),
    "zlib": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", raw_deflate(TEXT)),
    "two archives": (
        "gzip",
        gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0),
    ),
}


def play(coding: str, pieces: list[bytes]) -> tuple[bytes, bool]:
    inflater = Decompressor(coding)
    out = b""
    for piece in pieces:
        inflater.feed(piece)
        while taken := inflater.read():
            assert len(taken) <= 65536
            out += taken
    return out, inflater.is_complete


@pytest.mark.parametrize(("coding", "packed"), FORMS.values(), ids=FORMS)
def test_every_form_is_unpacked_however_it_is_cut(coding: str, packed: bytes) -> None:
    found = assert_same_for_every_split(lambda pieces: play(coding, list(pieces)), packed)

    assert found == (TEXT, True)
    assert is_known(coding)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "identity", ""])
def test_other_codings_are_not_known(coding: str) -> None:
    assert not is_known(coding)


def test_flushed_data_comes_out_before_the_end_arrives() -> None:
    pack = zlib.compressobj(wbits=31)
    first = pack.compress(b"data: 1\n\n") + pack.flush(zlib.Z_SYNC_FLUSH)
    inflater = Decompressor("gzip")
    inflater.feed(first)

    assert inflater.read() == b"data: 1\n\n"
    assert inflater.read() == b""
    assert not inflater.is_complete


@pytest.mark.parametrize("end", range(1, len(FORMS["gzip"][1]), 7))
def test_a_cut_archive_is_not_complete(end: int) -> None:
    assert not play("gzip", [FORMS["gzip"][1][:end]])[1]


@pytest.mark.parametrize(
    "packed", [b"no archive", FORMS["gzip"][1] + b"rubbish", FORMS["gzip"][1][:-8] + b"\0" * 8]
)
def test_damage_is_an_error(packed: bytes) -> None:
    with pytest.raises(InvalidCoding):
        play("gzip", [packed])


@pytest.mark.slow
def test_a_bomb_comes_out_a_piece_at_a_time() -> None:
    """A hundred megabytes in a hundred kilobytes: only one piece is in memory."""
    inflater = Decompressor("gzip")
    inflater.feed(gzip.compress(b"\0" * (100 * 1024 * 1024), 9))

    assert max(len(inflater.read()) for _ in range(50)) == 65536


def test_archives_with_nothing_in_them_end() -> None:
    empty, full = gzip.compress(b""), gzip.compress(b"x")

    assert play("gzip", [full * 1000]) == (b"x" * 1000, True)
    with pytest.raises(InvalidCoding):
        play("gzip", [empty * 102])


def test_random_bytes_are_unpacked_as_they_were() -> None:
    data = os.urandom(300_000)

    assert play("deflate", [zlib.compress(data)]) == (data, True)
