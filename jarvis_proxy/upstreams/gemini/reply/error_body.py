"""Parses Google's error bodies, and redacts what must not be repeated. Pure.

Google's ``details`` may contain keys and project numbers: they are read here and never passed on.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting (read 2026-11).
"""

import re
from typing import Final

import msgspec

DECODE_ERRORS: Final = (ValueError, RecursionError)
"""Errors of msgspec for data from outside: bad JSON, bad UTF-8, wrong shape, deep nesting."""

_MAX_MESSAGE: Final = 2000
_MAX_READ: Final = 8192
"""Most characters of a message or page that are searched, because patterns cost time."""
_MAX_WORDS: Final = 300
"""Most characters of an excerpt from a body that is not Google's JSON, such as a gateway's page."""


class _Violation(msgspec.Struct, rename="camel"):
    quota_id: str | None = None
    field: str | None = None


class _Detail(msgspec.Struct, rename="camel"):
    """Any of google.rpc's details, whose field names do not conflict."""

    reason: str | None = None
    retry_delay: str | None = None
    violations: list[_Violation] | None = None
    field_violations: list[_Violation] | None = None


class GoogleError(msgspec.Struct):
    """The object in ``error``. *status* is a google.rpc.Code's name, *code* an HTTP status."""

    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct):
    error: GoogleError


class ParsedError:
    """One parsed error of the upstream.

    *retry_delay* is Google's suggested wait in seconds; *field* is the path of the first invalid
    field.
    """

    __slots__ = ("field", "message", "quota_ids", "reason", "retry_delay", "status")

    def __init__(self, error: GoogleError) -> None:
        self.message = (error.message or "")[:_MAX_READ]
        self.status = (error.status or "").upper()
        self.reason = ""
        self.field = ""
        self.quota_ids: list[str] = []
        self.retry_delay: float | None = None
        for detail in _details(error.details):
            self._take(detail)
        if self.retry_delay is None:
            self.retry_delay = _hint_in(self.message)

    def _take(self, detail: _Detail) -> None:
        self.reason = self.reason or detail.reason or ""
        if detail.retry_delay is not None and self.retry_delay is None:
            self.retry_delay = read_delay(detail.retry_delay)
        self.quota_ids += [v.quota_id for v in detail.violations or () if v.quota_id]
        for violation in detail.field_violations or ():
            self.field = self.field or violation.field or ""


_ERROR: Final = msgspec.json.Decoder(GoogleError, strict=False)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope, strict=False)
_ENVELOPES: Final = msgspec.json.Decoder(list[_Envelope], strict=False)
_RAW_DETAILS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_DETAIL: Final = msgspec.json.Decoder(_Detail, strict=False)


def parse_error(raw: bytes) -> GoogleError:
    """Return the object in ``error``; an empty one if *raw* has another form."""
    try:
        return _ERROR.decode(raw)
    except DECODE_ERRORS:
        return GoogleError()


def parse_body(body: bytes) -> GoogleError | None:
    """Return the error in a body, None if the body is not Google's.

    The body is an array if the stream was not requested as SSE, and in Google's own OpenAI layer.
    """
    try:
        if body.lstrip()[:1] != b"[":
            return _ENVELOPE.decode(body).error
        envelopes = _ENVELOPES.decode(body)
    except DECODE_ERRORS:
        return None
    return envelopes[0].error if envelopes else None


def _details(raw: msgspec.Raw) -> list[_Detail]:
    """Decode each detail separately, so that an unknown one does not hide the others."""
    try:
        parts = _RAW_DETAILS.decode(raw)
    except DECODE_ERRORS:
        return []
    details = []
    for part in parts:
        try:
            details.append(_DETAIL.decode(part))
        except DECODE_ERRORS:
            continue
    return details


_DELAY: Final = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)s?\s*\Z")
_HINT: Final = re.compile(r"retry in (\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m)\b", re.IGNORECASE)
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}


def read_delay(text: str) -> float | None:
    """Return the seconds in ``34.4s`` (RetryInfo) or ``34`` (Retry-After), None for a date."""
    match = _DELAY.match(text)
    return None if match is None else float(match[1])


def _hint_in(message: str) -> float | None:
    match = _HINT.search(message)
    return None if match is None else float(match[1]) * _UNITS[match[2].lower()]


_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)


def page_excerpt(page: bytes) -> str:
    """Return the first words of a page or plain text, without tags."""
    text = _TAGS.sub(" ", page[:_MAX_READ].decode("utf-8", "replace"))
    return " ".join(text.split())[:_MAX_WORDS]


_SECRETS: Final = re.compile(
    r"AIza[\w-]{4,}|\bAQ\.[\w-]{8,}|\bya29\.[\w.-]{8,}|\bsk-[\w-]{4,}|(?<=[Bb]earer )[^\s\"\\]+"
    r"|(?<=api_key:)[^\s'\"\\]+|(?<=[?&]key=)[^\s&'\"\\]+"
)
_QUERY: Final = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
_PROJECT: Final = re.compile(r"(?<=project_number:)\d+|(?<=projects/)[\w-]+|(?<=project )\d{6,}")


_SECRET_BYTES: Final = re.compile(_SECRETS.pattern.encode())


def redact_bytes(body: bytes) -> bytes:
    """Return an error's *body* unchanged except for what looks like a key."""
    return _SECRET_BYTES.sub(b"[redacted]", body)


def clean(message: str) -> str:
    """Return *message* without keys, queries of URLs and project names, and cut in length."""
    message = _QUERY.sub(r"\1", _SECRETS.sub("[redacted]", message))
    return _PROJECT.sub("[redacted]", message)[:_MAX_MESSAGE].strip()
