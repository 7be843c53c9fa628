"""Classifies an answer by its label, its first bytes and the request. Pure.

Labels are sometimes wrong: streams labelled as JSON or as a page, JSON labelled as a page.
"""

from typing import Final, Literal

from jarvis_proxy.wire.google_verbs import STREAM
from jarvis_proxy.wire.headers import media_type

First = Literal["events", "json", "markup", "other"]
"""What an answer's first bytes look like."""

Kind = Literal["events", "whole", "copy", "page"]
"""How to relay an answer.

As a stream of events, read whole first, or copied as it arrives. A gateway's page is not relayed.
"""

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
"""Endpoints that only answer with JSON, or with events if a stream was requested."""

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
    """Return whether *endpoint* answers ``"stream": true`` with events; speech sends audio."""
    return endpoint in _STREAMS


def first_bytes(data: bytes) -> First | None:
    """Return what an answer's beginning looks like, None if more bytes are needed."""
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
    """Return whether to inspect the first bytes; otherwise the answer is copied.

    *asked*: the client requested a stream of events.
    """
    label = media_type(content_type)
    return asked or endpoint in ANSWERS_JSON or label == _JSON or label.startswith("text/")


def kind_of(first: First | None, content_type: str, endpoint: str, *, asked: bool) -> Kind:
    """Return how to relay an answer that begins with *first*; None means an empty answer.

    *asked*: the client requested a stream of events.
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
        # Treat this as a stream, which will fail for lack of an end: passed on unchanged, it would
        # look like an empty answer to SDKs.
        return "events" if asked and first == "other" and label != _PAGE else "page"
    if label == _PAGE:
        # Files, and texts from servers that label everything as a page.
        is_text = first == "other" and endpoint.startswith("audio/")
        return "copy" if is_text or endpoint.endswith("/content") else "page"
    return "whole" if label.startswith("text/") and label != _SSE else "copy"


def is_json_under_another_label(first: First | None, content_type: str, endpoint: str) -> bool:
    """Return whether a whole answer is JSON that SDKs would not recognise by its label."""
    label = media_type(content_type)
    if first != "json" or label == _JSON or label.endswith("+json"):
        return False
    return endpoint in ANSWERS_JSON or label != "text/plain"
