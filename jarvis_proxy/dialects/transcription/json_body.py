"""A request for a transcript in JSON, as the form that asks the same. Pure.

OpenAI takes forms only. OpenRouter and services like it take the sound as ``input_audio``, as in
a chat, and Open WebUI sends it so where its setting says JSON.
"""

import base64
import binascii
from typing import Final

import msgspec

from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.dialects.request_fields import decode_body
from jarvis_proxy.wire.multipart_form import Form, FormPart


class _Sound(msgspec.Struct):
    data: str
    format: str = ""


class _Body(msgspec.Struct):
    input_audio: _Sound | None = None


_SOUND: Final = msgspec.json.Decoder(_Body)
_FIELDS: Final = msgspec.json.Decoder(dict[str, object])


def json_form(body: bytes) -> Form:
    """Return *body* as a form: each text, number or truth value is a field, a list is several.

    Raises:
        ProxyError: 400, it is no JSON object, or the sound is not base64.
    """
    sound = decode_body(_SOUND, body).input_audio
    fields = [
        (name, _text(value))
        for name, given in decode_body(_FIELDS, body).items()
        for value in (given if isinstance(given, list) else [given])
        if isinstance(value, str | int | float)
    ]
    data, parts = bytearray(), []
    for name, text in fields:
        parts.append(FormPart(name, None, "", len(data), len(data) + len(text)))
        data += text
    if sound is not None:
        decoded = _decoded(sound.data)
        filename = f"audio.{sound.format}"
        parts.append(FormPart("file", filename, "", len(data), len(data) + len(decoded)))
        data += decoded
    return Form(bytes(data), parts)


def _text(value: str | float) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return str(value).encode()


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        message = "Invalid 'input_audio.data': expected base64."
        raise invalid("input_audio.data", message) from None
