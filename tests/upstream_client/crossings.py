"""What a broken upstream sends with one user's answer, which must not reach the next user. No IO.

HTTP/1.1 answers carry no number: what is left on a connection, or in a parser, is the answer to
whatever is asked there next.
"""

from dataclasses import dataclass
from typing import Final

MINE: Final = "MINE"
"""In every answer that the upstream gives as it should."""
STRAY: Final = "STRAY"
"""In everything that nobody asked for."""
_KIND: Final = b"Content-Type: application/json\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True)
class Crossing:
    """*answer* is the first user's, None: a good one; *behind* comes with it, or *later*."""

    name: str
    answer: bytes | None = None
    behind: bytes = b""
    later: bool = False
    streams: bool = False
    is_body: bool = False
    """Whether the stray answer is a part of the body, by the head of the first one."""


def body_of(mark: str) -> bytes:
    """Return the body of an answer to any kind of call."""
    message = f'{{"role":"assistant","content":"{mark}"}}'
    choice = f'{{"index":0,"message":{message},"finish_reason":"stop"}}'
    return f'{{"id":"x","text":"{mark}","choices":[{choice}]}}'.encode()


def answer(mark: str, *, status: bytes = b"200 OK", has_body: bool = True) -> bytes:
    """Return a whole answer, as to HEAD without *has_body*."""
    body = body_of(mark)
    name = b"x-request-id: " + mark.encode() + b"\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + _KIND + name + length + (body if has_body else b"")


