"""Converts parts of messages to content blocks: text, pictures, documents, search results. Pure.

Source: https://platform.claude.com/docs/en/build-with-claude/vision, /pdf-support and
/search-results (read 2026-11).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

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
    each_part,
)
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.mime import from_name, is_text
from jarvis_proxy.canonical.validation_errors import invalid, missing, required, unknown_value
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.json_values import fields_of

JsonObject = dict[str, Any]
ImageUrls = Literal["fetch", "pass", "refuse"]

PDF: Final = "application/pdf"
MARK: Final = "cache_control"
_IMAGES: Final = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))
_UNHEARD: Final = {"input_audio": "audio", "audio_url": "audio", "video_url": "video"}
_LINKED: Final = ("http://", "https://")
_MAX_LINKED: Final = 75 * 1024 * 1024
"""Most bytes behind all links of a request; duplicates count."""
_TTLS: Final = ("5m", "1h")
_PART_TYPES: Final = ("text", "refusal", "image_url", "file", "search_result")


class ContentWriter:
    """Writes the blocks of one request.

    *media* holds the downloads by URL, or their errors. *image_urls* decides about links: "fetch"
    uses *media*, "pass" gives them to Anthropic, "refuse" is 400.
    """

    __slots__ = ("_image_urls", "_media", "_notes", "_room")

    def __init__(
        self,
        media: Mapping[str, Media | ProxyError],
        image_urls: ImageUrls,
        notes: IgnoredParams,
    ) -> None:
        self._media = media
        self._image_urls = image_urls
        self._notes = notes
        self._room = _MAX_LINKED

    def blocks(
        self, content: MessageContent, param: str, *, past: bool = False
    ) -> list[JsonObject]:
        """Return the blocks of *content*, without texts of only white space.

        In *past* content, which no client can change any more, text replaces audio and video:
        otherwise the conversation could never continue.

        Raises:
            ProxyError: 400 with the part as param, ``messages[0].content[1]``.
        """
        return [
            block
            for part, where in each_part(content, param)
            for block in self.part(part, where, past=past)
        ]

    def part(self, part: ContentPart, param: str, *, past: bool = False) -> list[JsonObject]:
        """Return the block of one part with its cache mark; [] if the part is empty.

        Raises:
            ProxyError: 400 with *param*.
        """
        blocks = self._blocks(part, param, past=past)
        return [marked(block, part.cache_control) for block in blocks]

    def _blocks(self, part: ContentPart, param: str, *, past: bool) -> list[JsonObject]:
        match part.type:
            case "text":
                return text_blocks(required(part.text, f"{param}.text"))
            case "refusal":
                return text_blocks(required(part.refusal, f"{param}.refusal"))
            case "image_url":
                return [self._image(_url(part.image_url, f"{param}.image_url"), param)]
            case "file":
                return self._file(required(part.file, f"{param}.file"), param)
            case "search_result":
                return [_search_result(part)]
            case "tool_reference":
                return [{"type": "tool_reference", "tool_name": part.tool_name}]
            case None:
                raise missing(f"{param}.type")
            case kind if kind in _UNHEARD:
                return self._unheard(_UNHEARD[kind], param, past=past)
            case _:
                raise unknown_value(f"{param}.type", part.type, _PART_TYPES)

    def _unheard(self, noun: str, param: str, *, past: bool) -> list[JsonObject]:
        if not past:
            raise invalid(param, f"Claude models do not take {noun}.", "unsupported_value")
        self._notes.add(param)
        return text_blocks(f"[{noun} left out: the model cannot take it]")

    def _image(self, url: str, param: str) -> JsonObject:
        if not _is_link(url):
            return _image_block(_attached(url, "", param, "invalid_image_url"), param)
        if self._image_urls == "pass":
            return {"type": "image", "source": {"type": "url", "url": url}}
        return _image_block(self._downloaded(url, "", param, "invalid_image_url"), param)

    def _file(self, file: InputFile, param: str) -> list[JsonObject]:
        if file.file_id is not None:
            message = "A file_id cannot be used with a Claude model; send the file as file_data."
            raise invalid(f"{param}.file.file_id", message, "invalid_file_id")
        name = file.filename or ""
        data = required(file.file_data or file.file_url, f"{param}.file.file_data").strip()
        if _is_link(data):
            if self._image_urls == "pass" and (from_name(name or data) or PDF) == PDF:
                return [_described({"type": "url", "url": data}, file)]
            found = self._downloaded(data, name, param, "invalid_file")
        else:
            found = _attached(data, name, param, "invalid_file")
        return _file_blocks(found, file, param)

    def _downloaded(self, url: str, name: str, param: str, code: str) -> Attachment:
        if self._image_urls == "refuse":
            message = "Links are not downloaded here; send the data as a data URL."
            raise invalid(param, message, code)
        match self._media.get(url):
            case ProxyError() as error:
                error.param = param
                raise error
            case Media(mime_type=mime, data=data):
                self._room -= len(data)
                if self._room < 0:
                    message = "The files behind the links are larger than 75 MiB together."
                    raise invalid(param, message, code)
                try:
                    return from_bytes(data, mime=mime, filename=name or url)
                except AttachmentError as exc:
                    raise invalid(param, f"The link has no usable content: {exc}.", code) from exc
            case _:
                raise invalid(param, "The link could not be downloaded.", code)


def text_blocks(text: str) -> list[JsonObject]:
    """Return a text block; none for white space, which Anthropic rejects."""
    return [{"type": "text", "text": text}] if text.strip() else []


def marked(block: JsonObject, mark: object) -> JsonObject:
    """Return *block* with the client's cache mark if that is valid."""
    wanted = fields_of(mark)
    if wanted.get("type") != "ephemeral":
        return block
    ttl = wanted.get("ttl")
    cached = {"type": "ephemeral", **({"ttl": ttl} if ttl in _TTLS else {})}
    return block | {MARK: cached}


