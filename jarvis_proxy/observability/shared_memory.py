"""Sheets of memory that processes share: each is written by one and read by the others. IO (mmap).

Whoever is forked after a sheet was made has it too. Nobody waits for anybody. A sheet has two
sides, written in turn: while one is being written, or was when its writer died, the other is read.
"""

import mmap
import struct
from typing import Final
from zlib import crc32

_HEADER: Final = struct.Struct("=III")  # turn, length, checksum of both


class SharedMemorySlot:
    """*size* bytes at most, of which only those that are written to take memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffer_size = _HEADER.size + size
        self._memory = mmap.mmap(-1, 2 * self._buffer_size)

    def write(self, data: bytes) -> bool:
        """Put *data* in place of what is there; return False, with no change, if it is too long."""
        if len(data) > self._size:
            return False
        sequences = [self._sequence(0), self._sequence(1)]
        start = self._buffer_size * (sequences[1] < sequences[0])
        sequence = max(sequences) + 1
        _HEADER.pack_into(self._memory, start, sequence, len(data), crc32(data, sequence))
        start += _HEADER.size
        self._memory[start : start + len(data)] = data
        return True

    def read(self) -> bytes | None:
        """Return what is there, ``b""`` at first; None if it changes too fast to be read."""
        for buffer in sorted((0, 1), key=self._sequence, reverse=True):
            start = buffer * self._buffer_size
            sequence, length, checksum = _HEADER.unpack_from(self._memory, start)
            start += _HEADER.size
            data = self._memory[start : start + length]
            if crc32(data, sequence) == checksum:
                return data
        return None

    def _sequence(self, buffer: int) -> int:
        sequence, _, _ = _HEADER.unpack_from(self._memory, buffer * self._buffer_size)
        return int(sequence)
