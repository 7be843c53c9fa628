"""What kind of answer came, by its label, its first bytes and what was asked. Pure.

Labels are wrong now and then: streams labelled as JSON or as a page, JSON labelled as a page.
"""

from typing import Final, Literal

from jarvis_proxy.wire.google_verbs import STREAM
from jarvis_proxy.wire.headers import media_type

First = Literal["events", "json", "markup", "other"]
"""What the first bytes of an answer look like."""

Kind = Literal["events", "whole", "copy", "page"]
"""How an answer is relayed: as a stream of events, read whole first, copied as it arrives; or not
at all, as it is a gateway's page."""

ANSWERS_JSON: Final = frozenset(
    {
        "chat/completions",
        "completions",
        "embeddings",
        "images/edits",
        "images/generations",
        "images/variations",
        "messages",
        "messages/count_tokens",
        "moderations",
        "responses",
        "responses/compact",
        "responses/input_tokens",
    }
)
"""Endpoints that answer with JSON, or with events where a stream was asked for; nothing else."""

_STREAMS: Final = (ANSWERS_JSON - {"embeddings", "messages/count_tokens", "moderations"}) | {
    STREAM,
    "audio/transcriptions",
    "audio/translations",
}
_SSE: Final = "text/event-stream"
_JSON: Final = "application/json"
_PAGE: Final = "text/html"
_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"
_FIELDS: Final = (b"data", b"event", b"id", b"retry")
_LOOKED_AT: Final = 4096


def streams_events(endpoint: str) -> bool:
    """Return whether *endpoint* answers ``"stream": true`` with events; speech has sound."""
    return endpoint in _STREAMS


def first_bytes(data: bytes) -> First | None:
    """Return what the beginning of an answer looks like; None: more of it is needed."""
    text = data.removeprefix(_BOM)
    if len(text) < len(_BOM) and _BOM.startswith(text):
        return None
    if not (text := text.lstrip(_BLANK)):
        return None if len(data) < _LOOKED_AT else "other"
    if text[0] in b"{[":
        return "json"
    if text[0] in b"<":
        return "markup"
    if text[0] in b":":
        return "events"
    for field in _FIELDS:
        if text.startswith(field) and text[len(field) : len(field) + 1] in (b":", b"\r", b"\n"):
            return "events"
        if field.startswith(text) or text == field:
            return None
    return "other"


def is_looked_at(content_type: str, endpoint: str, *, asked: bool) -> bool:
    """Return whether the first bytes matter; else the answer is copied.

    *asked*: the client asked for a stream of events.
    """
    label = media_type(content_type)
    return asked or endpoint in ANSWERS_JSON or label == _JSON or label.startswith("text/")


def kind_of(first: First | None, content_type: str, endpoint: str, *, asked: bool) -> Kind:
    """Return how an answer that begins with *first* is relayed; None: nothing came.

    *asked*: the client asked for a stream of events.
    """
    label = media_type(content_type)
    is_json_only = endpoint in ANSWERS_JSON
    if first == "events" and (asked or is_json_only or label in (_SSE, _JSON, _PAGE)):
        return "events"
    if first is None:
        return "events" if label == _SSE or (asked and label != _JSON) else "whole"
    if first == "json" or label == _JSON:
        return "whole"
    if is_json_only:
        # Without the end of a stream it will be an error: passed on as it is, it would look to
        # SDKs like an empty answer.
        return "events" if asked and first == "other" and label != _PAGE else "page"
    if label == _PAGE:
        # Files, and texts of servers that label all they say as a page.
        is_text = first == "other" and endpoint.startswith("audio/")
        return "copy" if is_text or endpoint.endswith("/content") else "page"
    return "whole" if label.startswith("text/") and label != _SSE else "copy"


def is_json_under_another_label(first: First | None, content_type: str, endpoint: str) -> bool:
    """Return whether a whole answer is JSON and SDKs would not know it by its label."""
    label = media_type(content_type)
    if first != "json" or label == _JSON or label.endswith("+json"):
        return False
    return endpoint in ANSWERS_JSON or label != "text/plain"
