"""The network's faults on what is relayed beside chat: sound, pictures, texts, secrets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.conftest import Proxy
from tests.faults.raw_calls import ask, before_fault
from tests.faults.test_every_call import BEFORE, WITHIN, Fault
from tests.support.forms import CONTENT_TYPE, form, part
from tests.support.raw_client import RawResponse
from tests.support.raw_upstream import Peer

pytestmark = pytest.mark.slow

EVENTS: Final = "text/event-stream"
SOUND: Final = b"ID3\x04\x00" * 100


@dataclass(frozen=True)
class Call:
    """A call as a client sends it; *begun* is how its answer of *answer_type* begins."""

    path: str
    body: bytes
    begun: bytes
    answer_type: str = "application/json"
    media_type: str = "application/json"

    async def ask(self, proxy: Proxy) -> RawResponse:
        """Send it."""
        return await ask(proxy, self.path, self.body, self.media_type)

    async def begin(self, peer: Peer) -> None:
        """Send the head of a good answer and some of its body."""
        await peer.head(200, self.answer_type)
        await peer.chunk(self.begun)


def _json(path: str, begun: bytes, answer_type: str = "application/json", **asked: object) -> Call:
    body = json.dumps({"model": "gpt-x", "input": "x", "prompt": "x", **asked}).encode()
    return Call(path, body, begun, answer_type)


def _form(path: str, begun: bytes, answer_type: str = "application/json", **asked: str) -> Call:
    parts = [part(name, value) for name, value in {"model": "gpt-x", **asked}.items()]
    files = [part(name, "OggS", more='; filename="a"') for name in ("file", "image")]
    return Call(path, form(*parts, *files), begun, answer_type, CONTENT_TYPE)


def _event(kind: str = "", **fields: object) -> bytes:
    name = f"event: {kind}\n" if kind else ""
    return f"{name}data: {json.dumps({'type': kind, **fields} if kind else fields)}\n\n".encode()


_TEXT: Final = _event(id="c", object="text_completion", choices=[{"index": 0, "text": "Once"}])
_SKETCH: Final = _event("image_generation.partial_image", b64_json="AA==")
_HEARD: Final = _event("transcript.text.delta", delta="Once")
CALLS: Final[Mapping[str, Call]] = {
    "completion": _json("/v1/completions", b'{"id": "c", "choices": ['),
    "completion-stream": _json("/v1/completions", _TEXT, EVENTS, stream=True),
    "picture": _json("/v1/images/generations", b'{"created": 1, "data": ['),
    "picture-stream": _json("/v1/images/generations", _SKETCH, EVENTS, stream=True),
    "edit": _form("/v1/images/edits", b'{"created": 1, "data": ['),
    "variation": _form("/v1/images/variations", b'{"created": 1, "data": ['),
    "speech": _json("/v1/audio/speech", SOUND, "audio/mpeg", voice="alloy"),
    "transcript": _form("/v1/audio/transcriptions", b'{"text": "On'),
    "transcript-stream": _form("/v1/audio/transcriptions", _HEARD, EVENTS, stream="true"),
    "translation": _form("/v1/audio/translations", b'{"text": "On'),
    "embedding": _json("/v1/embeddings", b'{"object": "list", "data": ['),
    "moderation": _json("/v1/moderations", b'{"id": "m", "results": ['),
    "rerank": _json("/v1/rerank", b'{"results": ['),
    "client-secret": _json("/v1/realtime/client_secrets", b'{"value": "ek_1'),
    "webrtc": Call("/v1/realtime/calls", b"v=0", b"v=0\r\n", "application/sdp", "application/sdp"),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))


@every_call
@pytest.mark.parametrize("fault", BEFORE, ids=[fault.__name__ for fault in BEFORE])
async def test_error_in_place_of_an_answer(call: Call, fault: Fault) -> None:
    async with before_fault(call, fault) as (proxy, upstream):
        seen = await call.ask(proxy)

    assert (seen.status, seen.error()["code"]) == BEFORE[fault]
    assert len(upstream.received) == 1


@every_call
@pytest.mark.parametrize("fault", WITHIN, ids=[fault.__name__ for fault in WITHIN])
async def test_answer_that_breaks_off_never_looks_whole(call: Call, fault: Fault) -> None:
    async with before_fault(call, fault) as (proxy, upstream):
        seen = await call.ask(proxy)

    assert len(upstream.received) == 1
    if call.answer_type == EVENTS:
        assert seen.body.startswith(call.begun)
        *_, failure = [line for line in seen.body.splitlines() if line.startswith(b"data:")]
        assert json.loads(failure[6:])["error"]["code"] == WITHIN[fault]
    elif seen.whole:
        assert seen.error()["code"] == WITHIN[fault]
        assert seen.status in (502, 504)
    else:
        assert (seen.status, seen.body) == (200, call.begun)
