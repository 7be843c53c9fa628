"""Converts content blocks to content parts of the canonical request. Pure.

Source: https://docs.claude.com/en/api/messages (read 2026-11).
"""

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw

from jarvis_proxy.dialects.messages.types import Block, Content, Source, is_given
from jarvis_proxy.dialects.messages.validation import (
    decode_at,
    missing,
    refused,
    required,
    unknown_type,
)

JsonObject: TypeAlias = dict[str, Any]
Part: TypeAlias = tuple[JsonObject, str]
"""A content part, and the path of its original block."""

USER_BLOCKS: Final = ("text", "image", "document", "search_result")
_SOURCES: Final = ("base64", "text", "content", "url", "file")
_SOURCE: Final = msgspec.json.Decoder(Source)
_TEXT: Final = msgspec.json.Decoder(str)
_BLOCK: Final = msgspec.json.Decoder(Block)
_BLOCKS: Final = msgspec.json.Decoder(list[Block])
_RESULT: Final = msgspec.json.Decoder(str | list[Raw])


def content_parts(content: Content, path: str) -> list[Part]:
    """Return the parts of a user's *content*; empty texts are left out.

    Raises:
        ProxyError: 400 with the path of the block.
    """
    if isinstance(content, str):
        return _text(content, path)
    return [
        part
        for index, block in enumerate(content)
        for part in block_parts(block, f"{path}.{index}")
    ]


def block_parts(block: Block, path: str) -> list[Part]:
    """Return the parts for *block*, usually one.

    Raises:
        ProxyError: 400, the block is of another type, lacks a field, or refers to a stored file.
    """
    match block.type:
        case "text":
            found = _text(required(block.text, f"{path}.text"), path)
        case "image":
            found = [({"type": "image_url", "image_url": {"url": _image(block, path)}}, path)]
        case "document":
            found = _document(block, path)
        case "search_result":
            found = [(_search_result(block, path), path)]
        case _:
            raise unknown_type(path, block.type, USER_BLOCKS)
    if found and is_given(block.cache_control):
        found[-1][0]["cache_control"] = block.cache_control
    return found


def result_content(raw: Raw, path: str) -> str | list[Part]:
    """Return the result of a tool: a text, or parts if it is more than one text.

    Raises:
        ProxyError: 400 with the path of the block.
    """
    if not is_given(raw):
        return ""
    content = decode_at(_RESULT, raw, path)
    if isinstance(content, str):
        return content
    found = [
        part
        for index, item in enumerate(content)
        for part in _result_parts(item, f"{path}.{index}")
    ]
    if len(found) == 1 and found[0][0].keys() == {"type", "text"}:
        return str(found[0][0]["text"])
    return found or ""


def plain(parts: list[Part]) -> str | list[JsonObject]:
    """Return *parts* as a message's content: a single text becomes a string."""
    if len(parts) == 1 and parts[0][0].keys() == {"type", "text"}:
        return str(parts[0][0]["text"])
    return [part for part, _ in parts]


def _result_parts(raw: Raw, path: str) -> list[Part]:
    block = decode_at(_BLOCK, raw, path)
    if block.type in USER_BLOCKS:
        return block_parts(block, path)
    if block.type == "tool_reference":
        name = required(block.tool_name, f"{path}.tool_name")
        return [({"type": "tool_reference", "tool_name": name}, path)]
    # Such as the state of a browser.
    return _text(bytes(raw).decode(), path)


def _text(text: str, path: str) -> list[Part]:
    return [({"type": "text", "text": text}, path)] if text else []


def _image(block: Block, path: str) -> str:
    path += ".source"
    source = decode_at(_SOURCE, _given(block.source, path), path)
    match source.type:
        case "base64":
            return _data_url(source, path)
        case "url":
            return required(source.url, f"{path}.url")
        case "file":
            raise _stored(path)
        case _:
            raise unknown_type(path, source.type, ("base64", "url", "file"))


def _document(block: Block, path: str) -> list[Part]:
    """Return a document's parts, after a text with its title and context."""
    inside = f"{path}.source"
    source = decode_at(_SOURCE, _given(block.source, inside), inside)
    match source.type:
        case "base64":
            parts = [_file({"file_data": _data_url(source, inside)}, block, path)]
        case "url":
            parts = [_file({"file_url": required(source.url, f"{inside}.url")}, block, path)]
        case "text":
            parts = _text(required(source.data, f"{inside}.data"), path)
        case "content":
            if source.content is None:
                raise missing(f"{inside}.content")
            parts = content_parts(source.content, f"{inside}.content")
        case "file":
            raise _stored(inside)
        case _:
            raise unknown_type(inside, source.type, _SOURCES)
    about = "\n".join(filter(None, (block.title, block.context)))
    return _text(about, path) + parts


def _file(file: JsonObject, block: Block, path: str) -> Part:
    name = block.title or "document.pdf"
    file["filename"] = name if name.lower().endswith(".pdf") else f"{name}.pdf"
    return {"type": "file", "file": file}, path


def _search_result(block: Block, path: str) -> JsonObject:
    inside = f"{path}.content"
    content = decode_at(_BLOCKS, _given(block.content, inside), inside)
    return {
        "type": "search_result",
        "source": decode_at(_TEXT, _given(block.source, f"{path}.source"), f"{path}.source"),
        "title": required(block.title, f"{path}.title"),
        "content": [part for part, _ in content_parts(content, inside)],
    }


def _given(raw: Raw, path: str) -> Raw:
    return required(raw if is_given(raw) else None, path)


def _data_url(source: Source, path: str) -> str:
    kind = required(source.media_type, f"{path}.media_type")
    return f"data:{kind};base64,{required(source.data, f'{path}.data')}"


def _stored(path: str) -> Exception:
    words = "Stored files cannot be read here. Send the data itself as a source of type 'base64'"
    return refused(path, words, "invalid_file_id")
