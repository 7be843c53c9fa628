"""Streams of pictures, speech and transcripts: an end without their last event is an error."""

import pytest

from tests.server.odd_answers import FORM, Json, ask, streaming
from tests.support.splits import assert_same_for_every_split
from tests.upstreams.openai_streams import DONE, Outcome, play

pytestmark = pytest.mark.slow


def _event(kind: str) -> bytes:
    return b'event: %b\ndata: {"type":"%b"}\n\n' % (kind.encode(), kind.encode())


_SPEECH: Json = {"model": "tts", "input": "Hi", "voice": "alloy", "stream_format": "sse"}
_DRAWING: Json = {"model": "gpt-image-1", "prompt": "Hi", "stream": True}
STREAMS = {
    "transcript": ("transcript.text.delta", "transcript.text.done", FORM, "transcriptions"),
    "speech": ("speech.audio.delta", "speech.audio.done", _SPEECH, "speech"),
    "picture": (
        "image_generation.partial_image",
        "image_generation.completed",
        _DRAWING,
        "generations",
    ),
    "edit": ("image_edit.partial_image", "image_edit.completed", FORM, "edits"),
}
every_stream = pytest.mark.parametrize(
    ("part", "last", "asked", "path"), STREAMS.values(), ids=STREAMS
)


def _fed(stream: bytes) -> Outcome:
    return assert_same_for_every_split(lambda pieces: play("other", pieces), stream)


@every_stream
def test_medium_is_complete_with_its_last_event_only(
    part: str, last: str, asked: object, path: str
) -> None:
    """The last event may lack its blank line; and each of two pictures has one."""
    begun, end = _event(part), _event(last)
    whole = begun + begun + end

    assert _fed(whole) == Outcome(whole, None, False, None)
    assert _fed(whole + begun + end) == Outcome(whole + begun + end, None, False, None)
    assert _fed(whole[:-2]).out == whole
    assert _fed(whole + end[:-9]) == Outcome(whole, None, False, None)
    assert _fed(begun + DONE) == Outcome(begun + DONE, None, True, None)
    assert _fed(begun) == Outcome(begun, "upstream_truncated", False, None)
    assert _fed(begun + end[:-9]) == Outcome(begun, "upstream_truncated", False, None)
    assert _fed(whole + begun) == Outcome(whole + begun, "upstream_truncated", False, None)


@every_stream
async def test_clean_end_in_the_middle_reaches_the_client_as_an_error(
    part: str, last: str, asked: Json | bytes, path: str
) -> None:
    address = f"/v1/{'images' if path in ('generations', 'edits') else 'audio'}/{path}"
    begun, end = _event(part), _event(last)

    cut, log = await ask(streaming(begun), asked, address)
    whole, _ = await ask(streaming(begun, end), asked, address)

    assert cut.body.startswith(begun + b'data: {"error":')
    assert b'"code":"upstream_truncated"' in cut.body
    assert "outcome=upstream_error code=upstream_truncated" in log
    assert whole.body == begun + end
