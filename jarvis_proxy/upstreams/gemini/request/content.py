"""Converts content of chat messages to Gemini parts: text, pictures, audio, video, files. Pure.

Source: https://ai.google.dev/api/caching#Part and /gemini-api/docs/image-understanding (read
2026-11).
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

from jarvis_proxy.canonical.attachments import (
    Attachment,
    AttachmentError,
    as_text,
    from_base64,
    from_bytes,
    from_data_url,
    google_file_uri,
    link_kind,
)
from jarvis_proxy.canonical.chat_request import (
    ContentPart,
    ImageUrl,
    InputAudio,
    InputFile,
    MessageContent,
    about_file,
    each_part,
    part_as_text,
)
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.mime import from_name, is_text
from jarvis_proxy.canonical.validation_errors import invalid, missing, required, unknown_value
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.types import Blob, FileData, MediaResolution, Part

ImageUrls = Literal["fetch", "pass", "refuse"]

_LEVELS: Final = ("LOW", "MEDIUM", "HIGH", "ULTRA_HIGH")

# Google answers "Unsupported MIME type: image/gif". Converting would need an image library and
# would show a single frame. SVG, which is source code, is sent as text instead.
_REFUSED: Final = frozenset(("image/gif",))


_MAX_LINKED: Final = 75 * 1024 * 1024
"""Most bytes behind all links of a request; duplicates count."""
_PART_TYPES: Final = (
    "text",
    "refusal",
    "image_url",
    "video_url",
    "audio_url",
    "input_audio",
    "file",
    "search_result",
)


class NotTaken(ProxyError):
    """400: the upstream accepts no media of this type."""

    def __init__(self, mime: str, param: str) -> None:
        message = f"Gemini does not take {mime}; send PNG, JPEG, WEBP, HEIC or HEIF."
        super().__init__(400, message, code="invalid_image_format", param=param)
        self.mime = mime


class _Source(NamedTuple):
    """The location of a part's data, and the error for when it is not available."""

    url: str
    fallback: str
    """The MIME type of a passed link whose name shows none."""
    code: str
    texts: bool = False
    """Whether text is acceptable there, as in a file."""


