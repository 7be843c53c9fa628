"""What chat applications send for sound, pictures and vectors, in the bytes in which they send it.

Written down from Open WebUI 0.12.4, Home Assistant 2026.2.3 (its speech and its transcripts: the
development version of November 2026) and LobeChat 2.1.26. Texts are the tests' own.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.conftest import KEY
from tests.support.sdk_upstreams import Json

BOUNDARY = "cecac7413c8146afaf0a95c855e75669"
WAV = b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0data\0\0\0\0"
WEBM = b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\x82\x84webm"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0\x90wS\xde"
SPOKEN = "gemini-2.5-flash-preview-tts"
DRAWN = "gemini-2.5-flash-image"
IMAGEN = "imagen-4.0-generate-001"

_BEARER = {"Authorization": f"Bearer {KEY}"}
_GOOG = {"x-goog-api-key": KEY, "Content-Type": "application/json"}
_OPEN_WEBUI = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br",
    "User-Agent": "Python/3.11 aiohttp/3.14.5",
}
_HOME_ASSISTANT = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "AsyncOpenAI/Python 2.15.0",
    "X-Stainless-Lang": "python",
    "x-stainless-retry-count": "0",
    **_BEARER,
}
_LOBECHAT = {
    "accept": "application/json",
    "user-agent": "OpenAI/JS 4.104.0",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    **_BEARER,
}


@dataclass(frozen=True)
class AppRequest:
    """One request; *chunked* is how its body is framed."""

    name: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    chunked: bool = False


def _json(
    name: str, path: str, headers: Mapping[str, str], body: Json, *, indent: int | None = None
) -> AppRequest:
    typed = {**headers, "Content-Type": "application/json"}
    return AppRequest(name, path, typed, json.dumps(body, indent=indent).encode())


def _form(
    name: str,
    path: str,
    headers: Mapping[str, str],
    *parts: tuple[str, bytes],
    chunked: bool = False,
) -> AppRequest:
    """Return a form of *parts*, each the lines of its head and its content."""
    start, end = f"--{BOUNDARY}\r\n".encode(), f"--{BOUNDARY}--\r\n".encode()
    whole = b"".join(start + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts)
    typed = {**headers, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return AppRequest(name, path, typed, whole + end, chunked)


def _aiohttp(name: str, value: str) -> tuple[str, bytes]:
    """Return a field as aiohttp writes it, with the type in front."""
    head = f'Content-Disposition: form-data; name="{name}"'
    return f"Content-Type: text/plain; charset=utf-8\r\n{head}", value.encode()


def _field(name: str, value: str) -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', value.encode()


def _file(name: str, filename: str, mime: str, data: bytes) -> tuple[str, bytes]:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return f"{head}\r\nContent-Type: {mime}", data


def _typed_first(name: str, filename: str, mime: str, data: bytes) -> tuple[str, bytes]:
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return f"Content-Type: {mime}\r\n{head}", data


_OW_BEARER = {**_OPEN_WEBUI, **_BEARER}
_TRANSCRIPTS = "/v1/audio/transcriptions"

SPEECH = (
    _json(
        "open_webui",
        "/v1/audio/speech",
        _OW_BEARER,
        {"input": "Hello.", "voice": "alloy", "model": SPOKEN},
    ),
    _json(
        "home_assistant",
        "/v1/audio/speech",
        {**_HOME_ASSISTANT, "Accept": "application/octet-stream"},
        {
            "input": "Hello.",
            "model": SPOKEN,
            "voice": "marin",
            "instructions": "None",
            "response_format": "mp3",
            "speed": 1.0,
        },
    ),
    _json(
        "lobechat",
        "/v1/audio/speech",
        {**_LOBECHAT, "accept": "*/*"},
        {"input": "Hello.", "model": SPOKEN, "voice": "alloy"},
        indent=2,
    ),
)
TRANSCRIPTS = (
    _form(
        "open_webui",
        _TRANSCRIPTS,
        _OW_BEARER,
        _aiohttp("model", "gemini-3-flash"),
        _aiohttp("language", "de"),
        _typed_first("file", "3345cbb9.wav", "application/octet-stream", WAV),
        chunked=True,
    ),
    _json(
        "open_webui_json",
        _TRANSCRIPTS,
        _OW_BEARER,
        {
            "model": "gemini-3-flash",
            "language": "de",
            "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"},
        },
    ),
    _form(
        "home_assistant",
        _TRANSCRIPTS,
        _HOME_ASSISTANT,
        _field("model", "gemini-3-flash"),
        _field("language", "de"),
        _field("prompt", "About a house."),
        _field("response_format", "json"),
        _file("file", "a.wav", "audio/x-wav", WAV),
    ),
    _form(
        "lobechat",
        _TRANSCRIPTS,
        {**_LOBECHAT, "accept": "*/*"},
        _field("model", "gemini-3-flash"),
        _field("prompt", ""),
        _file("file", "1796056271687.webm", "audio/webm", WEBM),
    ),
)
PICTURES = (
    _json(
        "open_webui",
        "/v1/images/generations",
        _OW_BEARER,
        {
            "model": DRAWN,
            "prompt": "An otter",
            "n": 1,
            "size": "512x512",
            "response_format": "b64_json",
        },
    ),
    _json(
        "home_assistant",
        "/v1/images/generations",
        _HOME_ASSISTANT,
        {
            "prompt": "An otter",
            "model": DRAWN,
            "n": 1,
            "quality": "standard",
            "response_format": "url",
            "size": "1024x1024",
            "style": "vivid",
        },
    ),
    _json(
        "lobechat",
        "/v1/images/generations",
        _LOBECHAT,
        {"model": DRAWN, "n": 1, "prompt": "An otter", "seed": 7},
        indent=2,
    ),
)
EDITS = (
    _form(
        "open_webui",
        "/v1/images/edits",
        _OW_BEARER,
        _aiohttp("model", DRAWN),
        _aiohttp("prompt", "Make it blue"),
        _aiohttp("response_format", "b64_json"),
        _typed_first("image", "1ef43ee8.png", "image/png", PNG),
    ),
    _form(
        "open_webui_two",
        "/v1/images/edits",
        _OW_BEARER,
        _aiohttp("model", DRAWN),
        _aiohttp("prompt", "Make it blue"),
        _aiohttp("n", "1"),
        _aiohttp("size", "1024x1024"),
        _aiohttp("background", "transparent"),
        _aiohttp("response_format", "b64_json"),
        _typed_first("image[]", "1ef43ee8.png", "image/png", PNG),
        _typed_first("image[]", "920c1cb0.png", "image/png", PNG),
    ),
    _form(
        "lobechat_two",
        "/v1/images/edits",
        _LOBECHAT,
        _field("model", DRAWN),
        _field("n", "1"),
        _field("prompt", "Make it blue"),
        _field("size", "1024x1024"),
        _file("image[]", "image.png", "image/png", PNG),
        _file("image[]", "image.png", "image/png", PNG),
    ),
)
EMBEDDINGS = (
    _json(
        "open_webui",
        "/v1/embeddings",
        _OW_BEARER,
        {"input": ["one", "two"], "model": "gemini-embedding-001"},
    ),
    _json(
        "lobechat",
        "/v1/embeddings",
        _LOBECHAT,
        {
            "model": "gemini-embedding-001",
            "input": ["one", "two"],
            "dimensions": 1024,
            "encoding_format": "float",
        },
        indent=2,
    ),
)
IMAGEN_PREDICTS = (
    _json(
        "open_webui",
        f"/v1beta/models/{IMAGEN}:predict",
        {**_OPEN_WEBUI, **_GOOG},
        {
            "instances": {"prompt": "An otter"},
            "parameters": {"sampleCount": 1, "outputOptions": {"mimeType": "image/png"}},
        },
    ),
    _json(
        "lobechat",
        f"/v1beta/models/{IMAGEN}:predict",
        {**_GOOG, "User-Agent": "google-genai-sdk/1.38.0 gl-node/v20.20.2"},
        {
            "instances": [{"prompt": "An otter"}],
            "parameters": {"sampleCount": 1, "aspectRatio": "16:9"},
        },
    ),
)
RESPONSES = _json(
    "lobechat",
    "/v1/responses",
    _LOBECHAT,
    {
        "temperature": 1,
        "stream": True,
        "model": "gemini-3-flash",
        "input": [{"role": "user", "content": "The weather?"}],
        "store": False,
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            }
        ],
        "user": "u1",
    },
    indent=2,
)
