"""Attachments: converts data URLs, base64 and links to bytes with a MIME type, or references. Pure.

Source: RFC 2397 (data URLs), RFC 4648 (base64); https://ai.google.dev/gemini-api/docs/files
(read 2026-11).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from jarvis_proxy.canonical.mime import SNIFF_BYTES, from_name, normalise, sniff

LinkKind = Literal["data", "google_file", "youtube", "bucket", "web", "none"]

_GOOGLE_FILE: Final = re.compile(
    r"https://generativelanguage\.googleapis\.com/v1\w*/files/[A-Za-z0-9_-]+\Z"
)
_FILE_NAME: Final = re.compile(r"files/[A-Za-z0-9_-]+\Z")
_FILES_BASE: Final = "https://generativelanguage.googleapis.com/v1beta/"
_YOUTUBE_HOSTS: Final = frozenset(("youtube.com", "www.youtube.com", "m.youtube.com"))
_YOUTUBE_PATHS: Final = ("/shorts/", "/live/", "/embed/")
_CLEANED: Final = str.maketrans("-_", "+/", " \t\n\r\f\v")
_STEP: Final = 256 * 1024
"""Base64 letters that are checked at once; a multiple of four."""


class AttachmentError(ValueError):
    """The data cannot be read; the message tells the caller why."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Data as base64 (standard alphabet, padded) and its MIME type, ``""`` if unknown."""

    mime: str
    base64: str

    def decoded(self) -> bytes:
        """Return the bytes."""
        return base64.b64decode(self.base64)


def link_kind(url: str) -> LinkKind:
    """Return the kind of a link, which decides who fetches it."""
    scheme = url[:8].lower()
    if scheme.startswith("data:"):
        return "data"
    if scheme.startswith("gs://"):
        return "bucket"
    if not scheme.startswith(("http://", "https://")):
        return "none"
    if _GOOGLE_FILE.match(url):
        return "google_file"
    return "youtube" if _is_youtube(url) else "web"


def google_file_uri(file_id: str) -> str | None:
    """Return the URI of a file in Google's Files API, None if *file_id* names no such file."""
    if _FILE_NAME.match(file_id):
        return _FILES_BASE + file_id
    return file_id if _GOOGLE_FILE.match(file_id) else None


def from_data_url(url: str, filename: str = "") -> Attachment:
    """Return the content of a data URL.

    Accepts what clients send: a missing MIME type, more parameters, white space and percent signs
    in the base64, the URL-safe alphabet, no padding, and data that is not base64.


    Raises:
        AttachmentError: the base64 is not valid, or there is no data.
    """
    end = url.find(",")
    if end < 0:
        raise AttachmentError("the data URL has no comma, so no data")
    mime, *parameters = url[len("data:") : end].split(";")
    payload = url[end + 1 :]
    if any(parameter.strip().lower() == "base64" for parameter in parameters):
        if "%" in payload:
            payload = unquote_to_bytes(payload).decode("latin-1")
        return from_base64(payload, mime=mime, filename=filename)
    return from_bytes(unquote_to_bytes(payload), mime=mime or "text/plain", filename=filename)


def from_base64(data: str, *, mime: str = "", filename: str = "") -> Attachment:
    """Return an attachment of base64 text; its type is detected if *mime* is vague.

    Raises:
        AttachmentError: the base64 is not valid, or empty.
    """
    text = data if _is_base64(data) else _repaired(data)
    if not text:
        raise AttachmentError("there is no data")
    raw = base64.b64decode(text[: _STEP // 4])
    if text.endswith("="):
        # The last letter may have surplus bits that belong to no byte; strict parsers reject these.
        text = text[:-4] + base64.b64encode(base64.b64decode(text[-4:])).decode()
    return Attachment(_mime(raw, mime, filename), text)


def _is_base64(text: str) -> bool:
    """Return whether *text* is strictly valid base64. The decoded bytes are dropped."""
    if len(text) % 4:
        return False
    try:
        for start in range(0, len(text), _STEP):
            binascii.a2b_base64(text[start : start + _STEP], strict_mode=True)
            if text[start + _STEP - 1 : start + _STEP] == "=" and start + _STEP < len(text):
                return False
    except (binascii.Error, ValueError):
        return False
    return True


def _repaired(data: str) -> str:
    """Return *data* as base64 in the standard alphabet, padded and without white space.

    Raises:
        AttachmentError: it is not base64.
    """
    text = data.translate(_CLEANED).rstrip("=")
    text += "=" * (-len(text) % 4)
    if not _is_base64(text):
        raise AttachmentError("the data is not valid base64")
    return text


def from_bytes(raw: bytes, *, mime: str = "", filename: str = "") -> Attachment:
    """Return an attachment of *raw* bytes.

    Raises:
        AttachmentError: *raw* is empty.
    """
    if not raw:
        raise AttachmentError("there is no data")
    return Attachment(_mime(raw, mime, filename), base64.b64encode(raw).decode())


def as_text(raw: bytes) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark; Latin-1 if neither is valid."""
    try:
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _mime(raw: bytes, mime: str, filename: str) -> str:
    return normalise(mime) or from_name(filename) or sniff(raw[:SNIFF_BYTES])


def _is_youtube(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        # The port or the address is not valid.
        return False
    if host == "youtu.be":
        return len(parts.path) > 1
    if host not in _YOUTUBE_HOSTS:
        return False
    return parts.path.startswith(_YOUTUBE_PATHS) or (
        parts.path == "/watch" and bool(parse_qs(parts.query).get("v"))
    )
