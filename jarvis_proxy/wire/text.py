r"""JSON with halves of surrogate pairs: a lone ``\ud83d`` where an emoji was cut. Pure.

JavaScript cuts strings between two halves and writes each half as an escape. That is JSON (RFC
8259, section 8.2), but no text, so decoders that give UTF-8 refuse it.
"""

import re
from typing import Final, TypeVar

import msgspec

_MAX_PRINTED: Final = 64

_T = TypeVar("_T")
MAX_LONE_SURROGATES: Final = 50_000
"""Nobody means more lone halves, and each costs time that other calls wait for."""

_HIGH: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}"
_LOW: Final = rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# Each pattern begins with fixed bytes and looks around behind them: so the search is fast.
_LONE_HIGH: Final = re.compile(rb"\\u([dD][89abAB][0-9a-fA-F]{2})(?!%b)" % _LOW)
_LONE_LOW: Final = re.compile(rb"\\u([dD][c-fC-F][0-9a-fA-F]{2})(?<!%b%b)" % (_HIGH, _LOW))
_REPLACED: Final = rb"\\ufffd"
_BACKSLASH: Final = rb"\\"
_NO_BACKSLASH: Final = b"\0\0"
_MARK: Final = re.compile(rb"~half(\d{1,9})~")


class TooManyLoneSurrogates(msgspec.DecodeError):
    """The text has more than ``MAX_LONE_SURROGATES`` lone halves of surrogate pairs."""


def replace_lone_surrogates(body: bytes) -> bytes:
    r"""Return JSON text with every lone half replaced by U+FFFD; *body* itself if it has none.

    The result is as long as *body*: ``\ud83d`` becomes ``\ufffd``.

    Raises:
        TooManyLoneSurrogates: there are more than ``MAX_LONE_SURROGATES``.
    """
    return _substitute(body, _REPLACED)


def decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Return what *decoder* makes of *body*; a lone half counts as U+FFFD.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: as the decoder; a position is
            one in *body*.
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
    """JSON whose lone halves are hidden in ordinary text, so that a decoder takes it.

    *body* is that JSON. Its raw values may be moved about, among *other* bytes; ``shown``
    puts the halves back.

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
        """Return *body*, made from what was hidden, with the halves as they came."""
        return re.sub(self._mark + rb"([0-9a-fA-F]{4})", rb"\\u\1", body)


def _substitute(body: bytes, replacement: bytes) -> bytes:
    if (b"\\ud" not in body and b"\\uD" not in body) or b"\0" in body:
        return body  # no JSON has a raw NUL: here it stands for an escaped backslash
    masked = body.replace(_BACKSLASH, _NO_BACKSLASH)  # what is left of backslashes escapes
    whole, highs = _LONE_HIGH.subn(replacement, masked, MAX_LONE_SURROGATES + 1)
    whole, lows = _LONE_LOW.subn(replacement, whole, MAX_LONE_SURROGATES + 1)
    if highs + lows > MAX_LONE_SURROGATES:
        raise TooManyLoneSurrogates(f"more than {MAX_LONE_SURROGATES} halves of surrogate pairs")
    return whole.replace(_NO_BACKSLASH, _BACKSLASH) if highs or lows else body


def printable(text: str) -> str:
    """Return *text* cut to 64 characters, everything but printable ASCII replaced by ``?``.

    A name in a log line can then neither break the line nor write to a terminal.
    """
    cut = text[:_MAX_PRINTED]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in cut)
