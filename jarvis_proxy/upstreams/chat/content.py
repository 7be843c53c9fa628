"""Converts parts of a message to those of chat completions: text, pictures, audio, files. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages (read
2026-11).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from jarvis_proxy.canonical.attachments import (
    Attachment,
    AttachmentError,
    as_text,
    from_base64,
    from_bytes,
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
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError

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
_LINKED: Final = ("http://", "https://")


class ContentWriter:
    """Writes content for one upstream; *media* is what links to files lead to."""

    __slots__ = ("_is_openai", "_media", "_notes")

    def __init__(
        self,
        notes: IgnoredParams,
        *,
        is_openai: bool,
        media: Mapping[str, Media | ProxyError],
    ) -> None:
        self._notes = notes
        self._is_openai = is_openai
        self._media = media

    def parts(self, content: MessageContent, param: str, *, past: bool = False) -> list[JsonObject]:
        """Return the non-empty parts, in order.

        *past*: no client can change the content any more, so what cannot be sent is left out and
        noted; otherwise the conversation could never go on.

        Raises:
            ProxyError: 400 with the part as param, ``messages[0].content[1]``.
        """
        if isinstance(content, str):
            return [_said(content)] if content else []
        return [
            written
            for index, part in enumerate(content or ())
            for written in self._part(part, f"{param}[{index}]", past=past)
        ]

    def _part(self, part: ContentPart | str, param: str, *, past: bool) -> list[JsonObject]:
        if isinstance(part, str):
            return [_said(part)] if part else []
        if text := _text_of(part):
            return [_said(text)]
        if part.text is not None or part.refusal is not None:
            # The part is empty.
            return []
        if part.file is not None:
            return self._file(part.file, param, past=past)
        if (medium := self._medium(part)) is not None:
            return [medium]
        words = f"This model does not take parts of type '{(part.type or '')[:64]}'."
        return self._left_out(invalid(param, words, "unsupported_value"), past=past)

    def _left_out(self, refusal: ProxyError, *, past: bool) -> list[JsonObject]:
        """Note a part that cannot be sent; raise *refusal* if an answer about it is wanted."""
        if not past:
            raise refusal
        self._notes.add_or_reject(refusal.param or "")
        return []

    def _medium(self, part: ContentPart) -> JsonObject | None:
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

    def _file(self, file: InputFile, param: str, *, past: bool) -> list[JsonObject]:
        described = [_said(about)] if (about := about_file(file)) else []
        if file.file_id is not None and not file.file_data and self._is_openai:
            return [*described, {"type": "file", "file": {"file_id": file.file_id}}]
        try:
            attached, name = self._attached(file, param)
        except ProxyError as refusal:
            return [*described, *self._left_out(refusal, past=past)]
        if attached.mime.startswith("text/") or attached.mime in _TEXTS:
            text = as_text(attached.decoded())
            return [*described, _said(f"{name}\n{text}" if name else text)]
        mime = attached.mime or "application/octet-stream"
        data = f"data:{mime};base64,{attached.base64}"
        named = {"filename": name or "file"}
        return [*described, {"type": "file", "file": {**named, "file_data": data}}]

    def _attached(self, file: InputFile, param: str) -> tuple[Attachment, str]:
        """Return a file's content and its name.

        Raises:
            ProxyError: 400 `invalid_file_id`, `invalid_file`, or why the link has no content.
        """
        data, name = _data_of(file), file.filename or ""
        if file.file_id is not None and not data:
            message = "This model cannot read a file_id; send the content of the file itself."
            raise invalid(param, message, "invalid_file_id")
        try:
            if data[:5].lower() == "data:":
                return from_data_url(data, name), name
            if not _is_link(data):
                return from_base64(data, filename=name), name
            name = name or data.partition("?")[0].rpartition("/")[2]
            found = self._media.get(data)
            if isinstance(found, Media):
                return from_bytes(found.data, mime=found.mime_type, filename=name), name
        except AttachmentError as exc:
            raise invalid(param, f"The file has no usable content: {exc}.", "invalid_file") from exc
        if isinstance(found, ProxyError):
            found.param = param
            raise found
        message = "Links to files are not downloaded here; send the content itself."
        raise invalid(param, message, "invalid_file")


def file_links(contents: Iterable[MessageContent]) -> Iterator[str]:
    """Yield the links to files in *contents*; links to pictures are passed on."""
    for content in contents:
        for part in () if isinstance(content, str) else content or ():
            file = None if isinstance(part, str) else part.file
            if file is not None and file.file_id is None and _is_link(data := _data_of(file)):
                yield data


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


def _data_of(file: InputFile) -> str:
    return (file.file_data or file.file_url or "").strip()


def _is_link(data: str) -> bool:
    return data[:8].lower().startswith(_LINKED)
