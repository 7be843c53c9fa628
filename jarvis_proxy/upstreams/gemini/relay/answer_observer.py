"""Observes a relayed answer: tokens, ends, errors. Pure.

Only these fields are decoded, frame by frame; nothing is changed.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse (read 2026-11).
"""

from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.exchange import bad_frame, bad_response
from jarvis_proxy.canonical.usage import TokenUsage, to_token_usage
from jarvis_proxy.upstreams.gemini.relay.errors import error_in_stream
from jarvis_proxy.upstreams.gemini.reply.usage import translate_usage
from jarvis_proxy.upstreams.json_values import dumps, fields_of, is_swarm, items_of, loads

_NOTHING: Final = Raw()


class _Candidate(msgspec.Struct, rename="camel", gc=False):
    index: int = 0
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str | None = None


class _Frame(msgspec.Struct, rename="camel", gc=False):
    candidates: list[_Candidate] | None = None
    usage_metadata: Raw = _NOTHING
    prompt_feedback: _Feedback | None = None
    error: Raw = _NOTHING


_FRAME: Final = msgspec.json.Decoder(_Frame)


class AnswerObserver:
    """Observes the frames of one answer. *model* is the client's name of the model."""

    __slots__ = ("_finished", "_is_blocked", "_model", "_seen", "_usage", "has_frames")

    def __init__(self, model: str) -> None:
        self._model = model
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self._is_blocked = False
        self._usage = b""
        self.has_frames = False

    @property
    def is_complete(self) -> bool:
        """Whether every candidate has ended, or the prompt was refused."""
        return self._is_blocked or (bool(self._seen) and self._seen == self._finished)

    @property
    def usage(self) -> TokenUsage | None:
        """The token counts in the last frame that has any."""
        return to_token_usage(translate_usage(self._usage)) if self._usage else None

    def note(self, payload: bytes) -> None:
        """Inspect a frame.

        Raises:
            ProxyError: the frame's own error; 502 `upstream_bad_frame`, it is no JSON object.
        """
        if is_swarm(payload):
            raise bad_frame()
        try:
            frame = _FRAME.decode(payload)
        except (ValueError, RecursionError):
            frame = _odd_frame(payload)
        if bytes(frame.error) not in (b"", b"null"):
            raise error_in_stream(payload, model=self._model) or bad_response()
        self.has_frames = True
        if frame.usage_metadata:
            # Copy it, because the frame may contain a picture.
            self._usage = bytes(frame.usage_metadata)
        if frame.prompt_feedback is not None and frame.prompt_feedback.block_reason:
            self._is_blocked = True
        for candidate in frame.candidates or ():
            self._seen.add(candidate.index)
            if candidate.finish_reason:
                self._finished.add(candidate.index)


def _odd_frame(payload: bytes) -> _Frame:
    """Return what can be read of a frame with unexpected types, such as enums as numbers."""
    try:
        value = loads(payload)
    except ValueError:
        raise bad_frame() from None
    if not isinstance(value, dict):
        raise bad_frame()
    feedback = fields_of(value.get("promptFeedback"))
    return _Frame(
        [_odd_candidate(candidate) for candidate in items_of(value.get("candidates"))],
        _raw(value.get("usageMetadata")),
        _Feedback(_word(feedback.get("blockReason"))),
        _raw(value.get("error")),
    )


def _odd_candidate(value: object) -> _Candidate:
    fields = fields_of(value)
    index = fields.get("index")
    return _Candidate(index if isinstance(index, int) else 0, _word(fields.get("finishReason")))


def _word(value: object) -> str | None:
    return str(value) if value else None


def _raw(value: object) -> Raw:
    return Raw(dumps(value)) if value else _NOTHING


def read_answer(body: bytes, model: str) -> TokenUsage | None:
    """Return the token counts in a whole answer of any method, None if it has none.

    Raises:
        ProxyError: the answer is an error, or no JSON object.
    """
    observer = AnswerObserver(model)
    observer.note(body)
    return observer.usage
