"""Decompresses a response as it arrives, a bounded piece at a time. Pure.

Source: RFC 9110, section 8.4.1; RFC 1952, section 2.2 (several members in a row).
"""

import zlib
from typing import Final

_PIECE: Final = 64 * 1024
"""Most bytes that one read returns, however small its input is."""

_MAX_EMPTY: Final = 100
"""Most members in a row, empty ones included, without any content: more are an attack."""

_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15


class InvalidCoding(Exception):
    """The data does not match its ``Content-Encoding``."""


def is_known(coding: str) -> bool:
    """Return whether a Decompressor supports a ``Content-Encoding``, given in lower case."""
    return coding in ("gzip", "x-gzip", "deflate")


class Decompressor:
    """Decompresses one response: ``feed`` the data, then ``read`` until nothing is left."""

    __slots__ = ("_archive", "_empty", "_gzip", "_input", "is_complete")

    def __init__(self, coding: str) -> None:
        self._gzip = coding != "deflate"
        self._archive: zlib._Decompress | None = None
        self._input = b""
        self._empty = 0
        self.is_complete = True
        """Whether the data so far ends at the end of a member."""

    def feed(self, data: bytes) -> None:
        """Add the next bytes; all earlier output must have been read."""
        self._input = self._input + data if self._input else data

    def read(self) -> bytes:
        """Return the next piece, at most 64 KiB; ``b""`` if it needs more input.

        Raises:
            InvalidCoding: the data is broken, or something else follows it.
        """
        while self._input:
            if self._archive is None and not self._begin():
                return b""
            if piece := self._inflate():
                self._empty = 0
                return piece
        return self._inflate() if self._archive is not None else b""

    def _begin(self) -> bool:
        """Open a member once its first two bytes are here; they tell deflate's two forms apart."""
        self.is_complete = False
        if len(self._input) < 2:
            return False
        window = _GZIP
        if not self._gzip:
            is_zlib = self._input[0] & 15 == 8 and not int.from_bytes(self._input[:2], "big") % 31
            window = _ZLIB if is_zlib else _RAW
        self._archive = zlib.decompressobj(window)
        return True

    def _inflate(self) -> bytes:
        archive = self._archive
        assert archive is not None  # noqa: S101 - the caller has begun it
        try:
            piece = archive.decompress(self._input, _PIECE)
        except zlib.error:
            raise InvalidCoding from None
        self._input = archive.unconsumed_tail
        if archive.eof:
            self._input = archive.unused_data
            self._archive, self.is_complete = None, True
            self._empty += 1
            if self._empty > _MAX_EMPTY:
                raise InvalidCoding
        return piece
