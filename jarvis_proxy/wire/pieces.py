"""A buffer for bytes that arrive in pieces of any size. Pure.

A bytes object of two bytes takes fifty bytes of memory, so single bytes from a client would use
fifty times the counted size. Small pieces are joined; large ones are kept without a copy.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

_SMALL: Final = 4096
_MAX_GATHERED: Final = 64 * 1024


class ByteBuffer:
    """Bytes in pieces; *size* is their total number."""

    __slots__ = ("_pieces", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray] = deque()
        self.size = 0

    def __iter__(self) -> Iterator[bytes | bytearray]:
        return iter(self._pieces)

    def add(self, data: bytes) -> None:
        """Append *data*."""
        if not data:
            return
        self.size += len(data)
        if len(data) >= _SMALL:
            self._pieces.append(data)
            return
        last = self._pieces[-1] if self._pieces else b""
        if isinstance(last, bytearray) and len(last) < _MAX_GATHERED:
            last += data
        else:
            self._pieces.append(bytearray(data))

    def last(self) -> bytes:
        """Return the last byte; ``b""`` if there is none."""
        return bytes(self._pieces[-1][-1:]) if self._pieces else b""

    def join(self) -> bytes:
        """Return all bytes; a copy, unless they came in one large piece."""
        if len(self._pieces) == 1:
            # bytes() does not copy a bytes object.
            return bytes(self._pieces[0])
        return b"".join(self._pieces)

    def pop(self) -> bytes:
        """Remove and return the first piece; ``b""`` if there is none."""
        if not self._pieces:
            return b""
        piece = bytes(self._pieces.popleft())
        self.size -= len(piece)
        return piece

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Replace the bytes from *start* to before *end* by *data*; copy no other piece."""
        found: deque[bytes | bytearray] = deque()
        at = 0
        for piece in self._pieces:
            following = at + len(piece)
            if following <= start or at >= end:
                found.append(piece)
            else:
                found.append(piece[: max(0, start - at)])
                if at <= start:
                    found.append(data)
                found.append(piece[max(0, end - at) :])
            at = following
        self._pieces = deque(piece for piece in found if piece)
        self.size += len(data) - (end - start)

    def after(self, start: int) -> Iterator[bytes]:
        """Yield the bytes from *start* on."""
        at = 0
        for piece in self._pieces:
            if at + len(piece) > start:
                yield bytes(piece[max(0, start - at) :])
            at += len(piece)