def links(contents: Iterable[MessageContent]) -> list[str]:
    """Return the links to pictures and files in *contents*, in order."""
    found: list[str] = []
    for content in contents:
        for part, _ in each_part(content, ""):
            if part.type == "image_url" and part.image_url is not None:
                found.append(_url(part.image_url, ""))
            elif part.type == "file" and part.file is not None and part.file.file_id is None:
                found.append((part.file.file_data or part.file.file_url or "").strip())
    return [url for url in found if _is_link(url)]


def _url(link: ImageUrl | str | None, param: str) -> str:
    if link is None:
        raise missing(param)
    return (link if isinstance(link, str) else link.url).strip()


def _is_link(url: str) -> bool:
    return url[:8].lower().startswith(_LINKED)


def _attached(data: str, name: str, param: str, code: str) -> Attachment:
    """Return the content of a data URL, or of bare base64 as some clients send it."""
    try:
        if data[:5].lower() == "data:":
            return from_data_url(data, name)
        return from_base64(data, filename=name)
    except AttachmentError as exc:
        raise invalid(param, f"Invalid data: {exc}.", code) from exc


def _image_block(found: Attachment, param: str) -> JsonObject:
    if found.mime not in _IMAGES:
        message = f"Claude models do not take {found.mime or 'this'}; send PNG, JPEG, GIF or WEBP."
        raise invalid(param, message, "invalid_image_format")
    source = {"type": "base64", "media_type": found.mime, "data": found.base64}
    return {"type": "image", "source": source}


def _file_blocks(found: Attachment, file: InputFile, param: str) -> list[JsonObject]:
    if found.mime == PDF:
        return [_described({"type": "base64", "media_type": PDF, "data": found.base64}, file)]
    if is_text(found.mime):
        said = as_text(found.decoded())
        if not said.strip():
            return []
        return [_described({"type": "text", "media_type": "text/plain", "data": said}, file)]
    if found.mime in _IMAGES:
        return [_image_block(found, param)]
    message = f"Claude models do not take {found.mime or 'this kind of'} files; send PDF or text."
    raise invalid(param, message, "invalid_file")


def _described(source: JsonObject, file: InputFile) -> JsonObject:
    """Return a document block with the client's title and context of the document."""
    block: JsonObject = {"type": "document", "source": source}
    for name, value in (("title", file.title or file.filename), ("context", file.context)):
        if isinstance(value, str) and value.strip():
            block[name] = value
    if fields_of(file.citations).get("enabled") is True:
        block["citations"] = {"enabled": True}
    return block


def _search_result(part: ContentPart) -> JsonObject:
    block = {"type": "search_result", "source": part.source, "title": part.title}
    block["content"] = part.content
    if fields_of(part.citations).get("enabled") is True:
        block["citations"] = {"enabled": True}
    return block
