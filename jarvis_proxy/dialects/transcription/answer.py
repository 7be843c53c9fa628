"""A transcript in the requested format, as one body or as OpenAI's events. Pure.

Source: https://platform.openai.com/docs/api-reference/audio/json-object and its neighbours (read
2026-11), and recorded answers: events are ``data:`` lines, and ``[DONE]`` ends them.
"""

import math
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, DiscardingSink, Finish
from jarvis_proxy.dialects.speech.answer import moderation_blocked
from jarvis_proxy.dialects.transcription.options import TranscriptOptions
from jarvis_proxy.dialects.transcription.segments import (
    Segment,
    Transcript,
    read_transcript,
    to_srt,
    to_vtt,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.sse import DONE

Json = dict[str, Any]
_ENGLISH: Final = "english"


class TranscriptAnswer:
    """One transcript; implements ``Answer``."""

    __slots__ = ("_options", "_out", "_sink", "_stream", "_usage")

    def __init__(
        self,
        options: TranscriptOptions,
        *,
        stream: bool,
        numbers: SequenceNumbers | None = None,
    ) -> None:
        self._options = options
        self._stream = stream
        self._out: list[bytes] = []
        self._sink = _TextSink(self._out, events=stream and options.is_plain)
        self._usage = ChatUsage()

    @property
    def kept(self) -> int:
        """About how many bytes the answer keeps until its end."""
        return self._sink.size

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of the only choice."""
        return self._sink if index == 0 else DiscardingSink()

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the answer.

        Raises:
            ProxyError: 502 `upstream_bad_response`, the model's segments cannot be read.
        """
        self._usage = usage or ChatUsage()
        if not self._stream:
            return
        text = self._sink.text_so_far
        if not self._options.is_plain:
            found = read_transcript(text)
            self._out += [_event(_spoken(n, one)) for n, one in enumerate(found.segments)]
            text = found.text
        done = {"type": "transcript.text.done", "text": text, "usage": _usage(self._usage)}
        self._out += [_event(done), DONE]

    def take(self) -> bytes:
        """Return the events since the last call."""
        events = b"".join(self._out)
        self._out.clear()
        return events

    def body(self) -> bytes:
        """Return the transcript.

        Raises:
            ProxyError: 502 `upstream_bad_response`, the model's segments cannot be read.
        """
        text, options = self._sink.text_so_far, self._options
        if options.format == "json":
            return msgspec.json.encode({"text": text, "usage": _usage(self._usage)})
        if options.format == "text":
            return f"{text}\n".encode()
        found = read_transcript(text)
        match options.format:
            case "srt":
                return to_srt(found.segments).encode()
            case "vtt":
                return to_vtt(found.segments).encode()
            case "verbose_json":
                return msgspec.json.encode(_verbose(found, options))
            case _:
                return msgspec.json.encode(self._diarized(found))

    def _diarized(self, found: Transcript) -> Json:
        return {
            "task": "transcribe",
            "duration": found.duration,
            "text": found.text,
            "segments": [_spoken(number, one) for number, one in enumerate(found.segments)],
            "usage": _usage(self._usage),
        }


class _TextSink(DiscardingSink):
    """Receives the text of an answer, and writes events if the stream has them."""

    def __init__(self, out: list[bytes], *, events: bool) -> None:
        self._out = out
        self._events = events
        self._pieces: list[str] = []
        self.emitted = False
        self.size = 0

    @property
    def text_so_far(self) -> str:
        """The text so far, stripped."""
        return "".join(self._pieces).strip()

    def text(self, text: str, /) -> None:
        """Receive a piece of the text."""
        self._pieces.append(text)
        self.size += len(text)
        if self._events:
            self.emitted = True
            self._out.append(_event({"type": "transcript.text.delta", "delta": text}))

    def finish(self, finish: Finish, /) -> None:
        """End the text.

        Raises:
            ProxyError: 400 `moderation_blocked`; 502 `upstream_truncated`, the transcript exceeds
                the model's output limit.
        """
        if finish.reason == "content_filter":
            raise moderation_blocked(finish)
        if finish.reason == "length":
            message = (
                "The transcript is longer than the model's answer may be. "
                "Send the audio in shorter pieces."
            )
            raise ProxyError(502, message, code="upstream_truncated", should_retry=False)


def _event(event: Json) -> bytes:
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def _usage(usage: ChatUsage) -> Json:
    sound = usage.prompt_tokens_details.audio_tokens
    return {
        "type": "tokens",
        "total_tokens": usage.total_tokens,
        "input_tokens": usage.prompt_tokens,
        "input_token_details": {
            "text_tokens": max(0, usage.prompt_tokens - sound),
            "audio_tokens": sound,
        },
        "output_tokens": usage.completion_tokens,
    }


def _spoken(number: int, segment: Segment) -> Json:
    return {
        "type": "transcript.text.segment",
        "text": segment.text,
        "speaker": segment.speaker or "A",
        "start": segment.start,
        "end": segment.end,
        "id": f"seg_{number}",
    }


def _verbose(found: Transcript, options: TranscriptOptions) -> Json:
    answer: Json = {
        "task": "translate" if options.translates else "transcribe",
        "language": _ENGLISH if options.translates else found.language,
        "duration": found.duration,
        "text": found.text,
    }
    if options.words:
        answer["words"] = found.words
    if options.segments:
        answer["segments"] = [
            _verbose_segment(number, one, options.temperature or 0.0)
            for number, one in enumerate(found.segments)
        ]
    answer["usage"] = {"type": "duration", "seconds": math.ceil(found.duration)}
    return answer


def _verbose_segment(number: int, segment: Segment, temperature: float) -> Json:
    """Return a segment with all of Whisper's fields; those that only Whisper knows are 0."""
    return {
        "id": number,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    }