def _head(lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return status + b"\r\n" + lines + b"\r\n"


def _stream(*, end: bytes = b"0\r\n\r\n") -> bytes:
    return _head(b"Content-Type: text/event-stream\r\n" + _CHUNKED) + (
        b"%x\r\n%b\r\n" % (len(_EVENTS), _EVENTS) + end
    )


_EVENTS: Final = (
    b'data: {"choices":[{"index":0,"delta":{"content":"MINE"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
_WHOLE: Final = answer(STRAY)
_SPLIT: Final = _WHOLE.index(b"\r\n\r\n") + 4
_NAME: Final = b"x-request-id: STRAY\r\n"

_BEHIND: Final[dict[str, bytes]] = {
    "whole answer": _WHOLE,
    "head of an answer": _WHOLE[:_SPLIT],
    "answer without its end": _WHOLE[:-30],
    "401 begins": b"HTTP/1.1 401 Unauthorized\r\n" + _NAME + b"X-Open: ",
    "429 begins": b"HTTP/1.1 429 Too Many\r\nRetry-After: 3000\r\n" + _NAME + b"X-Open: ",
    "stream begins": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    + _NAME
    + b"X-Open: ",
    "500 begins": b"HTTP/1.1 500 x\r\n" + _NAME + b"X-Open: ",
    "302 begins": b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:9/STRAY\r\nX-Open: ",
    "204 begins": b"HTTP/1.1 204 x\r\n" + _NAME + b"X-Open: ",
    "header without an end": b"HTTP/1.1 200 OK\r\n" + _NAME + b"x-ratelimit-reset-tokens: STRAY",
    "length begins": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Open: ",
    "chunks begin": b"HTTP/1.1 200 OK\r\n" + _CHUNKED + b"X-Open: ",
    "status line begins": b"HTTP/1.1 200 O",
    "version": b"HTTP/1.1 ",
    "line break": b"\r\n",
    "line breaks": b"\r\n" * 50,
    "line feed": b"\n",
    "no HTTP": b"STRAY",
    "zero byte": b"\0",
    "one letter": b"H",
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "100 and an answer": b"HTTP/1.1 100 Continue\r\n\r\n" + _WHOLE,
    "101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: STRAY\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "408": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}

_CHUNKS: Final = _head(_KIND + _CHUNKED)
_END: Final = b"0\r\n\r\n"
_ANSWERS: Final[dict[str, bytes]] = {
    "longer than its length": _head(_KIND + b"Content-Length: 20\r\n") + body_of(STRAY),
    "length, then an answer": _head(_KIND + b"Content-Length: 2\r\n") + b"{}" + _WHOLE,
    "length and chunks": _head(_KIND + b"Content-Length: 5\r\n" + _CHUNKED)
    + b"2\r\n{}\r\n"
    + _END
    + _WHOLE,
    "chunks and length": _head(_CHUNKED + b"Content-Length: 2\r\n" + _KIND)
    + b"2\r\n{}\r\n"
    + _END
    + _WHOLE,
    "two lengths": _head(b"Content-Length: 2\r\nContent-Length: 20\r\n" + _KIND) + b"{}" + _WHOLE,
    "one length twice": _head(b"Content-Length: 2\r\nContent-Length: 2\r\n" + _KIND)
    + b"{}"
    + _WHOLE,
    "204 with a length": _head(b"Content-Length: 20\r\n", b"HTTP/1.1 204 No") + _WHOLE,
    "304 with a length": _head(b"Content-Length: 20\r\n", b"HTTP/1.1 304 No") + _WHOLE,
    "coding identity": _head(b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n" + _KIND)
    + b"{}"
    + _WHOLE,
    "coding gzip": _head(b"Transfer-Encoding: gzip\r\n" + _KIND) + b"{}" + _WHOLE,
    "codings chunked, identity": _head(b"Transfer-Encoding: chunked, identity\r\n" + _KIND)
    + b"2\r\n{}\r\n"
    + _END
    + _WHOLE,
    "extension with a line break": _CHUNKS + b'2;x="\r\n"\r\n{}\r\n' + _END + _WHOLE,
    "extension ends in LF": _CHUNKS + b"2;a\n{}\r\n" + _END + _WHOLE,
    "trailers without an end": _CHUNKS + b"2\r\n{}\r\n0\r\nX: y\r\n" + _WHOLE,
    "trailer with a length": _CHUNKS + b"2\r\n{}\r\n0\r\nContent-Length: 90\r\n\r\n" + _WHOLE,
    "chunk size overflows": _CHUNKS + b"10000000000000002\r\n{}\r\n" + _END + _WHOLE,
    "chunk size below zero": _CHUNKS + b"-2\r\n{}\r\n" + _END + _WHOLE,
    "chunk longer than its size": _CHUNKS + b"2\r\n{}XX" + _END + _WHOLE,
    "HTTP/1.0 kept alive": _head(
        b"Connection: keep-alive\r\nContent-Length: 2\r\n" + _KIND, b"HTTP/1.0 200 OK"
    )
    + b"{}"
    + _WHOLE,
    "HTTP/1.0 without a length": _head(_KIND, b"HTTP/1.0 200 OK") + b"{}" + _WHOLE,
    "hundreds of 100": b"HTTP/1.1 100 C\r\n\r\n" * 500 + answer(MINE) + _WHOLE,
    "101, then an answer": _head(b"Connection: upgrade\r\nUpgrade: x\r\n", b"HTTP/1.1 101 S")
    + _WHOLE,
}
_STREAMS: Final[dict[str, bytes]] = {
    "stream, then an answer": _stream() + _WHOLE,
    "stream without its last chunk": _stream(end=b"") + _WHOLE,
    "stream, then 401 begins": _stream() + b"HTTP/1.1 401 x\r\nX: ",
    "stream with a length": _head(b"Content-Type: text/event-stream\r\nContent-Length: 110\r\n")
    + _EVENTS.ljust(110)
    + _WHOLE,
}
_UNTIL_CLOSED: Final = frozenset(
    {
        "coding identity",
        "coding gzip",
        "codings chunked, identity",
        "HTTP/1.0 without a length",
        "longer than its length",  # its first 20 bytes
    }
)
CROSSINGS: Final = (
    *(Crossing(name, behind=data) for name, data in _BEHIND.items()),
    *(Crossing(f"{name}, later", behind=data, later=True) for name, data in _BEHIND.items()),
    *(
        Crossing(name, answer=data, is_body=name in _UNTIL_CLOSED)
        for name, data in _ANSWERS.items()
    ),
    *(Crossing(name, answer=data, streams=True) for name, data in _STREAMS.items()),
)
