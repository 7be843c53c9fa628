"""Converts parts of Google's contents to content parts of the canonical request. Pure.

Source: https://ai.google.dev/api/caching#Part (read 2026-11).
"""

from typing import Final, TypeAlias

from jarvis_proxy.canonical.attachments import (
    Attachment,
    AttachmentError,
    as_text,
    from_base64,
    from_data_url,
    link_kind,
)
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.mime import from_name, is_text, normalise
from jarvis_proxy.canonical.validation_errors import invalid, required
from jarvis_proxy.dialects.generate_content.types import (
    Blob,
    FileData,
    FunctionResponse,
    JsonObject,
    Part,
)

PartAt: TypeAlias = tuple[JsonObject, str]
"""A content part, and the path of its original part."""

_SOUNDS: Final = {"audio/wav": "wav", "audio/mpeg": "mp3"}
"""Audio types with a chat part of their own; other types become files."""
_TEXTS: Final = ("content", "output", "result")


def text_part(text: str, path: str) -> list[PartAt]:
    """Return a text part, nothing for an empty text."""
    return [({"type": "text", "text": text}, path)] if text else []


def said_parts(part: Part, path: str) -> list[PartAt]:
    """Return the text or media of a part; calls and results are handled elsewhere.

    Raises:
        ProxyError: 400 with the path, the data cannot be read.
    """
    if part.text is not None:
        return text_part(part.text, path)
    if part.inline_data is not None:
        return [_inline(part.inline_data, f"{path}.inlineData")]
    if part.file_data is not None:
        return [_file(part.file_data, f"{path}.fileData")]
    if part.executable_code is not None:
        language = (part.executable_code.language or "").lower()
        language = language.replace("language_unspecified", "")
        return text_part(f"\n```{language}\n{part.executable_code.code or ''}\n```\n", path)
    if part.code_execution_result is not None:
        result = part.code_execution_result
        outcome = (result.outcome or "OUTCOME_OK").upper()
        failed = "" if outcome == "OUTCOME_OK" else f"{outcome}\n"
        return text_part(f"\n```output\n{failed}{result.output or ''}\n```\n", path)
    return []


def result_parts(result: FunctionResponse, path: str) -> tuple[list[PartAt], bool]:
    """Return the result of a function, and whether it is an error.

    A *response* with nothing but a text becomes that text.

    Raises:
        ProxyError: 400 with the path, the media cannot be read.
    """
    response = {} if result.response is None else result.response
    is_error = isinstance(response, dict) and response.keys() == {"error"}
    found = [({"type": "text", "text": _result_text(response)}, path)]
    for index, part in enumerate(result.parts or ()):
        where = f"{path}.parts[{index}]"
        found += said_parts(Part(inline_data=part.inline_data, file_data=part.file_data), where)
    return found, is_error


def _result_text(response: object) -> str:
    if isinstance(response, dict) and len(response) == 1:
        ((name, value),) = response.items()
        if isinstance(value, str) and name in (*_TEXTS, "error"):
            return value
    return compact(response)


def _inline(blob: Blob, path: str) -> PartAt:
    try:
        found = from_base64(
            blob.data or "", mime=blob.mime_type or "", filename=blob.display_name or ""
        )
    except AttachmentError as exc:
        raise invalid(path, f"Invalid data: {exc}.") from exc
    return _attached(found, blob.display_name, path)


def _attached(found: Attachment, name: str | None, path: str) -> PartAt:
    mime = found.mime
    if is_text(mime):
        return {"type": "text", "text": as_text(found.decoded())}, path
    url = f"data:{mime or 'application/octet-stream'};base64,{found.base64}"
    if mime in _SOUNDS:
        sound = {"data": found.base64, "format": _SOUNDS[mime]}
        return {"type": "input_audio", "input_audio": sound}, path
    return _of_kind(mime, {"file_data": url, "filename": name or _name_for(mime)}, url), path


def _file(file: FileData, path: str) -> PartAt:
    """Return a link, or the data of a data URL.

    Raises:
        ProxyError: 400, only Google could fetch it.
    """
    url = required(file.file_uri, f"{path}.fileUri").strip()
    match link_kind(url):
        case "data":
            try:
                return _attached(from_data_url(url), file.display_name, path)
            except AttachmentError as exc:
                raise invalid(path, f"Invalid data URL: {exc}.") from exc
        case "web":
            mime = normalise(file.mime_type or "") or from_name(url)
            name = file.display_name or _name_for(mime)
            if mime.startswith("audio/"):
                return {"type": "audio_url", "audio_url": {"url": url}}, path
            return _of_kind(mime, {"file_url": url, "filename": name}, url), path
        case _:
            message = f"Only Google's models can read '{path}'. Send the data as inlineData."
            raise invalid(path, message)


def _of_kind(mime: str, file: JsonObject, url: str) -> JsonObject:
    if mime.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if mime.startswith("video/"):
        return {"type": "video_url", "video_url": {"url": url}}
    return {"type": "file", "file": file}


def _name_for(mime: str) -> str:
    return "document.pdf" if mime in ("", "application/pdf") else "file"
