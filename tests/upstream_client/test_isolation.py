"""No client gets a byte of another's answer, whatever an upstream does.

HTTP/1.1 answers carry no number. Nobody can distinguish bytes that cross a request on the wire from
its answer. So the upstream here, as a real one that is merely broken, sends nothing unasked while a
request lies unread in its socket.
"""

import asyncio
import json
import random
import re
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pytest

from tests.conftest import KEY, OPENAI_KEY, ProxyFactory
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion

pytestmark = [pytest.mark.slow, pytest.mark.no_cover]

USERS: Final = 4
CALLS: Final = 60
ROUNDS: Final = 3
_IN_FLIGHT: Final = 0.002
_MARK: Final = re.compile(rb"mark-(\d+)-")


def _answers(mark: bytes) -> list[bytes]:
    """Return whole answers that carry *mark* in body and head."""
    text = mark.decode()
    body = completion(text)
    events = chat_chunk(text) + chat_chunk(None, "stop") + b"data: [DONE]\n\n"
    head = b"HTTP/1.1 200 OK\r\nx-request-id: " + mark + b"\r\n"
    return [
        head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        head
        + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(events), events),
    ]


def _junk(mark: bytes, rng: random.Random) -> bytes:
    """Return bytes that nobody asked for, with *mark* wherever it fits."""
    whole = rng.choice(_answers(mark))
    name = b"\r\nx-request-id: " + mark + b"\r\n"
    return rng.choice(
        [
            whole,
            whole[: rng.randint(1, len(whole))],
            whole + whole,
            b"HTTP/1.1 401 Unauthorized" + name + b"X-Pad: ",
            b"HTTP/1.1 429 Too Many" + name + b"Retry-After: 3000\r\nX-Pad: ",
            b"HTTP/1.1 408 Request Timeout" + name + b"Content-Length: 0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols" + name + b"Upgrade: x\r\n\r\n",
            b"HTTP/1.1 200 OK" + name + b"Transfer-Encoding: chunked\r\n\r\n9\r\n" + mark,
            b"HTTP/1.1 ",
            b"\r\n",
            b"H",
            b"0\r\n\r\n",
            rng.randbytes(rng.randint(1, 40)),
        ]
    )


@dataclass
class Treacherous:
    """An upstream that sends bytes before, within, behind and between answers."""

    rng: random.Random

    async def __call__(self, peer: Peer, request: Received) -> None:
        found = _MARK.search(request.body)
        mark = b"mark-0-" if found is None else found[0]
        is_stream = b'"stream":true' in request.body
        answer = _answers(mark)[is_stream]
        match self.rng.randrange(8):
            case 0:
                await peer.send(_junk(mark, self.rng))
                await peer.send(answer)
            case 1:
                at = self.rng.randint(1, len(answer))
                await peer.send(answer[:at] + _junk(mark, self.rng) + answer[at:])
            case 2:
                await peer.send(answer + _junk(mark, self.rng))
            case 3:
                await peer.send(answer[: self.rng.randint(1, len(answer))])
                self.rng.choice((Peer.close, Peer.reset))(peer)
            case 4 | 5:
                await peer.send(answer)
                await asyncio.sleep(self.rng.choice((0, 0.001, 0.01)))
                await self._send_unasked(peer, _junk(mark, self.rng))
            case _:
                await peer.send(answer)

    async def _send_unasked(self, peer: Peer, data: bytes) -> None:
        """Send *data* unless a request lies unread, and have it arrive before anybody goes on.

        The kernel of a busy machine may deliver over loopback a moment later. Neither side's event
        loop, which is the same, runs meanwhile.
        """
        sock = peer.writer.get_extra_info("socket")
        time.sleep(_IN_FLIGHT)  # noqa: ASYNC251 - see above
        if peer.reader._buffer or select.select([sock], [], [], 0)[0]:  # type: ignore[attr-defined]
            return
        peer.writer.write(data)
        time.sleep(_IN_FLIGHT)  # noqa: ASYNC251 - as above


def _chat(mark: str, *, stream: bool) -> tuple[str, bytes]:
    message = {"role": "user", "content": mark}
    body = {"model": "gpt-4o", "messages": [message]} | ({"stream": True} if stream else {})
    text = json.dumps(body, separators=(",", ":"))
    return "/v1/chat/completions\r\nContent-Type: application/json", text.encode()


def _form(mark: str) -> tuple[str, bytes]:
    parts = [
        '--X\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n',
        f'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n{mark}\r\n',
        "--X--\r\n",
    ]
    path = "/v1/audio/transcriptions\r\nContent-Type: multipart/form-data; boundary=X"
    return path, "".join(parts).encode()


CALLS_OF: Final[dict[str, Callable[[str], tuple[str, bytes]]]] = {
    "chat": lambda mark: _chat(mark, stream=False),
    "stream": lambda mark: _chat(mark, stream=True),
    "form": _form,
    "any": lambda mark: ("/v1/files\r\nContent-Type: application/octet-stream", mark.encode()),
}


async def _call(port: int, kind: str, mark: str) -> bytes:
    path, body = CALLS_OF[kind](mark)
    target, _, content_type = path.partition("\r\n")
    head = (
        f"POST {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""  # an explicit error too: the answer was cut
    finally:
        writer.close()


@pytest.mark.parametrize("through_proxy", [False, True], ids=["direct", "outbound-proxy"])
async def test_each_user_gets_his_own_answer_or_an_error(
    proxy: ProxyFactory, *, through_proxy: bool
) -> None:
    rng = random.Random(seed := random.SystemRandom().randrange(2**31))
    print(f"seed {seed}")
    upstream = RawUpstream(Treacherous(rng))
    answered = 0

    async def user(number: int, port: int) -> None:
        nonlocal answered
        for call in range(CALLS):
            mark = f"mark-{number * 1000 + call + 1}-"
            kind = rng.choice(tuple(CALLS_OF))
            answer = await _call(port, kind, mark)
            assert set(_MARK.findall(answer)) <= set(_MARK.findall(mark.encode())), (kind, answer)
            answered += answer.startswith(b"HTTP/1.1 200") and mark.encode() in answer

    async with upstream.running():
        where = {"OPENAI_BASE_URL": upstream.base_url}
        if through_proxy:
            where = {
                "OPENAI_BASE_URL": "http://upstream.invalid/v1",
                "UPSTREAM_PROXY": f"http://127.0.0.1:{upstream.port}",
            }
        settings = {"OPENAI_API_KEY": OPENAI_KEY, "PASSTHROUGH": "all", "IDLE_TIMEOUT": "1"}
        async with proxy(FIRST_BYTE_TIMEOUT="1", **settings, **where) as running:
            for _ in range(ROUNDS):
                await asyncio.gather(*(user(number, running.port) for number in range(USERS)))

    assert answered > USERS * CALLS * ROUNDS / 4
