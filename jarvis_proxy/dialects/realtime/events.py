"""The events of a session that the proxy reads, and the one that it sends. Pure.

Source: https://platform.openai.com/docs/api-reference/realtime-server-events (read 2026-11).
"""

from typing import Final

import msgspec

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError

_RESPONSE: Final = "response.done"
_TRANSCRIPTION: Final = "conversation.item.input_audio_transcription.completed"
_MAX_ERROR: Final = 64 * 1024


class _Kinds(msgspec.Struct):
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _Details(_Kinds):
    cached_tokens: int | None = None
    cached_tokens_details: _Kinds | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: _Details | None = None


class _Response(msgspec.Struct):
    usage: _Usage | None = None


class _Counted(msgspec.Struct):
    type: str = ""
    response: _Response | None = None
    usage: _Usage | None = None


class _Transcription(msgspec.Struct):
    model: str | None = None


class _Input(msgspec.Struct):
    transcription: _Transcription | None = None


class _Audio(msgspec.Struct):
    input: _Input | None = None


class _Session(msgspec.Struct):
    model: str | None = None
    audio: _Audio | None = None
    input_audio_transcription: _Transcription | None = None


class _Described(msgspec.Struct):
    session: _Session | None = None


class _Error(msgspec.Struct):
    type: str
    code: str | None
    message: str
    param: str | None
    event_id: str | None = None


class _ErrorEvent(msgspec.Struct, tag_field="type", tag="error"):
    event_id: str
    error: _Error


class EventUsage(msgspec.Struct, frozen=True):
    """Tokens of one event; *is_transcription*: they belong to the transcription model."""

    tokens: TokenUsage
    is_transcription: bool


class SessionModels(msgspec.Struct, frozen=True):
    """The models of a session as the upstream describes it; ``""`` if it names none."""

    model: str
    transcription: str


_COUNTED: Final = msgspec.json.Decoder(_Counted)
_DESCRIBED: Final = msgspec.json.Decoder(_Described)


def usage_in(event: bytes) -> EventUsage | None:
    """Return the tokens that an upstream's *event* reports, None if it reports none.

    A transcription that is billed by seconds reports none.
    """
    if b'"usage"' not in event:
        return None
    try:
        found = _COUNTED.decode(event)
    except (msgspec.DecodeError, RecursionError):
        return None
    usage = found.usage
    if found.type == _RESPONSE:
        usage = None if found.response is None else found.response.usage
    elif found.type != _TRANSCRIPTION:
        return None
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    details = usage.input_token_details or _Details()
    cached = details.cached_tokens_details or _Kinds()
    tokens = TokenUsage(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        details.cached_tokens or 0,
        audio=(details.audio_tokens or 0) - (cached.audio_tokens or 0),
        image=(details.image_tokens or 0) - (cached.image_tokens or 0),
    )
    return EventUsage(tokens, found.type == _TRANSCRIPTION)


def models_in(event: bytes) -> SessionModels | None:
    """Return the models in an upstream's description of its session, None without one."""
    if b'"session"' not in event:
        return None
    try:
        session = _DESCRIBED.decode(event).session
    except (msgspec.DecodeError, RecursionError):
        return None
    if session is None:
        return None
    within = None if session.audio is None else session.audio.input
    transcription = session.input_audio_transcription
    if within is not None and within.transcription is not None:
        transcription = within.transcription
    named = "" if transcription is None else transcription.model
    return SessionModels(session.model or "", named or "")


def may_be_error(event: bytes) -> bool:
    """Return whether an upstream's *event* may be an error, which may repeat a key."""
    return len(event) <= _MAX_ERROR and b'"error"' in event


def error_event(error: ProxyError, event_id: str) -> bytes:
    """Return *error* as the event ``error``."""
    code = None if error.code is None else str(error.code)
    body = _Error(error.error_type, code, error.message, error.param)
    return msgspec.json.encode(_ErrorEvent(event_id, body))