class ContentReader:
    """Converts content parts to Gemini parts for one model.

    *media* holds the shell's downloads, or their errors. *image_urls* decides about links to the
    web: "fetch" uses *media*, "pass" leaves the download to Google, "refuse" is 400. *refused* are
    MIME types that the upstream has refused in this call.
    """

    __slots__ = ("_image_urls", "_level", "_media", "_refused", "_room", "_traits", "left_out")

    def __init__(
        self,
        traits: ModelTraits,
        media: Mapping[str, Media | ProxyError],
        image_urls: ImageUrls = "fetch",
        *,
        refused: frozenset[str] = frozenset(),
    ) -> None:
        self._traits = traits
        self._refused = _REFUSED | refused
        self.left_out: list[str] = []
        """Params of media that text replaces."""
        self._media = media
        self._image_urls = image_urls
        self._level = -1
        self._room = _MAX_LINKED

    @property
    def resolution(self) -> str | None:
        """The finest requested resolution, for models with a single one per request."""
        if self._traits.resolution != "request" or self._level < 0:
            return None
        return _resolution(min(self._level, _LEVELS.index("HIGH")))

    def parts(self, content: MessageContent, param: str, *, past: bool = False) -> list[Part]:
        """Return the parts of a user's or a tool's content; empty texts are left out.

        In *past* content, which clients cannot change any more, text replaces media that the model
        does not accept: otherwise the conversation could never continue.

        Raises:
            ProxyError: 400 with the part as param, ``messages[0].content[1]``.
        """
        found: list[Part] = []
        for part, where in each_part(content, param):
            if part.file is not None and (about := about_file(part.file)):
                found.append(Part(text=about))
            found.append(self.part(part, where, past=past))
        return [part for part in found if part.text != ""]

    def part(self, part: ContentPart, param: str, *, past: bool = False) -> Part:
        """Return one content part as a Gemini part; *past* is as in ``parts``.

        Raises:
            ProxyError: 400, the part has an unknown type, no data, or unusable data.
        """
        try:
            return self._part(part, param)
        except NotTaken as error:
            if not past:
                raise
            self.left_out.append(param)
            return Part(text=f"[{error.mime} left out: the model cannot read it]")

    def _part(self, part: ContentPart, param: str) -> Part:
        match part.type:
            case "text":
                return Part(text=required(part.text, f"{param}.text"))
            case "refusal":
                return Part(text=required(part.refusal, f"{param}.refusal"))
            case "image_url":
                return self._image(_link(part.image_url, f"{param}.image_url"), param)
            case "video_url":
                link = _link(part.video_url, f"{param}.video_url")
                return self._linked(_Source(link.url, "video/mp4", "invalid_video_url"), param)
            case "audio_url":
                link = _link(part.audio_url, f"{param}.audio_url")
                return self._linked(_Source(link.url, "audio/mpeg", "invalid_audio"), param)
            case "input_audio":
                return self._audio(required(part.input_audio, f"{param}.input_audio"), param)
            case "file":
                return self._file(required(part.file, f"{param}.file"), param)
            case "search_result" | "tool_reference":
                return Part(text=part_as_text(part))
            case None:
                raise missing(f"{param}.type")
            case _:
                raise unknown_value(f"{param}.type", part.type, _PART_TYPES)

    def _image(self, link: ImageUrl, param: str) -> Part:
        part = self._linked(_Source(link.url, "image/jpeg", "invalid_image_url"), param)
        level = (link.detail or "").upper()
        if level in _LEVELS and part.text is None:
            self._level = max(self._level, _LEVELS.index(level))
            if self._traits.resolution == "part":
                part.media_resolution = MediaResolution(_resolution(_LEVELS.index(level)))
        return part

    def _audio(self, audio: InputAudio, param: str) -> Part:
        if audio.data[:5].lower() == "data:":
            return self._linked(_Source(audio.data, "", "invalid_audio"), param)
        name = (audio.format or "").strip().lower()
        if "/" not in name:
            name = from_name(f".{name}") or (f"audio/{name}" if name.isalnum() else "")
        # "mp4" and "webm" mean audio here.
        mime = name.replace("video/", "audio/")
        return self._inline_base64(audio.data, mime, "invalid_audio", param=param)

    def _file(self, file: InputFile, param: str) -> Part:
        if file.file_id is not None:
            uri = google_file_uri(file.file_id)
            if uri is None:
                raise invalid(
                    f"{param}.file.file_id",
                    "file_id from OpenAI cannot be used with a Gemini model; "
                    "send the file as file_data.",
                    "invalid_file_id",
                )
            return Part(file_data=FileData(uri))
        data = required(file.file_data or file.file_url, f"{param}.file.file_data").strip()
        name = file.filename or ""
        if link_kind(data) == "none":
            return self._inline_base64(data, "", "invalid_file", param=param, name=name)
        fallback = from_name(name) or "application/pdf"
        return self._linked(_Source(data, fallback, "invalid_file", texts=True), param, name)

    def _linked(self, source: _Source, param: str, name: str = "") -> Part:
        url = source.url
        match link_kind(url):
            case "data":
                try:
                    found = from_data_url(url, name)
                except AttachmentError as exc:
                    raise invalid(param, f"Invalid data URL: {exc}.", source.code) from exc
                return self._inline(found, param, source.code)
            case "google_file":
                return Part(file_data=FileData(url))
            case "youtube":
                return Part(file_data=FileData(url, "video/mp4"))
            case "bucket":
                return Part(file_data=FileData(url, from_name(url) or source.fallback))
            case "web":
                return self._from_web(source, param, name)
            case _:
                # Some clients send a picture as bare base64. Only recognised media pass.
                return self._inline_base64(url, "", source.code, param=param)

    def _from_web(self, source: _Source, param: str, name: str) -> Part:
        if self._image_urls == "refuse":
            message = "Links are not downloaded here; send the data as a data URL."
            raise invalid(param, message, source.code)
        if self._image_urls == "pass":
            mime = from_name(source.url) or source.fallback
            self._check(mime, param)
            return Part(file_data=FileData(source.url, mime))
        match self._media.get(source.url):
            case ProxyError() as error:
                raise _with_param(error, param)
            case Media(mime_type=mime, data=data):
                self._room -= len(data)
                if self._room < 0:
                    message = "The files behind the links are larger than 75 MiB together."
                    raise invalid(param, message, source.code)
                try:
                    found = from_bytes(data, mime=mime, filename=name or source.url)
                except AttachmentError as exc:
                    raise invalid(
                        param, f"The link has no usable content: {exc}.", source.code
                    ) from exc
            case _:
                raise invalid(param, "The link could not be downloaded.", source.code)
        if is_text(found.mime) and not source.texts and found.mime != "image/svg+xml":
            message = f"The link leads to {found.mime}, not to a picture or other media."
            raise invalid(param, message, source.code)
        return self._inline(found, param, source.code)

    def _inline_base64(
        self, data: str, mime: str, code: str, *, param: str, name: str = ""
    ) -> Part:
        try:
            found = from_base64(data, mime=mime, filename=name)
        except AttachmentError as exc:
            raise invalid(param, f"Invalid data: {exc}.", code) from exc
        return self._inline(found, param, code)

    def _inline(self, found: Attachment, param: str, code: str) -> Part:
        if is_text(found.mime):
            return Part(text=as_text(found.decoded()))
        if not found.mime:
            message = (
                "The kind of the data is not known; send it as data:<MIME type>;base64,<data>."
            )
            raise invalid(param, message, code)
        self._check(found.mime, param)
        return Part(inline_data=Blob(found.mime, found.base64))

    def _check(self, mime: str, param: str) -> None:
        if mime in self._refused:
            raise NotTaken(mime, param)


