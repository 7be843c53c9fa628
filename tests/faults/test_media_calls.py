"""The network's faults on what Gemini hears, says, draws and goes on with, as seen raw."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.conftest import Proxy
from tests.faults.raw_calls import ask, before_fault
from tests.faults.test_every_call import BEFORE, WITHIN, Fault
from tests.support.forms import CONTENT_TYPE, form, part
from tests.support.google_media import SAMPLES, blob, frame
from tests.support.raw_client import RawResponse
from tests.support.raw_upstream import Peer

pytestmark = pytest.mark.slow

Json = dict[str, Any]
SAID: Final[Json] = {"text": "Once, "}
SPOKEN: Final = blob(SAMPLES)
SKETCH: Final = {**blob(b"\x89PNG", "image/png"), "thought": True}


@dataclass(frozen=True)
class Call:
    """A call as a client sends it; *first* is the part with which its answer begins.

    *is_sound*: the answer is raw sound, in which no error can stand.
    """

    path: str
    body: bytes
    first: Json
    streams: bool = False
    is_sound: bool = False
    media_type: str = "application/json"

    async def ask(self, proxy: Proxy) -> RawResponse:
        """Send it."""
        return await ask(proxy, self.path, self.body, self.media_type)

    async def begin(self, peer: Peer) -> None:
        """Send the head of a good answer and some of its body."""
        begun = json.dumps(frame([self.first])).encode()
        await peer.head(200, "text/event-stream" if self.streams else "application/json")
        await peer.chunk(b"data: " + begun + b"\r\n\r\n" if self.streams else begun[:30])


def _json(path: str, first: Json, *, sound: bool = False, **asked: object) -> Call:
    streams = bool(asked.get("stream") or asked.get("stream_format"))
    return Call(path, json.dumps(asked).encode(), first, streams, sound)


def _form(path: str, model: str, first: Json, **asked: str) -> Call:
    fields = {"model": model, "prompt": "Once", **asked}
    parts = [part(name, value) for name, value in fields.items()]
    files = [part(name, "OggS", more='; filename="a"') for name in ("file", "image")]
    return Call(path, form(*parts, *files), first, "stream" in asked, media_type=CONTENT_TYPE)


_SPEECH: Final[Json] = {
    "path": "/v1/audio/speech",
    "first": SPOKEN,
    "model": "gemini-2.5-flash-preview-tts",
    "voice": "alloy",
    "input": "Once",
    "response_format": "pcm",
}
_PAINTER: Final = "gemini-2.5-flash-image"
_DRAWING: Final[Json] = {
    "path": "/v1/images/generations",
    "first": SKETCH,
    "prompt": "Once",
    "partial_images": 1,
}
_TEXT: Final[Json] = {
    "path": "/v1/completions",
    "first": SAID,
    "model": "gemini-3.5-flash",
    "prompt": "Once",
}
_HEARD: Final = "/v1/audio/transcriptions"
CALLS: Final[Mapping[str, Call]] = {
    "speech": _json(**_SPEECH),
    "speech-as-sound": _json(**_SPEECH, stream_format="audio", sound=True),
    "speech-as-events": _json(**_SPEECH, stream_format="sse"),
    "picture": _json(**_DRAWING, model=_PAINTER),
    "picture-stream": _json(**_DRAWING, model=_PAINTER, stream=True),
    "imagen": _json(**_DRAWING, model="imagen-4"),
    "edit": _form("/v1/images/edits", _PAINTER, SKETCH),
    "edit-stream": _form("/v1/images/edits", _PAINTER, SKETCH, stream="true", partial_images="1"),
    "transcript": _form(_HEARD, "gemini-3.5-flash", SAID),
    "transcript-stream": _form(_HEARD, "gemini-3.5-flash", SAID, stream="true"),
    "subtitles": _form(_HEARD, "gemini-3.5-flash", SAID, response_format="srt"),
    "completion": _json(**_TEXT),
    "completion-stream": _json(**_TEXT, stream=True),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


@every_call
@pytest.mark.parametrize("fault", BEFORE, ids=[fault.__name__ for fault in BEFORE])
async def test_error_in_place_of_an_answer(call: Call, fault: Fault) -> None:
    async with before_fault(call, fault, gemini=True) as (proxy, upstream):
        seen = await call.ask(proxy)

    assert (seen.status, seen.error()["code"]) == BEFORE[fault]
    assert len(upstream.received) == 1


@every_call
@pytest.mark.parametrize("fault", WITHIN, ids=[fault.__name__ for fault in WITHIN])
async def test_answer_that_breaks_off_never_looks_whole(call: Call, fault: Fault) -> None:
    async with before_fault(call, fault, gemini=True) as (proxy, upstream):
        seen = await call.ask(proxy)

    assert len(upstream.received) == 1
    if call.is_sound:
        assert (seen.status, seen.body, seen.whole) == (200, SAMPLES, False)
    elif call.streams:
        *_, begun, failure = [line for line in seen.body.splitlines() if line.startswith(b"data:")]
        assert json.loads(failure[6:])["error"]["code"] == WITHIN[fault]
        assert any(piece in begun for piece in (b"Once, ", base64.b64encode(b"\x89PNG"), b"audio"))
        assert seen.whole
    else:
        assert seen.error()["code"] == WITHIN[fault]
        assert seen.status in (502, 504)
