"""The head of an OpenAI request body: `model` and `stream`, and nothing else of it. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11).
"""

import codecs
import json
import re
from typing import Final

import msgspec

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.json_limits import exceeds_depth, exceeds_fields, outline


class RequestHead(msgspec.Struct):
    """What routing needs. Everything else is skipped, not decoded, whatever its size."""

    model: str | None = None
    stream: bool | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _HeadWithOptions(msgspec.Struct):
    stream_options: _StreamOptions | None = None


_DECODER: Final = msgspec.json.Decoder(RequestHead)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS: Final = msgspec.json.Decoder(_HeadWithOptions)
_POSITION: Final = re.compile(r"\(byte (\d+)\)")
_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`")
_LONGEST_NUMBER: Final = 4300  # Python's own limit for digits of an integer
_DIGITS: Final = frozenset(b"0123456789")
_LARGE: Final = 64 * 1024
_STEP: Final = 256 * 1024
_UTF8: Final = codecs.getincrementaldecoder("utf-8")
_LONG: Final = 16 * 1024
_MOST_FIELDS: Final = 20_000
"""Fields of a request. APIs have some dozens."""
_MOST_QUOTES: Final = 1000
_BACKSLASH: Final = 0x5C
_MOST_BACKSLASHES: Final = 64
_SEARCHED: Final = 256 * 1024
"""Larger bodies are not searched for a name given twice: it would cost more than relaying them."""
_LONG_NUMBER: Final = re.compile(rb"[0-9]{%d}" % _LONGEST_NUMBER)
_NUMBERS: Final = b"0123456789.-+eE,:[]{}"


def decode_head(body: bytes, max_depth: int | None = None) -> RequestHead:
    """Return `model` and `stream` of a JSON body that nests *max_depth* levels at most.

    Without a *max_depth* the decoder's own limit of some hundred levels holds. Half of a surrogate
    pair, which JSON allows and upstreams judge for themselves, counts as U+FFFD.

    Raises:
        ProxyError: 400 `invalid_json` with a position (never an excerpt); 400 `invalid_type`.
    """
    try:
        if not body.isascii():
            _check_utf8(body)  # the decoder skips strings without a look at their bytes
        if len(body) >= _LARGE:
            body = _checked_outline(body)
        head = surrogates.decode(_DECODER, body)
    except UnicodeDecodeError as exc:
        raise _not_json(f" at byte {exc.start}: it is not UTF-8") from None
    except msgspec.ValidationError as exc:
        raise _wrong_type(str(exc)) from None
    except surrogates.TooManyLoneSurrogates as exc:
        raise _not_json(f": it holds {exc}") from None
    except msgspec.DecodeError as exc:
        found = _POSITION.search(str(exc))
        raise _not_json(f" at byte {found[1]}" if found else ": it ends too early") from None
    except RecursionError:
        raise _nested() from None
    if max_depth is not None and exceeds_depth(body, max_depth):
        raise _not_json(f": it is nested too deeply, more than {max_depth} levels")
    if len(body) >= _LARGE and exceeds_fields(body, _MOST_FIELDS):
        raise _not_json(f": it has more than {_MOST_FIELDS} fields")
    if len(body) >= _LONGEST_NUMBER and _has_huge_number(body):
        raise _not_json(f": it holds a number of {_LONGEST_NUMBER} digits or more")
    if len(body) <= _SEARCHED and _may_repeat_a_name(body):
        _check_duplicates(body)
    return head


def _check_utf8(body: bytes) -> None:
    """Look at *body* in pieces: as text, one with an emoji takes four times its size.

    Raises:
        UnicodeDecodeError: it is not UTF-8, with the position in *body* as its start.
    """
    decoder = _UTF8()
    for start in range(0, len(body), _STEP):
        begun = len(decoder.getstate()[0])  # bytes of a character that the last piece cut
        try:
            decoder.decode(body[start : start + _STEP], start + _STEP >= len(body))
        except UnicodeDecodeError as exc:
            exc.start += start - begun
            raise


def _checked_outline(body: bytes) -> bytes:
    """Return *body* without its long strings; as it is where it is no JSON, to tell where not."""
    outline = without_long_strings(body)
    if outline is not body:
        try:
            surrogates.decode(_DECODER, outline)
        except msgspec.DecodeError:
            return body
    return outline


def without_long_strings(body: bytes) -> bytes:
    """Return *body*, JSON, with the inside of its long strings left out; itself if there are none.

    A picture of megabytes is one string. Looking for its end costs a tenth of looking at each of
    its bytes, as a decoder does. Strings with escapes stay; so does all of a body with very many
    strings. A control character in what is left out, which no JSON may hold, is not noticed here.
    """
    pieces: list[bytes] = []
    copied = 0
    start = end = body.find(b'"')
    for _ in range(_MOST_QUOTES):
        end = body.find(b'"', end + 1)
        if end < 0:
            break  # no JSON, or no string any more
        if body[end - 1] == _BACKSLASH:
            backslashes = _backslashes(body, end)
            if backslashes == _MOST_BACKSLASHES:
                return body  # nobody writes that: it is not worth counting them
            if backslashes % 2:
                continue
        if end - start >= _LONG and body.find(b"\\", start, end) < 0:
            pieces.append(body[copied : start + 1])
            copied = end
        start = end = body.find(b'"', end + 1)
        if start < 0:
            break
    return b"".join((*pieces, body[copied:])) if pieces else body


def _backslashes(body: bytes, at: int) -> int:
    """Return how many backslashes stand before *at*: `_MOST_BACKSLASHES` for more than that."""
    before = body[max(0, at - _MOST_BACKSLASHES) : at]
    return len(before) - len(before.rstrip(b"\\"))


def _has_huge_number(body: bytes) -> bool:
    # A run of that many digits covers one of these blocks from end to end. The first byte
    # rules most blocks out, so that a picture of megabytes is not copied for this.
    step = _LONGEST_NUMBER // 2
    starts = [at for at in range(0, len(body), step) if body[at] in _DIGITS]
    if not any(body[at : at + step].isdigit() for at in starts):
        return False
    before = b""
    for piece in outline(body, _NUMBERS):
        if _LONG_NUMBER.search(before + piece):
            return True
        before = (before + piece)[-_LONGEST_NUMBER:]
    return False


def _may_repeat_a_name(body: bytes) -> bool:
    # A name's letters may be written as escapes, \u006d for m: rare enough to look closer.
    return (
        body.count(b'"model"') > 1
        or body.count(b'"stream"') > 1
        or (b"\\u00" in body and (b"\\u006" in body or b"\\u007" in body))
    )


def _check_duplicates(body: bytes) -> None:
    """Refuse a duplicate `model` or `stream`: an upstream might use the other one."""
    seen: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        # Called for inner objects first; the last call is the outermost object's.
        seen[:] = [name for name, _ in pairs]

    try:
        json.loads(body, object_pairs_hook=note)
    except RecursionError:
        raise _nested() from None
    for name in ("model", "stream"):
        if seen.count(name) > 1:
            raise ProxyError(
                400,
                f"The request names '{name}' twice.",
                code="invalid_json",
                param=name,
                should_retry=False,
            )


def with_model(body: bytes, model: str) -> bytes:
    """Return *body*, a JSON object, with another model name. Raises as ``with_field`` does."""
    return with_field(body, "model", msgspec.json.encode(model))


def with_field(body: bytes, name: str, value: bytes) -> bytes:
    """Return *body*, a JSON object, with *value*, JSON, as *name*; others keep their very bytes.

    Lone halves of surrogate pairs, which the decoder refuses, are hidden from it.

    Raises:
        ProxyError: 400 `invalid_json`, it is nested too deeply.
    """
    changed = {name: msgspec.Raw(value)}
    try:
        try:
            return msgspec.json.encode(_FIELDS.decode(body) | changed)
        except msgspec.DecodeError:
            hidden = surrogates.MaskedSurrogates(body, other=value)
        fields = _FIELDS.decode(hidden.body) | changed
    except RecursionError:
        raise _nested() from None
    return hidden.restore(msgspec.json.encode(fields))


def wants_usage(body: bytes) -> bool:
    """Return whether the request asks for a usage chunk (`stream_options.include_usage`)."""
    if b'"include_usage"' not in body:
        return False
    try:
        options = surrogates.decode(_OPTIONS, body).stream_options
    except (ValueError, RecursionError):
        return False
    return bool(options and options.include_usage)


def _not_json(where: str) -> ProxyError:
    return ProxyError(
        400,
        f"The request body is not valid JSON{where}.",
        code="invalid_json",
        should_retry=False,
    )


def _nested() -> ProxyError:
    return _not_json(": it is nested too deeply")


def _wrong_type(detail: str) -> ProxyError:
    found = _PATH.search(detail)
    param = found[1] if found and found[1] else None
    if param is None:
        return ProxyError(
            400, "The request body must be a JSON object.", code="invalid_json", should_retry=False
        )
    return ProxyError(
        400,
        f"Invalid type for '{param}': {detail.split(' - at ')[0]}.",
        code="invalid_type",
        param=param,
        should_retry=False,
    )
