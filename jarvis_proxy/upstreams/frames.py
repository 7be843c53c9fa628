"""Reads choices, usage and errors from events of OpenAI-compatible streams. Pure."""

from typing import Final, Literal

import msgspec

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.json_values import Fields, dumps, fields_of, is_swarm, loads
from jarvis_proxy.upstreams.openai_errors import (
    error_from_object,
    error_from_value,
    read_error_value,
)
from jarvis_proxy.upstreams.openai_usage import OpenAIUsage, UsageHolder, read_usage, usage_in

StreamKind = Literal["chat", "responses", "other"]
"""The rules by which a stream is complete."""

NO_ERROR: Final = msgspec.Raw()
_BROKEN: Final = "error"
"""OpenRouter's finish reason for a choice whose provider failed."""


class FrameChoice(msgspec.Struct, gc=False):
    """One choice's part of an event."""

    index: int = 0
    finish_reason: str | None = None
    usage: OpenAIUsage | None = None
    error: msgspec.Raw = NO_ERROR


class FrameResponse(msgspec.Struct):
    """A response in its first and last events."""

    usage: OpenAIUsage | None = None
    error: msgspec.Raw = NO_ERROR


class BaseResp(msgspec.Struct):
    """MiniMax's status of the call; 0 is success."""

    status_code: int = 0


class OpenAIFrame(msgspec.Struct, gc=False):
    """The relevant fields of an event; decoding it also proves that the event is valid JSON."""

    choices: list[FrameChoice] | None = None
    usage: OpenAIUsage | None = None
    error: msgspec.Raw = NO_ERROR
    type: str | None = None
    response: FrameResponse | None = None
    x_groq: UsageHolder | None = None
    base_resp: BaseResp | None = None

    def tokens(self) -> TokenUsage | None:
        """Return the usage in the event, None if it has none."""
        usage = self.usage
        if usage is None and self.x_groq is not None:
            usage = self.x_groq.usage
        if usage is None and self.response is not None:
            usage = self.response.usage
        for choice in self.choices or ():
            usage = usage or choice.usage
        return None if usage is None else usage.counted()


class OddOpenAIFrame(OpenAIFrame):
    """An event with fields of unexpected types: those fields that can be read."""

    counted: TokenUsage | None = None

    def tokens(self) -> TokenUsage | None:
        """Return the usage, as far as it could be read."""
        return self.counted


_FRAME: Final = msgspec.json.Decoder(OpenAIFrame)
FRAMES: Final = msgspec.json.Decoder(list[OpenAIFrame])


def read_frame(payload: bytes) -> OpenAIFrame:
    """Return an event's fields: decoded strictly if possible, otherwise field by field.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, no JSON object that an official SDK reads.
    """
    if is_swarm(payload):
        raise bad_frame()
    try:
        return _FRAME.decode(payload)
    except (ValueError, RecursionError):
        pass
    try:
        value = loads(payload)
    except ValueError:
        raise bad_frame() from None
    if isinstance(value, list) and (error := error_from_value(value)) is not None:
        raise error
    if not isinstance(value, dict):
        raise bad_frame()
    return _odd(value)


def _odd(fields: Fields) -> OddOpenAIFrame:
    kind, response = fields.get("type"), fields_of(fields.get("response"))
    choices = fields.get("choices")
    return OddOpenAIFrame(
        choices=[_choice(c) for c in map(fields_of, choices) if c]
        if isinstance(choices, list)
        else None,
        error=_raw(fields.get("error")),
        type=kind if isinstance(kind, str) else None,
        response=FrameResponse(error=_raw(response.get("error"))) if response else None,
        base_resp=BaseResp(1) if _fails(fields_of(fields.get("base_resp"))) else None,
        counted=usage_in(fields) or read_usage(response.get("usage")),
    )


def _choice(fields: Fields) -> FrameChoice:
    index, reason, error = (fields.get(name) for name in ("index", "finish_reason", "error"))
    return FrameChoice(
        index=int(index) if isinstance(index, int | float) and abs(index) < 1000 else 0,
        finish_reason=str(reason) if reason else None,
        error=_raw(error),
    )


def _raw(value: object) -> msgspec.Raw:
    return NO_ERROR if value is None else msgspec.Raw(dumps(value))


def _fails(base_resp: Fields) -> bool:
    return base_resp.get("status_code") not in (None, 0, "0")


def is_odd(frame: OpenAIFrame, kind: StreamKind) -> bool:
    """Return whether *frame* may be an error instead of a part of the answer."""
    if frame.error is not NO_ERROR:
        return True
    if frame.base_resp is not None and frame.base_resp.status_code:
        return True
    if frame.choices is None:
        return kind == "chat" or frame.type is None or frame.type == "error"
    return False


def error_of(frame: OpenAIFrame, payload: bytes, event: str, kind: StreamKind) -> ProxyError | None:
    """Return the error in an event that is no part of the answer, or None.

    *event* is its name, if it has one; *payload* is its data, from which *frame* was read.
    """
    if event != "error" and not is_odd(frame, kind):
        return None
    fields = fields_of(loads(payload.decode("utf-8", "replace").encode()))
    if event != "error" and not _stands_alone(frame, fields, kind):
        # This is another event of the stream, so only an explicit error counts.
        fields = {name: fields.get(name) for name in ("error", "base_resp")}
    return read_error_value(fields) if event == "error" else error_from_value(fields)


def _stands_alone(frame: OpenAIFrame, fields: Fields, kind: StreamKind) -> bool:
    if frame.choices or (frame.type is not None and frame.type != "error"):
        return False
    return kind == "chat" or fields.get("object") in (None, "error")


def broken_choice(choice: FrameChoice) -> ProxyError | None:
    """Return the error of a choice whose finish reason says that it failed."""
    if choice.finish_reason != _BROKEN:
        return None
    return error_from_object(bytes(choice.error))


def failure_of(frame: OpenAIFrame) -> ProxyError:
    """Return the error of a response that failed."""
    return error_from_object(b"" if frame.response is None else bytes(frame.response.error))


def bad_frame() -> ProxyError:
    """Return the error for an event that no official SDK could read."""
    return ProxyError(
        502, "The upstream sent an event that is not valid JSON.", code="upstream_bad_frame"
    )
