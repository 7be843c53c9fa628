"""What an upstream sends for a request: parsed as an answer, to a POST and to a HEAD.

Oracle: nothing is raised out of the connection; however the bytes are cut, the same head, body and
end come of them; a connection goes back to the pool once at most, and only if all bytes belong to
the answer; once it is there, any byte aborts it; what is held of an answer without a body is
bounded.
"""

import asyncio
from typing import Final, cast

import aiohttp

from jarvis_proxy.aiohttp_ext.write_batching import WriteBatch
from jarvis_proxy.upstream_client.connection import UpstreamConnection
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.response import UpstreamResponse
from tests.fuzz.cuts import cuts_of

TOKENS: Final = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n",
    b"Content-Length: 2\r\n", b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n", b"Upgrade: x\r\n",
    b"2\r\n{}\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"ffffffffffffffff\r\n", b"2;x\r\n",
    b"\r\n\r\n", b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b"\xff", b"HTTP/2.0 ", b"HTTP/0.9 ",
)  # fmt: skip
_Outcome = tuple[int, tuple[tuple[str, str], ...], bytes, str, bool]


def check(data: bytes) -> None:
    """Read the answer whole and in pieces, with and without a body."""
    for has_body in (True, False):
        whole = asyncio.run(_read([data], has_body=has_body))
        for pieces in cuts_of(data):
            *outcome, is_pooled = asyncio.run(_read(pieces, has_body=has_body))
            assert outcome == list(whole[:-1])
            # Line breaks behind an answer pass in the same read, and abort in one of their own.
            assert is_pooled <= whole[-1]


class _Pipe(asyncio.Transport):
    """A connection to nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Lease:
    """A place in a pool."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def release(self) -> None:
        self.ended.append("release")

    def close(self) -> None:
        self.ended.append("close")


async def _read(pieces: list[bytes], *, has_body: bool) -> _Outcome:
    """Feed *pieces*, then the end of the connection; return what came of them."""
    pipe, lease = _Pipe(), _Lease()
    batch = WriteBatch(asyncio.get_running_loop())
    connection = UpstreamConnection(asyncio.Protocol(), pipe, batch)
    leased = cast(aiohttp.connector.Connection, lease)
    response = UpstreamResponse(leased, connection, has_body=has_body)
    head: tuple[tuple[str, str], ...] = ()
    for piece in pieces:
        if not piece:
            continue
        if lease.ended == ["close"]:
            break  # the event loop reads no more
        connection.data_received(piece)
        head = head or tuple(response.headers.items())
    is_pooled = lease.ended == ["release"] and not pipe.aborted
    if is_pooled:
        connection.data_received(b"H")
        assert pipe.aborted
        assert connection.response is None
    connection.connection_lost(None)
    assert len(lease.ended) == 1
    body, end = await _rest(response)
    assert has_body or not body
    return response.status, head, body, end, is_pooled


async def _rest(response: UpstreamResponse) -> tuple[bytes, str]:
    body = b""
    try:
        await asyncio.wait_for(response.head(), 1)
        while data := await asyncio.wait_for(response.readany(), 1):
            body += data
    except TimeoutError:
        raise AssertionError("the answer neither ends nor fails") from None
    except NETWORK_ERRORS as exc:
        return body, type(exc).__name__
    return body, "whole"
