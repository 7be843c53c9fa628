"""Attachments: data URLs, base64 and links, as bytes and MIME type or as a reference. Pure.

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
"""Letters of base64 that are looked at together; they come in fours."""


class AttachmentError(ValueError):
    """The data cannot be read; the text says why, for the caller."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Data as base64 (standard alphabet, padded) and its MIME type, "" when unknown."""

    mime: str
    base64: str

    def decoded(self) -> bytes:
        """Return the bytes."""
        return base64.b64decode(self.base64)


def link_kind(url: str) -> LinkKind:
    """Tell what a link is, and with that who fetches it."""
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
    """Return the URI of a file that Google's Files API holds, None when it is no such file."""
    if _FILE_NAME.match(file_id):
        return _FILES_BASE + file_id
    return file_id if _GOOGLE_FILE.match(file_id) else None


def from_data_url(url: str, filename: str = "") -> Attachment:
    """Return what a data URL holds.

    Takes what clients send: a missing MIME type, further parameters, white space and percent
    signs in the base64, the URL-safe alphabet, no padding; and data that is not base64.

    Raises:
        AttachmentError: the base64 is none, or there is no data.
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
    """Return what base64 text holds; the MIME type is found out where *mime* says nothing.

    Raises:
        AttachmentError: it is no base64, or empty.
    """
    text = data if _is_base64(data) else _repaired(data)
    if not text:
        raise AttachmentError("there is no data")
    raw = base64.b64decode(text[: _STEP // 4])
    if text.endswith("="):
        # The last letter may carry bits that belong to no byte, which strict readers refuse.
        text = text[:-4] + base64.b64encode(base64.b64decode(text[-4:])).decode()
    return Attachment(_mime(raw, mime, filename), text)


def _is_base64(text: str) -> bool:
    """Return whether *text* is base64 as it should be. Nothing is kept of what is decoded."""
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
    """Return base64 without white space, in the standard alphabet, padded.

    Raises:
        AttachmentError: it is no base64.
    """
    text = data.translate(_CLEANED).rstrip("=")
    text += "=" * (-len(text) % 4)
    if not _is_base64(text):
        raise AttachmentError("the data is not valid base64")
    return text


def from_bytes(raw: bytes, *, mime: str = "", filename: str = "") -> Attachment:
    """Return an attachment of *raw* bytes.

    Raises:
        AttachmentError: there are none.
    """
    if not raw:
        raise AttachmentError("there is no data")
    return Attachment(_mime(raw, mime, filename), base64.b64encode(raw).decode())


def as_text(raw: bytes) -> str:
    """Return bytes as text: UTF-8 or UTF-16 by its mark, else, as a last resort, Latin-1."""
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
    except ValueError:  # a port or an address that is none
        return False
    if host == "youtu.be":
        return len(parts.path) > 1
    if host not in _YOUTUBE_HOSTS:
        return False
    return parts.path.startswith(_YOUTUBE_PATHS) or (
        parts.path == "/watch" and bool(parse_qs(parts.query).get("v"))
    )
