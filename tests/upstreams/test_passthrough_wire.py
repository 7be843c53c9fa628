"""Every recorded OpenAI stream passes through unchanged and is seen to be complete."""

import json
import re
from typing import Any

import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.upstreams.frames import StreamKind
from jarvis_proxy.upstreams.openai_stream import stream_kind
from tests.support.recordings import recordings, response_of
from tests.upstreams.openai_streams import Outcome, play

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

STREAMS = [
    recording
    for recording in recordings("openai")
    if recording.values[0] is None or "sse" in recording.values[0]["response"]
]
_FINISHED = re.compile(rb'"finish_reason": ?"|"type": ?"response\.completed"')


def stream_of(recording: dict[str, Any]) -> tuple[StreamKind, bytes]:
    path = recording["request"]["path"].partition("?")[0]
    return stream_kind(path.removeprefix("/v1/")), response_of(recording)[0]


def usage_of(stream: bytes) -> TokenUsage | None:
    """Return the last usage in *stream*, read by other means than the one under test."""
    found = None
    for line in stream.decode().split("\n"):
        if not line.startswith("data: {"):
            continue
        event = json.loads(line.removeprefix("data: "))
        usage = (event.get("response") or event).get("usage")
        if usage:
            names = [name for name in usage if "_token" in name and name.endswith("_details")]
            details = {key: count for name in names for key, count in (usage[name] or {}).items()}
            given = usage.get("prompt_tokens_details") or usage.get("input_token_details") or {}
            found = TokenUsage(
                usage.get("prompt_tokens", usage.get("input_tokens", 0)),
                usage.get("completion_tokens", usage.get("output_tokens", 0)),
                details.get("cached_tokens", 0),
                details.get("reasoning_tokens", 0),
                audio=given.get("audio_tokens", 0),
                image=given.get("image_tokens", 0),
            )
    return found


@pytest.mark.parametrize("recording", STREAMS)
def test_recorded_stream_is_byte_identical_and_complete(recording: dict[str, Any]) -> None:
    kind, stream = stream_of(recording)

    found = play(kind, [stream])

    assert found == Outcome(stream, None, True, usage_of(stream))
    # Every cut of a short stream, some 150 of a long one.
    for at in range(1, len(stream), max(1, len(stream) // 150)):
        assert play(kind, [stream[:at], stream[at:]]) == found
    for size in (1, 2, 3, 7, 64, 1021):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert play(kind, pieces) == found


@pytest.mark.parametrize("recording", STREAMS)
def test_recorded_stream_that_breaks_off_is_never_taken_for_complete(
    recording: dict[str, Any],
) -> None:
    kind, stream = stream_of(recording)
    # Before the last finish reason at least one choice is still open.
    finished = [found.start() for found in _FINISHED.finditer(stream)]
    still_open = finished[-1] if finished else stream.rindex(b"data: {")
    # Only its first whole event says which kind of other stream it is.
    known_from = stream.index(b"\r\n\r") + 3 if kind == "other" else 0

    for at in range(0, still_open, max(1, still_open // 100)):
        found = play(kind, [stream[:at]])
        assert found.code == ("upstream_truncated" if at >= known_from else None)
        assert not found.done
        assert b"[DONE]" not in found.out
        assert stream.startswith(found.out.removesuffix(b"\n"))


def test_every_recorded_response_passes_unchanged_and_is_seen_to_be_complete() -> None:
    recorded = [param.values[0] for param in recordings("openai_responses")]
    streams = [
        one
        for one in recorded
        if one is not None and one["kind"] == "responses" and "sse" in one["response"]
    ]
    wrong = []
    for recording in streams:
        kind, stream = stream_of(recording)
        pieces = [stream[at : at + 701] for at in range(0, len(stream), 701)]
        if play(kind, pieces) != Outcome(stream, None, True, usage_of(stream)):
            wrong.append(recording["id"])

    assert wrong == []
