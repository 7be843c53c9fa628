"""Redacts keys, whole or partial, in any encoding, in texts from outside. Pure.

An upstream may repeat the key that it received: JSON-escaped, percent-encoded, in base64, cut off
or partly masked. So texts are compared in decoded form, and every run of eight characters of a key
is redacted. The time depends on the text's length, not on the number of keys.
"""

import base64
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

REDACTED: Final = "[redacted]"
_RUN: Final = 8
"""Shorter pieces of a key reveal nothing, and occur in ordinary words."""
_BLOCK: Final = 4
"""Every run contains at least one whole block at a multiple of the block's length."""
_PLACEHOLDER_WORD: Final = re.compile(r"[a-z_-]{0,11}")
"""A word in place of a key, such as ``ollama`` for an upstream that requires none."""
_WORD: Final = re.compile(rb"(?<![^-_./+:])[a-z]{8,12}(?![^-_./+:])")
"""A lone word of ``sk-upstream-f3Zq...`` reveals nothing, and occurs in messages."""
_OWN_WORD: Final = b"upstream_"
"""Prefix of the proxy's own error codes; programs read them, so no key may alter them."""
_MAX_PRESENTED: Final = 256
"""Most characters of a presented key that are searched for; the proxy's keys are shorter."""
_MARKS: Final = ("\\", "%", "&", "sk-", "aiza", "bearer")
"""Signs of encoded text, and of keys with a well-known form."""
_LEVELS: Final = 3
"""Levels of nested encodings that are decoded; one encoding repeated is a single level."""
_MAX_KEY_LENGTH: Final = 4096
"""Most characters of a configured key that are searched for."""
_MAX_MATCHES: Final = 20_000
"""Most escapes, and most traces of keys, in a text; each costs a microsecond.

A text with more is no message, and is redacted as a whole.
"""
_ESCAPE: Final = re.compile(
    # In JSON and programs, however many backslashes there are; a needless one before punctuation.
    rb"(?<!\\)\\++(?:u00([2-7][0-9a-f])|u\{0{0,4}([2-7][0-9a-f])\}|U000000([2-7][0-9a-f])|x([2-7][0-9a-f])"
    rb"|(?=[!#-&(-/:-@[\]^_`{-~]))"
    rb"|%(?:25)*+(?:u00)?([2-7][0-9a-f])"  # in URLs
    rb"|&(?:amp;)*+(?:#x0{0,4}([2-7][0-9a-f])|#0{0,4}(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6])"
    rb"|(amp|sol|lowbar|hyphen|period|plus|equals|colon|tilde));",  # in HTML
    re.IGNORECASE,
)
_NAMED: Final = {
    b"amp": b"&",
    b"sol": b"/",
    b"lowbar": b"_",
    b"hyphen": b"-",
    b"period": b".",
    b"plus": b"+",
    b"equals": b"=",
    b"colon": b":",
    b"tilde": b"~",
}
_CUT: Final = re.compile(rb"(?:\\(?:u[0-9a-f]{0,3}|x[0-9a-f]?)?|%[0-9a-f]?)\Z", re.IGNORECASE)
"""A partial escape at the end of the searched text."""
_MAX_CUT: Final = 5
_DECIMAL: Final = 7
_NAME: Final = 8
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class Secrets:
    """Keys that no text may show, including those of *more*; placeholder words are excluded."""

    __slots__ = ("_blocks", "_runs")
    _blocks: set[int]
    _runs: set[bytes]

    def __init__(self, keys: Iterable[str], *, more: "Secrets | None" = None) -> None:
        runs: set[bytes] = set()
        for key in set(keys):
            if len(key) >= _RUN and not _PLACEHOLDER_WORD.fullmatch(key):
                runs |= _all_runs(key[:_MAX_KEY_LENGTH].encode("utf-8", "surrogateescape"))
        offsets = range(_RUN - _BLOCK + 1)
        blocks = set(_blocks(b"".join(run[i : i + _BLOCK] for run in runs for i in offsets)))
        if more is not None:
            runs |= more._runs  # noqa: SLF001 - the same class
            blocks |= more._blocks  # noqa: SLF001
        self._runs = runs
        self._blocks = blocks

    def redact(self, text: str) -> str:
        """Return *text* with every piece of a key redacted."""
        data = text.encode("utf-8", "surrogatepass")
        hidden = self.redact_bytes(data)
        return text if hidden is data else hidden.decode("utf-8", "replace")

    def redact_bytes(self, data: bytes) -> bytes:
        """Return *data*, text in UTF-8 or similar, with every piece of a key redacted.

        Returns *data* itself if there is none.
        """
        plain, level = data, 0
        spans: list[tuple[int, int]] = []
        while True:
            if self.may_contain(plain):
                found = list(self._spans(plain))
                if len(found) > _MAX_MATCHES:
                    return REDACTED.encode()
                spans += _in_original(data, found, level)
            plain, finds = _ESCAPE.subn(_unescape, plain, count=_MAX_MATCHES)
            if finds >= _MAX_MATCHES:
                return REDACTED.encode()
            if not finds or level == _LEVELS:
                return _replace_spans(data, sorted(spans)) if spans else data
            level += 1

    def redact_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return *headers* with keys redacted, without headers whose name contains one."""
        return {
            name: self.redact(value)
            for name, value in headers.items()
            if self.redact_bytes(plain := name.encode("utf-8", "surrogateescape")) is plain
        }

    def may_contain(self, plain: bytes) -> bool:
        """Return whether *plain* may contain a key: a fast check with few false positives.

        This does not decode *plain*.
        """
        return len(plain) >= _RUN and not self._blocks.isdisjoint(_blocks(plain.lower()))

    def _spans(self, plain: bytes) -> Iterator[tuple[int, int]]:
        """Yield the start and end of pieces of keys, in order and without overlaps.

        With too many traces of keys, this yields more than ``_MAX_MATCHES`` spans.
        """
        lower, runs, blocks = plain.lower(), self._runs, self._blocks
        traces = [n * _BLOCK for n, block in enumerate(_blocks(lower)) if block in blocks]
        if len(traces) > _MAX_MATCHES:
            yield from ((0, 0) for _ in traces)
            return
        start = end = seen = 0
        for at in traces:
            for i in range(max(seen, at - _RUN + _BLOCK), at + 1):
                if lower[i : i + _RUN] in runs:
                    if i > end or not end:
                        if end:
                            yield start, end
                        start = i
                    end = i + _RUN
            seen = at + 1
        if end:
            yield start, end


class CallSecrets:
    """The keys that one call must not reveal: those that the client *presented*, and *ours*.

    Every call checks its texts, and nearly none holds a key. So a few fast searches come first, and
    only a trace of a key makes the full ``Secrets``.
    """

    __slots__ = ("_blocks", "_ours", "presented")

    def __init__(self, presented: tuple[bytes, ...], ours: Secrets) -> None:
        self.presented = presented
        self._ours = ours
        self._blocks: list[str] | None = None

    def may_contain_key(self, text: str) -> bool:
        """Return whether *text* may contain a key and needs the full search."""
        data = text.encode("utf-8", "surrogateescape").lower()
        plain = data.decode("latin-1")  # byte by byte: "in" takes three times as long with bytes
        for trace in self._blocks or self._traces():
            if trace in plain:
                return True
        return self._ours.may_contain(data)

    def all(self) -> Secrets:
        """Return the ``Secrets`` for all of these keys."""
        keys = (key[:_MAX_PRESENTED].decode("utf-8", "surrogateescape") for key in self.presented)
        return Secrets(keys, more=self._ours)

    def _traces(self) -> list[str]:
        """Return signs of a presented key in a text: its blocks, and marks of encodings."""
        blocks = list(_MARKS)
        for presented in self.presented:
            key = presented[:_MAX_PRESENTED].lower().decode("latin-1")
            blocks += [key[i : i + _BLOCK] for i in range(0, len(key) - _BLOCK + 1, _BLOCK)]
        self._blocks = blocks
        return blocks


def _blocks(text: bytes) -> "array[int]":
    """Return the whole blocks of *text* as numbers."""
    found = array("I")
    found.frombytes(text[: len(text) // _BLOCK * _BLOCK])
    return found


def _all_runs(key: bytes) -> set[bytes]:
    words = {run for word in _WORD.findall(key) for run in _runs(word)}
    plain = _runs(key.lower()) - words - _runs(_OWN_WORD)
    return plain.union(*map(_runs, _encoded(key)))


def _runs(form: bytes) -> set[bytes]:
    return {form[i : i + _RUN] for i in range(len(form) - _RUN + 1)}


def _encoded(key: bytes) -> Iterator[bytes]:
    """Yield base64 and hex forms of *key*, in lower case."""
    yield key.hex().encode()
    # Bytes before the key shift its bits in base64.
    for before in range(3):
        coded = base64.b64encode(bytes(before) + key)
        own = coded[-(-8 * before // 6) : 8 * (before + len(key)) // 6]
        yield own.lower()
        yield own.translate(_URL_SAFE).lower()


def _unescape(escape: re.Match[bytes]) -> bytes:
    """Return the character that an escape stands for."""
    kind = escape.lastindex
    if kind is None:
        # The match is a run of backslashes.
        return b""
    if kind == _NAME:
        return _NAMED[escape[kind].lower()]
    return bytes([int(escape[kind], 10 if kind == _DECIMAL else 16)])


def _replace_spans(data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """Return *data* with each of *spans* redacted; they are in order but may overlap."""
    pieces, at = [], -1
    for start, end in spans:
        if start > at:
            pieces += [data[max(at, 0) : start], REDACTED.encode()]
        at = max(at, end)
    return b"".join((*pieces, data[max(at, 0) :]))


def _in_original(
    data: bytes, spans: Iterable[tuple[int, int]], level: int
) -> Iterator[tuple[int, int]]:
    """Map *spans*, found after decoding *data* *level* times, to positions in *data*."""
    origins = _origins(data, level) if level and spans else None
    for start, end in spans:
        if origins is not None:
            start, end = origins[start], origins[end]
        # The first letter may end an escape; remove the whole escape.
        cut = _CUT.search(data, max(0, start - _MAX_CUT), start)
        yield start if cut is None else cut.start(), end


def _origins(data: bytes, level: int) -> "array[int]":
    """Return, for each byte of *data* decoded *level* times, its original index; then the end."""
    origins = array("L", range(len(data) + 1))
    for _ in range(level):
        found, pieces, at = array("L"), [], 0
        for escape in _ESCAPE.finditer(data):
            meaning = _unescape(escape)
            found += origins[at : escape.start()]
            found.extend([origins[escape.start()]] * len(meaning))
            pieces += [data[at : escape.start()], meaning]
            at = escape.end()
        origins = found + origins[at:]
        data = b"".join((*pieces, data[at:]))
    return origins
