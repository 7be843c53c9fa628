"""Shared memory slots: one process writes, the others read. IO (mmap).

Processes forked after a slot was made share it. There are no locks. A slot has two buffers, written
alternately: while one is being written, or after its writer died, readers use the other.
"""

import mmap
import struct
from typing import Final
from zlib import crc32

# Sequence number, length, and a checksum of sequence number and content.
_HEADER: Final = struct.Struct("=III")


class SharedMemorySlot:
    """Holds up to *size* bytes; only written pages take memory."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffer_size = _HEADER.size + size
        self.memory = mmap.mmap(-1, 2 * self._buffer_size)
        """Both buffers, each with its header."""

    def write(self, data: bytes) -> bool:
        """Replace the content by *data*; return False, without a change, if *data* is too long."""
        if len(data) > self._size:
            return False
        sequences = [self._sequence(0), self._sequence(1)]
        start = self._buffer_size * (sequences[1] < sequences[0])
        sequence = max(sequences) + 1
        _HEADER.pack_into(self.memory, start, sequence, len(data), crc32(data, sequence))
        start += _HEADER.size
        self.memory[start : start + len(data)] = data
        return True

    def read(self) -> bytes | None:
        """Return the content, initially ``b""``; None if it changes too fast to be read."""
        for buffer in sorted((0, 1), key=self._sequence, reverse=True):
            start = buffer * self._buffer_size
            sequence, length, checksum = _HEADER.unpack_from(self.memory, start)
            start += _HEADER.size
            data = self.memory[start : start + length]
            if crc32(data, sequence) == checksum:
                return data
        return None

    def _sequence(self, buffer: int) -> int:
        sequence, _, _ = _HEADER.unpack_from(self.memory, buffer * self._buffer_size)
        return int(sequence)
