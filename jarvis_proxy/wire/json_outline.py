"""The outline of JSON: its structure without strings, in pieces, and without decoding it. Pure."""

from collections.abc import Iterator
from typing import Final

_PIECE: Final = 256 * 1024
_BACKSLASH: Final = b"\\"


def outline(body: bytes, kept: bytes) -> Iterator[bytes]:
    r"""Yield, piece by piece, the bytes of *body*, JSON, that are among *kept* and in no string.

    A piece is an outline of 256 KiB: it takes some ms at the most, so that other threads get their
    turn, and little memory. *kept* holds neither ``"`` nor ``\``.
    """
    dropped = bytes(byte for byte in range(256) if byte not in kept + b'"')
    is_inside = False  # of a string
    carried = b""
    for start in range(0, len(body), _PIECE):
        piece = carried + body[start : start + _PIECE]
        whole = piece.rstrip(_BACKSLASH)
        # An odd backslash at the end belongs to what follows.
        carried = _BACKSLASH * ((len(piece) - len(whole)) % 2)
        if _BACKSLASH in whole:
            whole = whole.replace(rb"\\", b"").replace(rb"\"", b"")
        # Quotes alternate between opening and closing, so a pair without anything between can go.
        parts = whole.translate(None, dropped).replace(b'""', b"").split(b'"')
        yield b"".join(parts[is_inside::2])
        is_inside ^= len(parts) % 2 == 0
