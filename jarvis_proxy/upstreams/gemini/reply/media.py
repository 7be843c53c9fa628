"""Pictures and speech in answers. Pure.

Source: https://ai.google.dev/api/caching#Blob (read 2026-11).
"""

from typing import Final

from jarvis_proxy.upstreams.gemini.reply.frames import Blob
from jarvis_proxy.wire.chat_types import Image, ImageURL

_STANDARD: Final = str.maketrans("-_", "+/")


def is_image(blob: Blob) -> bool:
    """Tell whether *blob* is a picture with something in it."""
    return bool(blob.data) and (blob.mime_type or "").lower().startswith("image/")


def is_audio(blob: Blob) -> bool:
    """Tell whether *blob* is sound with something in it."""
    return bool(blob.data) and (blob.mime_type or "").lower().startswith("audio/")


def to_image(blob: Blob, index: int) -> Image:
    """Return a picture as a ``data:`` URL; *index* counts an answer's pictures."""
    data = (blob.data or "").translate(_STANDARD)
    return Image(image_url=ImageURL(f"data:{blob.mime_type};base64,{data}"), index=index)
