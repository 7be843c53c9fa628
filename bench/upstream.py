"""A small upstream for load: OpenAI's and Gemini's answers, whole or in paced frames. IO.

Run as ``python -m bench.upstream PORT``. What is asked for decides what comes: the message begins
with ``frames=200;pause=0.02`` (seconds between frames).
"""

import asyncio
import json
import re
import sys
import time
from typing import Final, cast

_FRAME_BYTES: Final = 320
_SPEC: Final = re.compile(rb"frames=(\d+);pause=([\d.]+)")
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def now() -> int:
    """Return the monotonic clock, which all processes of a machine share, in microseconds."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def openai_frame(number: int) -> bytes:
    """Return one chunk of a chat stream, of the usual size, with the moment of its sending."""
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [
            {"index": 0, "delta": {"content": f" word{number}@{now()}@"}, "finish_reason": None},
        ],
        "obfuscation": "",
    }
    chunk["obfuscation"] = "x" * max(0, _FRAME_BYTES - len(json.dumps(chunk)) - 8)
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def gemini_frame(number: int, finish: str | None = None) -> bytes:
    """Return one frame of a Gemini stream."""
    candidate: dict[str, object] = {
        "content": {"parts": [{"text": f" word{number}@{now()}@"}], "role": "model"},
        "index": 0,
    }
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 9, "candidatesTokenCount": number, "totalTokenCount": number + 9}
    frame = {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "bench",
    }
    return b"data: " + json.dumps(frame).encode() + b"\r\n\r\n"


def _openai_end() -> bytes:
    end = json.loads(openai_frame(0)[6:])
    end["choices"][0] |= {"delta": {}, "finish_reason": "stop"}
    return b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n"


_WHOLE: Final = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello from the bench."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
    }
).encode()
_WHOLE_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_WHOLE), _WHOLE)
)


class Connection(asyncio.Protocol):
    """One connection of the proxy: reads whole requests, plays the answer to each."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's transports are no subclass of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop playing."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            found = _LENGTH.search(head)
            size = end + 4 + (int(found[1]) if found else 0)
            if len(self._buffer) < size:
                return
            body = bytes(self._buffer[end + 4 : size])
            del self._buffer[:size]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        gemini = b":streamGenerateContent" in head
        if head.startswith(b"GET "):
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
                b'{"object":"list","data":[]}'
            )
        elif not gemini and b'"stream":true' not in body:
            self._transport.write(_WHOLE_ANSWER)
        else:
            found = _SPEC.search(body)
            frames, pause = (int(found[1]), float(found[2])) if found else (200, 0.0)
            self._transport.write(_STREAM_HEAD)
            self._play(0, frames, pause, gemini=gemini)

    def _play(self, number: int, frames: int, pause: float, *, gemini: bool) -> None:
        if pause == 0:
            pieces = [self._frame(n, gemini=gemini) for n in range(frames)]
            self._transport.write(b"".join(map(_chunk, pieces)) + self._end(frames, gemini=gemini))
            return
        if number < frames:
            self._transport.write(_chunk(self._frame(number, gemini=gemini)))
            self._timer = asyncio.get_running_loop().call_later(
                pause, lambda: self._play(number + 1, frames, pause, gemini=gemini)
            )
        else:
            self._transport.write(self._end(frames, gemini=gemini))

    @staticmethod
    def _frame(number: int, *, gemini: bool) -> bytes:
        return gemini_frame(number) if gemini else openai_frame(number)

    @staticmethod
    def _end(frames: int, *, gemini: bool) -> bytes:
        last = gemini_frame(frames, "STOP") if gemini else _openai_end()
        return _chunk(last) + b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(port: int) -> None:
    """Serve until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(serve(int(sys.argv[1])))
    except ImportError:
        asyncio.run(serve(int(sys.argv[1])))