def texts(content: MessageContent, param: str) -> list[str]:
    """Return the texts of content that may only be text, such as a system message's.

    Raises:
        ProxyError: 400, a part is not text.
    """
    found: list[str] = []
    for part, where in each_part(content, param):
        if part.type is None:
            raise missing(f"{where}.type")
        if part.type != "text":
            raise unknown_value(f"{where}.type", part.type, ("text",))
        found.append(required(part.text, f"{where}.text"))
    return [text for text in found if text]


def web_links(contents: Iterable[MessageContent]) -> list[str]:
    """Return the links in contents that must be downloaded, in order."""
    found: list[str] = []
    for content in contents:
        for part, _ in each_part(content, ""):
            match part:
                case (
                    ContentPart(type="image_url", image_url=link)
                    | ContentPart(type="video_url", video_url=link)
                    | ContentPart(type="audio_url", audio_url=link)
                ) if link is not None:
                    found.append(_link(link, "").url)
                case ContentPart(type="file", file=InputFile(file_id=None) as file):
                    found.append((file.file_data or file.file_url or "").strip())
    return [url for url in found if link_kind(url) == "web"]


def _resolution(level: int) -> str:
    return f"MEDIA_RESOLUTION_{_LEVELS[level]}"


def _link(value: ImageUrl | str | None, param: str) -> ImageUrl:
    if value is None:
        raise missing(param)
    link = ImageUrl(value) if isinstance(value, str) else value
    return ImageUrl(link.url.strip(), link.detail)


def _with_param(error: ProxyError, param: str) -> ProxyError:
    """Return a copy of a download's error with *param*."""
    return ProxyError(
        error.status,
        error.message,
        error_type=error.error_type,
        code=error.code,
        param=param,
        retry_after=error.retry_after,
        should_retry=error.should_retry,
        headers=error.headers,
    )
