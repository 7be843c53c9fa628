r"""JSON with lone surrogates: half of a pair such as ``\ud83d``, where an emoji was cut. Pure.

JavaScript may cut a string inside a surrogate pair and write the halves as escapes. That is valid
JSON (RFC 8259, section 8.2) but not valid Unicode, so decoders that return UTF-8 reject it.
"""

import re
from typing import Final, TypeVar

import msgspec

_MAX_PRINTED: Final = 64

_T = TypeVar("_T")
MAX_LONE_SURROGATES: Final = 50_000
"""Most lone surrogates in a text. Nobody needs more, and each one costs time."""

_HIGH: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# Each pattern starts with fixed bytes, and its lookarounds come after them: that is fast.
_LONE_HIGH: Final = re.compile(rb"\\u([dD][89abAB][0-9a-fA-F]{2})(?!%b)" % _LOW)
_LONE_LOW: Final = re.compile(rb"\\u([dD][c-fC-F][0-9a-fA-F]{2})(?<!%b%b)" % (_HIGH, _LOW))
_REPLACED: Final = rb"\\ufffd"
_BACKSLASH: Final = rb"\\"
_NO_BACKSLASH: Final = b"\0\0"
_MARK: Final = re.compile(rb"~half(\d{1,9})~")


class TooManyLoneSurrogates(msgspec.DecodeError):
    """The text has more than ``MAX_LONE_SURROGATES`` lone surrogates."""


def replace_lone_surrogates(body: bytes) -> bytes:
    r"""Return JSON with every lone surrogate replaced by U+FFFD; *body* itself if it has none.

    The result is as long as *body*: ``\ud83d`` becomes ``\ufffd``.

    Raises:
        TooManyLoneSurrogates: there are more than ``MAX_LONE_SURROGATES``.
    """
    return _substitute(body, _REPLACED)


def decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Return *body* decoded by *decoder*; a lone surrogate counts as U+FFFD.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: as the decoder raises them;
            positions refer to *body*.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = replace_lone_surrogates(body)
        if whole is body:
            raise
    return decoder.decode(whole)


class MaskedSurrogates:
    """JSON whose lone surrogates are masked as ordinary text, so that a decoder accepts it.

    *body* is the masked JSON. Its raw values may be moved around, among *other* bytes; ``restore``
    puts the surrogates back.

    Raises:
        TooManyLoneSurrogates: there are more than ``MAX_LONE_SURROGATES``.
    """

    __slots__ = ("_mark", "body")

    def __init__(self, body: bytes, *, other: bytes = b"") -> None:
        taken = {int(number) for number in _MARK.findall(body) + _MARK.findall(other)}
        free = next(number for number in range(len(taken) + 1) if number not in taken)
        self._mark = b"~half%d~" % free
        self.body = _substitute(body, self._mark + rb"\1")

    def restore(self, body: bytes) -> bytes:
        """Return the masked *body* with its original surrogates."""
        return re.sub(self._mark + rb"([0-9a-fA-F]{4})", rb"\\u\1", body)


def _substitute(body: bytes, replacement: bytes) -> bytes:
    if (b"\\ud" not in body and b"\\uD" not in body) or b"\0" in body:
        # Valid JSON has no raw NUL: below, NUL stands for an escaped backslash.
        return body
    # The remaining backslashes begin escapes.
    masked = body.replace(_BACKSLASH, _NO_BACKSLASH)
    whole, highs = _LONE_HIGH.subn(replacement, masked, MAX_LONE_SURROGATES + 1)
    whole, lows = _LONE_LOW.subn(replacement, whole, MAX_LONE_SURROGATES + 1)
    if highs + lows > MAX_LONE_SURROGATES:
        raise TooManyLoneSurrogates(f"more than {MAX_LONE_SURROGATES} halves of surrogate pairs")
    return whole.replace(_NO_BACKSLASH, _BACKSLASH) if highs or lows else body


def printable(text: str) -> str:
    """Return *text* cut to 64 characters, with ``?`` for all but printable ASCII.

    Such a name in a log line cannot break the line or control a terminal.
    """
    cut = text[:_MAX_PRINTED]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in cut)
