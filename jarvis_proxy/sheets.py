"""Sheets of memory that processes share: each is written by one and read by the others. IO (mmap).

Whoever is forked after a sheet was made has it too. Nobody waits for anybody: a reader who finds a
sheet half written sees so, by its checksum, and looks again later.
"""

import mmap
import struct
from typing import Final
from zlib import crc32

_HEADER: Final = struct.Struct("=II")  # length, checksum


class Sheet:
    """*size* bytes at most, of which only those that are written to take memory."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, _HEADER.size + size)
        self._size = size

    def write(self, data: bytes) -> bool:
        """Put *data* in place of what is there; return False, with no change, if it is too long."""
        if len(data) > self._size:
            return False
        _HEADER.pack_into(self._memory, 0, len(data), crc32(data))
        self._memory[_HEADER.size : _HEADER.size + len(data)] = data
        return True

    def read(self) -> bytes | None:
        """Return what is there, ``b""`` at first; None while it is being written."""
        length, checksum = _HEADER.unpack_from(self._memory)
        data = self._memory[_HEADER.size : _HEADER.size + length]
        return data if crc32(data) == checksum else None
