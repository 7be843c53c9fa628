"""Converts parts of a message to those of chat completions: text, pictures, audio, files. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages (read
2026-11).
"""

from collections.abc import Iterable
from typing import Any, Final

from jarvis_proxy.canonical.attachments import (
    Attachment,
    AttachmentError,
    as_text,
    from_base64,
    from_data_url,
)
from jarvis_proxy.canonical.chat_request import (
    ContentPart,
    ImageUrl,
    InputFile,
    MessageContent,
    about_file,
    part_as_text,
)
from jarvis_proxy.canonical.ignored_params import IgnoredParams

JsonObject = dict[str, Any]

_TEXTS: Final = (
    "application/json",
    "application/jsonl",
    "application/toml",
    "application/typescript",
    "application/x-sh",
    "application/sql",
    "application/yaml",
    "application/xml",
)
_TEXT: Final = "text"


class ContentWriter:
    """Writes content for one upstream, and notes what it does not accept."""

    __slots__ = ("_is_openai", "_notes")

    def __init__(self, notes: IgnoredParams, *, is_openai: bool) -> None:
        self._notes = notes
        self._is_openai = is_openai

    def parts(self, content: MessageContent, param: str) -> list[JsonObject]:
        """Return the non-empty parts, in order."""
        if isinstance(content, str):
            return [_said(content)] if content else []
        return [
            written
            for index, part in enumerate(content or ())
            for written in self._part(part, f"{param}[{index}]")
        ]

    def _part(self, part: ContentPart | str, param: str) -> list[JsonObject]:
        if isinstance(part, str):
            return [_said(part)] if part else []
        if text := _text_of(part):
            return [_said(text)]
        if part.text is not None or part.refusal is not None:
            # The part is empty.
            return []
        if part.file is not None:
            return self._file(part.file, param)
        if (media := self._media(part)) is not None:
            return [media]
        self._notes.add_or_reject(param)
        return []

    def _media(self, part: ContentPart) -> JsonObject | None:
        if part.image_url is not None:
            return {"type": "image_url", "image_url": _link(part.image_url)}
        if part.input_audio is not None:
            audio = part.input_audio
            return {
                "type": "input_audio",
                "input_audio": {"data": audio.data, "format": audio.format or "wav"},
            }
        if self._is_openai:
            return None
        for kind, link in (("video_url", part.video_url), ("audio_url", part.audio_url)):
            if link is not None:
                return {"type": kind, kind: _link(link)}
        return None

    def _file(self, file: InputFile, param: str) -> list[JsonObject]:
        described = [_said(about)] if (about := about_file(file)) else []
        if file.file_data is None:
            if file.file_id is not None and self._is_openai:
                return [*described, {"type": "file", "file": {"file_id": file.file_id}}]
            self._notes.add_or_reject(param)
            return described
        name = file.filename or ""
        try:
            attached = _attached(file.file_data, name)
        except AttachmentError:
            self._notes.add_or_reject(param)
            return described
        if attached.mime.startswith("text/") or attached.mime in _TEXTS:
            text = as_text(attached.decoded())
            return [*described, _said(f"{name}\n{text}" if name else text)]
        mime = attached.mime or "application/octet-stream"
        data = f"data:{mime};base64,{attached.base64}"
        named = {"filename": name or "file"}
        return [*described, {"type": "file", "file": {**named, "file_data": data}}]


def texts_of(parts: Iterable[JsonObject]) -> list[str]:
    """Return the texts among written *parts*."""
    return [part["text"] for part in parts if part["type"] == _TEXT]


def media_of(parts: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the parts among written *parts* that are not text."""
    return [part for part in parts if part["type"] != _TEXT]


def collapsed(parts: list[JsonObject]) -> str | list[JsonObject]:
    """Return *parts* as one string if all are texts, because some services accept no lists."""
    return parts if media_of(parts) else "\n".join(texts_of(parts))


def _said(text: str) -> JsonObject:
    return {"type": _TEXT, "text": text}


def _text_of(part: ContentPart) -> str | None:
    """Return the text of a part, None if it is of another kind."""
    return part_as_text(part) or part.text or part.refusal


def _link(link: ImageUrl | str) -> JsonObject:
    if isinstance(link, str):
        return {"url": link}
    return {"url": link.url, **({"detail": link.detail} if link.detail else {})}


def _attached(data: str, name: str) -> Attachment:
    if data[:5].lower() == "data:":
        return from_data_url(data, name)
    return from_base64(data, filename=name)
