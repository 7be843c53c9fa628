"""Reads the body of an upstream's refusal: JSON, a stream, a page, a line, or nothing. Pure.

Source: RFC 9457 (application/problem+json).
"""

import html
import re
from typing import Final

from jarvis_proxy.errors import ProxyError, default_type
from jarvis_proxy.redaction import REDACTED
from jarvis_proxy.upstreams.json_values import Fields, fields_of, loads
from jarvis_proxy.upstreams.openai_errors import read_error_value, redact_bytes, redacted
from jarvis_proxy.wire.headers import charset, media_type
from jarvis_proxy.wire.sse import SSEDecoder

_LOOKED_AT: Final = 64 * 1024
_MAX_EXCERPT: Final = 300
_NO_WORD: Final = re.compile(r"(?=\S{8})[^\s\d]*+\d\S*")
"""Matches eight or more characters without a space that include a digit."""
_UNSEEN: Final = ("script", "style")
_UNKNOWN: Final = "The upstream reported an error."


def read_refusal(status: int, content_type: str, body: bytes) -> tuple[ProxyError, bytes]:
    """Return the error in a refusal with *status* ≥ 400, and its body for the client.

    A JSON object stays unchanged except for keys; anything else becomes OpenAI's error object with
    an excerpt as its message.
    """
    status = status if status < 600 else 502
    kind = media_type(content_type)
    if kind == "text/event-stream" or body[:64].lstrip().startswith((b"data:", b"event:")):
        body = _first_data(body)
    value = _value(body)
    error = read_error_value(value)
    if error.error_type == default_type(error.status):
        error.error_type = default_type(status)
    error.status = status
    if _passes(value, kind):
        return error, redact_bytes(body)
    if error.message == _UNKNOWN:
        text = excerpt(value if isinstance(value, str) else _decoded(body, content_type))
        reason = f": {text}" if text else " and no message."
        message = f"The upstream answered with status {status}{reason}"
        error = ProxyError(status, message, code="upstream_bad_response")
    return error, error.body()


def _passes(value: object, kind: str) -> bool:
    """Return whether clients can read *value* unchanged: any JSON object, if labelled as JSON.

    Under another label, only OpenAI's form is certainly meant for them.
    """
    fields: Fields = fields_of(value)
    if kind == "application/json":
        return bool(fields) or (isinstance(value, list) and bool(value))
    return bool(fields_of(fields.get("error")))


def _value(body: bytes) -> object:
    try:
        return loads(body)
    except ValueError:
        return None


def excerpt(text: str, *, longest: int = _MAX_EXCERPT) -> str:
    """Return the beginning of *text* on one line, without keys and HTML."""
    text = text[:_LOOKED_AT]
    if text.lstrip().startswith("<") or "</" in text or "<!" in text:
        text = html.unescape(_without_tags(text)).replace("<", " ")
    text = "".join(char if char.isprintable() else " " for char in text)
    line = redacted(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def for_log(reason: str) -> str:
    """Return *reason* for the log: without anything that could be a key, an id or content."""
    return _NO_WORD.sub(REDACTED, excerpt(reason))


def _decoded(body: bytes, content_type: str) -> str:
    """Return the text of an error's *body*; undecodable bytes become U+FFFD."""
    try:
        return body[:_LOOKED_AT].decode(charset(content_type) or "utf-8", "replace")
    except (LookupError, ValueError):
        return body[:_LOOKED_AT].decode("utf-8", "replace")


def _first_data(body: bytes) -> bytes:
    """Return the data of the first event in *body*, if an error was sent as a stream."""
    events = SSEDecoder().feed(body[:_LOOKED_AT] + b"\n\n")
    return next((event.data for event in events if event.data != b"[DONE]"), b"")


def _without_tags(text: str) -> str:
    """Return the visible text of markup, in time linear in its length."""
    first, *rest = text.split("<")
    seen, unseen = [first], ""
    for piece in rest:
        tag, closed, after = piece.partition(">")
        name = "" if not tag or tag[0].isspace() else tag.split(None, 1)[0].lower()
        if unseen:
            if name == f"/{unseen}":
                unseen = ""
                seen.append(after)
        elif not name or not (name[0].isalpha() or name[0] in "/!?"):
            # This is a less-than sign, not a tag.
            seen.append(f"< {piece}")
        elif name in _UNSEEN:
            unseen = name
        elif closed:
            seen.append(after)
    return " ".join(seen)
