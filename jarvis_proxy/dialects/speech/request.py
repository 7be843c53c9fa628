"""Converts a speech request to the equivalent chat request. Pure.

Source: https://platform.openai.com/docs/api-reference/audio/createSpeech (read 2026-11).
"""

from collections.abc import Collection
from functools import partial
from typing import Final, Literal

import msgspec

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.validation_errors import check_range, invalid, missing, wrong_type
from jarvis_proxy.dialects.request_fields import (
    FixedParams,
    check_choice,
    decode_body,
    unsuitable_model,
)
from jarvis_proxy.dialects.speech.answer import SpeechAnswer
from jarvis_proxy.errors import ProxyError

SPEECH: Final = "audio/speech"
NATIVE: Final = ("pcm", "wav")
"""Formats that are written here; the others need an encoder."""
FORMATS: Final = ("mp3", "opus", "aac", "flac", *NATIVE)

UNENCODED: Final = "audio/wav; encoding=pending"
"""The content type of a WAV file that the shell must still encode in the requested format."""

CONTENT_TYPES: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_NO_STYLE: Final = "None"
"""Home Assistant's value for no style; a model would speak it."""
_SLOWEST: Final = 0.25
_FASTEST: Final = 4.0
_PARAMS: Final = FixedParams(
    {
        "messages": "input",
        "audio.voice": "voice",
        "audio.format": "response_format",
        "modalities": "model",
    }
)


class SpeechRequest(msgspec.Struct):
    """The relevant fields of the body."""

    input: str | None = None
    voice: object = None
    instructions: str | None = None
    response_format: str | None = None
    speed: float | None = None
    stream_format: str | None = None

    @property
    def format(self) -> str:
        """The requested audio format."""
        return self.response_format or "mp3"

    @property
    def sends_events(self) -> bool:
        """Whether the client wants events."""
        return self.stream_format == "sse"


_DECODER: Final = msgspec.json.Decoder(SpeechRequest)


def decode_speech(body: bytes) -> SpeechRequest:
    """Return the request in *body*.

    Raises:
        ProxyError: 400, with the invalid or missing param.
    """
    request = decode_body(_DECODER, body)
    if not request.input:
        raise missing("input")
    if request.voice in (None, ""):
        raise missing("voice")
    if request.speed is not None:
        check_range("speed", request.speed, _SLOWEST, _FASTEST)
    check_choice("response_format", request.response_format, FORMATS)
    check_choice("stream_format", request.stream_format, ("sse", "audio"))
    return request


def streams(body: bytes) -> Literal["sse", "audio"] | None:
    """Return how *body*'s audio can be streamed while it is generated, None if it cannot.

    An encoder needs all of it. This reports no errors in the body.
    """
    try:
        request = decode_speech(body)
    except ProxyError:
        return None
    if request.format not in NATIVE or request.stream_format is None:
        return None
    return "sse" if request.sends_events else "audio"


class SpeechDialect:
    """OpenAI's speech; implements ``Dialect``. *encodes* are the formats that the shell can make.

    With an encoder, the speed of audio that is not streamed can also be changed.
    """

    __slots__ = ("_encodes",)

    def __init__(self, encodes: Collection[str] = ()) -> None:
        self._encodes = encodes

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400, the request is not valid, the model does not speak, or the format needs
                an encoder that is not installed.
        """
        request = decode_speech(call.body)
        if not features.speaks:
            rest = "does not speak. Use one that does, such as gemini-2.5-flash-preview-tts."
            raise unsuitable_model(call.model, rest)
        ignored = IgnoredParams(strict=call.strict_params)
        is_encoded = self._is_encoded(request, ignored, streamed=call.stream)
        canonical = CanonicalRequest(
            body=_chat(request), params=_PARAMS, ignored=ignored.names, sealed=False
        )
        form = "wav" if is_encoded else request.format
        content_type = UNENCODED if is_encoded else CONTENT_TYPES[form]
        return DialectCall(
            canonical,
            partial(SpeechAnswer, form, events=request.sends_events),
            () if call.stream else (("content-type", content_type),),
        )

    def _is_encoded(
        self, request: SpeechRequest, ignored: IgnoredParams, *, streamed: bool
    ) -> bool:
        form = request.format
        if form not in NATIVE and form not in self._encodes:
            message = (
                f"This proxy cannot encode '{form}': ffmpeg is not installed here. "
                "Ask for 'wav' or 'pcm'."
            )
            raise invalid("response_format", message, "unsupported_value")
        changes_speed = request.speed not in (None, 1)
        if changes_speed and (streamed or form not in self._encodes):
            ignored.add_or_reject("speed")
            changes_speed = False
        return form not in NATIVE or changes_speed


def _chat(request: SpeechRequest) -> bytes:
    """Return the chat request; the system message says how to speak the user's text."""
    messages = [{"role": "user", "content": request.input}]
    style = (request.instructions or "").strip()
    if style and style != _NO_STYLE:
        messages.insert(0, {"role": "system", "content": style})
    return msgspec.json.encode(
        {
            "messages": messages,
            "modalities": ["audio"],
            "audio": {"voice": _voice(request.voice), "format": "pcm16"},
        }
    )


def _voice(voice: object) -> str:
    name = voice.get("id") if isinstance(voice, dict) else voice
    if not isinstance(name, str):
        raise wrong_type("voice", "a string or an object with an id", voice)
    return name
