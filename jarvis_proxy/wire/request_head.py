"""Reads `model` and `stream` from an OpenAI request body without decoding the rest. Pure.

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
from jarvis_proxy.wire.model_values import model_values


class RequestHead(msgspec.Struct):
    """The fields that routing needs. Others are skipped undecoded, whatever their size."""

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
_MAX_NUMBER: Final = 4300
"""Python's own limit for the digits of an integer."""
_DIGITS: Final = frozenset(b"0123456789")
_LARGE: Final = 64 * 1024
_STEP: Final = 256 * 1024
_UTF8: Final = codecs.getincrementaldecoder("utf-8")
_LONG: Final = 16 * 1024
_MAX_FIELDS: Final = 20_000
"""Most fields of a request. APIs have a few dozen."""
_MAX_QUOTES: Final = 1000
_BACKSLASH: Final = 0x5C
_MAX_BACKSLASHES: Final = 64
_SEARCHED: Final = 256 * 1024
"""Larger bodies are not checked for duplicate names: it would cost more than relaying them."""
_LONG_NUMBER: Final = re.compile(rb"[0-9]{%d}" % _MAX_NUMBER)
_NUMBERS: Final = b"0123456789.-+eE,:[]{}"


def decode_head(body: bytes, max_depth: int | None = None) -> RequestHead:
    """Return `model` and `stream` of a JSON body that nests at most *max_depth* levels.

    Without *max_depth*, the decoder's own limit of a few hundred levels applies. A lone surrogate,
    which JSON allows and upstreams judge themselves, counts as U+FFFD.

    Raises:
        ProxyError: 400 `invalid_json` with a position (never an excerpt); 400 `invalid_type`.
    """
    try:
        if not body.isascii():
            # The decoder skips strings without checking their bytes.
            _check_utf8(body)
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
    if len(body) >= _LARGE and exceeds_fields(body, _MAX_FIELDS):
        raise _not_json(f": it has more than {_MAX_FIELDS} fields")
    if len(body) >= _MAX_NUMBER and _has_huge_number(body):
        raise _not_json(f": it holds a number of {_MAX_NUMBER} digits or more")
    if len(body) <= _SEARCHED and _may_repeat_a_name(body):
        _check_duplicates(body)
    return head


def _check_utf8(body: bytes) -> None:
    """Check in pieces that *body* is UTF-8: as one str, an emoji would quadruple its size.

    Raises:
        UnicodeDecodeError: it is not UTF-8; ``start`` is the position in *body*.
    """
    decoder = _UTF8()
    for start in range(0, len(body), _STEP):
        # Bytes of a character that the previous piece cut.
        begun = len(decoder.getstate()[0])
        try:
            decoder.decode(body[start : start + _STEP], start + _STEP >= len(body))
        except UnicodeDecodeError as exc:
            exc.start += start - begun
            raise


def _checked_outline(body: bytes) -> bytes:
    """Return *body* without long strings, or unchanged if invalid, to locate the error."""
    outline = without_long_strings(body)
    if outline is not body:
        try:
            surrogates.decode(_DECODER, outline)
        except msgspec.DecodeError:
            return body
    return outline


def without_long_strings(body: bytes) -> bytes:
    """Return *body*, JSON, without the content of its long strings; itself if there are none.

    A picture of megabytes is one string. Finding its end costs a tenth of checking each byte, as a
    decoder does. Strings with escapes stay, and so does everything in a body with very many
    strings. This does not notice control characters, which are invalid JSON, in removed content.
    """
    pieces: list[bytes] = []
    copied = 0
    start = end = body.find(b'"')
    for _ in range(_MAX_QUOTES):
        end = body.find(b'"', end + 1)
        if end < 0:
            # There are no more strings, or the JSON is invalid.
            break
        if body[end - 1] == _BACKSLASH:
            backslashes = _backslashes(body, end)
            if backslashes == _MAX_BACKSLASHES:
                # Nobody writes so many backslashes, so counting them is not worth it.
                return body
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
    """Return how many backslashes precede *at*, `_MAX_BACKSLASHES` at most."""
    before = body[max(0, at - _MAX_BACKSLASHES) : at]
    return len(before) - len(before.rstrip(b"\\"))


def _has_huge_number(body: bytes) -> bool:
    # A run of that many digits fills at least one of these blocks. The first byte excludes most
    # blocks, so that a picture of megabytes is not copied for this.
    step = _MAX_NUMBER // 2
    starts = [at for at in range(0, len(body), step) if body[at] in _DIGITS]
    if not any(body[at : at + step].isdigit() for at in starts):
        return False
    before = b""
    for piece in outline(body, _NUMBERS):
        if _LONG_NUMBER.search(before + piece):
            return True
        before = (before + piece)[-_MAX_NUMBER:]
    return False


def _may_repeat_a_name(body: bytes) -> bool:
    # A name may contain escapes (\u006d for m). These are rare, so only they need a closer look.
    return (
        body.count(b'"model"') > 1
        or body.count(b'"stream"') > 1
        or (b"\\u00" in body and (b"\\u006" in body or b"\\u007" in body))
    )


def _check_duplicates(body: bytes) -> None:
    """Reject a duplicate `model` or `stream`: an upstream might use the other value."""
    seen: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        # This is called for inner objects first, so the outermost object comes last.
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
    """Return *body*, a JSON object, with its model replaced; all other bytes stay.

    A body without a model, or with escapes in the field's name, is encoded again. Raises as
    ``with_field`` does.
    """
    value = msgspec.json.encode(model)
    pieces: list[bytes] = []
    copied = 0
    for start, end in model_values(body):
        pieces += [body[copied:start], value]
        copied = end
    return b"".join((*pieces, body[copied:])) if pieces else with_field(body, "model", value)


def with_field(body: bytes, name: str, value: bytes) -> bytes:
    """Return *body*, a JSON object, with the JSON *value* as field *name*.

    A new field comes last, and every byte before it stays. With a value in place of an old one, all
    other values keep their bytes. Lone surrogates are masked, as the decoder rejects them.

    Raises:
        ProxyError: 400 `invalid_json`, the body is nested too deeply.
    """
    hidden = None
    try:
        try:
            fields = _FIELDS.decode(body)
        except msgspec.DecodeError:
            hidden = surrogates.MaskedSurrogates(body, other=value)
            fields = _FIELDS.decode(hidden.body)
    except RecursionError:
        raise _nested() from None
    if name not in fields:
        end = body.rindex(b"}")
        separator = b"," if fields else b""
        new = msgspec.json.encode(name) + b":" + value
        return b"".join((body[:end], separator, new, body[end:]))
    changed = msgspec.json.encode(fields | {name: msgspec.Raw(value)})
    return changed if hidden is None else hidden.restore(changed)


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
