"""Google's models that draw, speak and listen: an upstream that answers with given parts."""

import asyncio
import base64
import json
from typing import Any

from tests.support.raw_upstream import Peer, RawUpstream, Received

Json = dict[str, Any]

SAMPLES = b"".join((n % 3000).to_bytes(2, "little", signed=True) for n in range(2400))
"""A tenth of a second of sound."""
L16 = "audio/L16;codec=pcm;rate=24000"


def blob(data: bytes, mime_type: str = L16) -> Json:
    """Return a part with a file in it."""
    return {"inlineData": {"mimeType": mime_type, "data": base64.b64encode(data).decode()}}


def frame(parts: list[Json], finish: str | None = None, **more: object) -> Json:
    """Return one GenerateContentResponse; with *finish*, it is the last of its answer."""
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 111, "totalTokenCount": 122}
    return {"candidates": [candidate], "usageMetadata": usage, **more}


class GoogleMedia:
    """Answers each call with *frames*: events where they are asked for, else one after the other.

    *cut*: a stream breaks off behind its first frame. *error* is sent with its status instead.
    *gate*: a stream waits for it behind its first frame.
    """

    def __init__(self, *frames: Json) -> None:
        self.frames = list(frames)
        self.cut = False
        self.error: tuple[int, Json] | None = None
        self.gate: asyncio.Event | None = None
        self.upstream = RawUpstream(self._play, base_path="/v1beta")
        self._whole = 0

    @property
    def sent(self) -> list[Json]:
        """The bodies of the calls, in order."""
        return [json.loads(request.body) for request in self.upstream.received]

    @property
    def paths(self) -> list[str]:
        """The paths of the calls, in order."""
        return [request.path for request in self.upstream.received]

    async def _play(self, peer: Peer, request: Received) -> None:
        if self.error is not None:
            status, error = self.error
            await peer.reply(json.dumps({"error": error}).encode(), status)
        elif ":streamGenerateContent" in request.path:
            await self._stream(peer)
        else:
            answer = self.frames[self._whole % len(self.frames)]
            self._whole += 1
            body = json.dumps(answer).encode()
            if not self.cut:
                await peer.reply(body)
                return
            await peer.head(content_type="application/json", length=len(body))
            await peer.send(body[: len(body) // 2])
            peer.close()

    async def _stream(self, peer: Peer) -> None:
        await peer.head()
        for index, one in enumerate(self.frames):
            await peer.chunk(b"data: " + json.dumps(one).encode() + b"\r\n\r\n")
            if index == 0 and self.gate is not None:
                await self.gate.wait()
            if self.cut:
                peer.close()
                return
        await peer.last_chunk()
