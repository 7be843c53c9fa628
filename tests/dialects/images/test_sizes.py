"""Sizes in pixels and Google's shapes."""

import struct

import pytest

from jarvis_proxy.dialects.images.sizes import Shape, nearest, pixels

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ("1024x1024", Shape("1:1", None, True)),
        ("256x256", Shape("1:1", None, True)),
        ("1536x1024", Shape("3:2", None, True)),
        ("1024x1536", Shape("2:3", None, True)),
        ("1792x1024", Shape("16:9", None, True)),
        ("1024x1792", Shape("9:16", None, True)),
        ("2048x2048", Shape("1:1", "2K", True)),
        ("3840x2160", Shape("16:9", "4K", True)),
        ("1200x500", Shape("21:9", None, True)),
        ("3000x1000", Shape("21:9", "4K", False)),
        ("100x1000", Shape("9:16", None, False)),
    ],
)
def test_the_nearest_shape(size: str, shape: Shape) -> None:
    assert nearest(size) == shape


@pytest.mark.parametrize("size", ["", "auto", "1024", "0x10", "10x0", "1x1x1", "-1x1", "123456x1"])
def test_what_is_no_size(size: str) -> None:
    assert nearest(size) is None


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        (PNG + struct.pack(">II", 30, 20), "30x20"),
        (PNG, None),
        (b"\xff\xd8\xff\xe1\x00\x05abc\xff\xc2\x00\x11\x08\x00\x14\x00\x1e", "30x20"),
        (b"\xff\xd8\xff\xc4\x00\x05abc\xff\xda\x00\x11\x08\x00\x14\x00", None),
        (b"\xff\xd8\x00" + bytes(20), None),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 300, None),
        (b"RIFF\0\0\0\0WEBP", None),
        (b"", None),
    ],
)
def test_the_size_of_a_picture(picture: bytes, size: str | None) -> None:
    assert pixels(picture) == size
