"""The head of an OpenAI request body: `model` and `stream`, and nothing else of it. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11).
"""

import json
import re
from typing import Final

import msgspec

from jarvis_proxy.errors import ProxyError

MAX_DEPTH: Final = 64


class RequestHead(msgspec.Struct):
    """What routing needs. Everything else is skipped, not decoded, whatever its size."""

    model: str | None = None
    stream: bool | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _HeadWithOptions(msgspec.Struct):
    stream_options: _StreamOptions | None = None


_DECODER: Final = msgspec.json.Decoder(RequestHead)
_POSITION: Final = re.compile(r"\(byte (\d+)\)")
_PATH: Final = re.compile(r" - at `\$\.?([^`]*)`")
_LONGEST_NUMBER: Final = 4300  # Python's own limit for digits of an integer
_LONG_NUMBER: Final = re.compile(rb"[0-9]{%d}" % _LONGEST_NUMBER)


def decode_head(body: bytes) -> RequestHead:
    """Return `model` and `stream` of a JSON body.

    Raises:
        ProxyError: 400 `invalid_json` with a position (never an excerpt); 400 `invalid_type`.
    """
    try:
        head = _DECODER.decode(body)
    except msgspec.ValidationError as exc:
        raise _wrong_type(str(exc)) from None
    except msgspec.DecodeError as exc:
        raise _not_json(str(exc)) from None
    except RecursionError:
        raise _not_json("nested too deeply") from None
    _check_text(body)
    return head


def _check_text(body: bytes) -> None:
    """Refuse what a skipping decoder lets pass: bytes that are no UTF-8, endless numbers, and
    a `model` or `stream` given twice, of which an upstream might see the other one."""
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise _not_json(f"invalid UTF-8 (byte {exc.start})") from None
    if len(body) >= _LONGEST_NUMBER and _has_endless_number(body):
        raise _not_json(f"a number of more than {_LONGEST_NUMBER} digits")
    if body.count(b'"model"') > 1 or body.count(b'"stream"') > 1:
        _check_duplicates(body)


def _has_endless_number(body: bytes) -> bool:
    # A run of that many digits covers one of every so many bytes: look there, and only there.
    step = _LONGEST_NUMBER // 2
    for at in range(0, len(body), step):
        if body[at : at + 1].isdigit() and body[at : at + step].isdigit():
            window = body[max(0, at - _LONGEST_NUMBER) : at + _LONGEST_NUMBER + step]
            if _LONG_NUMBER.search(window) and not _inside_string(body, at):
                return True
    return False


def _inside_string(body: bytes, at: int) -> bool:
    # Valid JSON: a quote that no backslash escapes opens or closes a string.
    before = body[:at].replace(b"\\\\", b"").replace(b'\\"', b"")
    return before.count(b'"') % 2 == 1


def _check_duplicates(body: bytes) -> None:
    seen: list[str] = []

    def top_level(pairs: list[tuple[str, object]]) -> dict[str, object]:
        # Called for inner objects first; the last call is the outermost object's.
        seen[:] = [name for name, _ in pairs]
        return {}

    try:
        json.loads(body, object_pairs_hook=top_level)
    except (ValueError, RecursionError):
        raise _not_json("not valid") from None
    for name in ("model", "stream"):
        if seen.count(name) > 1:
            raise ProxyError(
                400, f"The request names '{name}' twice.", code="invalid_json", param=name
            )


def with_model(body: bytes, model: str) -> bytes:
    """Return *body* with another model name; every other value keeps its very bytes."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


def wants_usage(body: bytes) -> bool:
    """Tell whether the request asks for a usage chunk (`stream_options.include_usage`)."""
    if b'"include_usage"' not in body:
        return False
    try:
        options = msgspec.json.decode(body, type=_HeadWithOptions).stream_options
    except msgspec.MsgspecError:
        return False
    return bool(options and options.include_usage)


def _not_json(detail: str) -> ProxyError:
    found = _POSITION.search(detail)
    where = f" at byte {found[1]}" if found else ""
    if not found and "deep" in detail:
        where = ": it is nested too deeply"
    elif not found and "digits" in detail:
        where = f": it holds {detail}"
    elif "truncated" in detail:
        where = ": it ends too early"
    return ProxyError(
        400,
        f"The request body is not valid JSON{where}.",
        code="invalid_json",
        should_retry=False,
    )


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
