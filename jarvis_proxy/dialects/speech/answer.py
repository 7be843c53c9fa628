"""Audio answers: a whole file, raw audio as it arrives, or OpenAI's events. Pure.

Source: https://platform.openai.com/docs/api-reference/audio/speech-audio-delta-event (read
2026-11). Whether OpenAI ends these events with ``[DONE]`` is not verified; none is sent.
"""

import base64
from collections.abc import Iterable
from typing import Final

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, DiscardingSink, Finish
from jarvis_proxy.canonical.exchange import empty_reply
from jarvis_proxy.dialects.chat.speech import SampleReader, wav_header
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.response_events import SequenceNumbers

_EVENT_SIZE: Final = 48 * 1024
_RATE: Final = 24000


class _Delta(msgspec.Struct, tag_field="type", tag="speech.audio.delta"):
    audio: str


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class _Done(msgspec.Struct, tag_field="type", tag="speech.audio.done"):
    usage: _Usage


def delta_events(sound: bytes) -> Iterable[bytes]:
    """Yield the events with *sound*, raw audio."""
    for start in range(0, len(sound), _EVENT_SIZE):
        piece = base64.b64encode(sound[start : start + _EVENT_SIZE]).decode()
        yield b"data: " + msgspec.json.encode(_Delta(piece)) + b"\n\n"


def done_event(prompt: int, completion: int) -> bytes:
    """Return the event that ends an answer; the arguments are token counts."""
    usage = _Usage(prompt, completion, prompt + completion)
    return b"data: " + msgspec.json.encode(_Done(usage)) + b"\n\n"


class SpeechAnswer:
    """One audio answer in the format *form*, ``wav`` or ``pcm``; implements ``Answer``.

    A stream consists of *events*, or of the audio itself.
    """

    __slots__ = ("_events", "_out", "_sink", "_usage")

    # A stream keeps nothing.
    kept: int = 0

    def __init__(
        self,
        form: str,
        *,
        events: bool = False,
        stream: bool,
        numbers: SequenceNumbers | None = None,
    ) -> None:
        self._events = events
        self._out: list[bytes] = []
        self._sink = _SpeechSink(self._out, form, stream=stream)
        self._usage = ChatUsage()

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of the only choice."""
        return self._sink if index == 0 else DiscardingSink()

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """Note the token counts of the answer."""
        self._usage = usage or ChatUsage()
        self._sink.ended = True

    def take(self) -> bytes:
        """Return the audio, or the events, since the last call."""
        sound = b"".join(self._out)
        self._out.clear()
        if not self._events:
            return sound
        events = b"".join(delta_events(sound))
        if self._sink.ended:
            usage = self._usage
            events += done_event(usage.prompt_tokens, usage.completion_tokens)
        return events

    def body(self) -> bytes:
        """Return the whole file."""
        return self._sink.file()


class _SpeechSink(DiscardingSink):
    """Receives the audio of an answer, and drops the rest."""

    def __init__(self, out: list[bytes], form: str, *, stream: bool) -> None:
        self._out = out
        self._form = form
        self._stream = stream
        self._reader = SampleReader()
        self._has_sound = False
        self.emitted = False
        self.ended = False

    def speech(self, mime_type: str, data: str, /) -> None:
        """Receive a piece of audio.

        Raises:
            ProxyError: 502 `upstream_bad_frame` or `upstream_bad_response`.
        """
        samples = self._reader.feed(mime_type, data)
        if not samples:
            return
        if self._stream and self._form == "wav" and not self._has_sound:
            self._out.append(wav_header(self._reader.rate or _RATE, None))
        self._has_sound = True
        self.emitted = self._stream
        self._out.append(samples)

    def finish(self, finish: Finish, /) -> None:
        """End the answer.

        Raises:
            ProxyError: 400 `moderation_blocked`, the upstream refused the request; 502
                `empty_response`, the answer has no audio.
        """
        if finish.reason == "content_filter":
            raise moderation_blocked(finish)
        if not self._has_sound:
            raise empty_reply()

    def file(self) -> bytes:
        """Return all of the audio as one file."""
        sound = b"".join(self._out)
        if self._form == "wav":
            return wav_header(self._reader.rate or _RATE, len(sound)) + sound
        return sound


def moderation_blocked(finish: Finish, error_type: str = "invalid_request_error") -> ProxyError:
    """Return OpenAI's error for an answer that was filtered, as *finish* says.

    Source: https://platform.openai.com/docs/guides/image-generation (read 2026-11), for pictures;
    for speech and transcripts this is not verified.
    """
    reason = finish.message or finish.native.rpartition(":")[2] or "no reason given"
    message = f"Your request was rejected by the safety system: {reason[:500]}"
    return ProxyError(
        400,
        message,
        error_type=error_type,
        code="moderation_blocked",
        should_retry=False,
    )
