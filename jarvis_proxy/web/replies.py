"""An upstream's answer as bytes: read whole, unpacked. IO."""

import zlib
from collections.abc import Callable
from typing import Final

from jarvis_proxy.transport import NETWORK_ERRORS, UpstreamReply, bad_response, read_error
from jarvis_proxy.web.watch import Watched

MAX_WHOLE_BODY: Final = 64 * 1024 * 1024
"""A larger answer that has to be read whole is refused, packed or unpacked."""

_MOST_ARCHIVES: Final = 100


async def read_whole(
    reply: UpstreamReply, limit: int, watched: Watched, hold: Callable[[int], None]
) -> bytes:
    """Return an answer's whole body; *hold* counts the bytes as they come.

    Raises:
        ProxyError: 502, it was cut or is larger than *limit*; what *hold* raises.
    """
    watched.heard = True
    if (body := reply.whole()) is not None:
        if len(body) > limit:
            raise bad_response()
        reply.finish()
        return body
    pieces: list[bytes] = []
    size = 0
    try:
        while data := await reply.readany():
            watched.heard = True
            size += len(data)
            if size > limit:
                raise bad_response()
            hold(len(data))
            pieces.append(data)
    except NETWORK_ERRORS as exc:
        raise read_error(exc) from exc
    reply.finish()
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def unpacked(
    reply: UpstreamReply, body: bytes, hold: Callable[[int], None], limit: int = MAX_WHOLE_BODY
) -> bytes:
    """Return *body* without the compression that nobody asked for; *hold* counts what comes of it.

    Raises:
        ProxyError: 502 `upstream_truncated`, the archive ends too early, which no length tells;
            `upstream_bad_response` for one that is damaged, too large or of another kind.
    """
    coding = coding_of(reply)
    if not coding or not body:
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise bad_response()
    pieces: list[bytes] = []
    room = limit + 1
    for _ in range(_MOST_ARCHIVES):  # RFC 1952, 2.2: there may be several, one behind the other
        inflate = zlib.decompressobj(15 if coding == "deflate" else 31)
        try:
            pieces.append(inflate.decompress(body, room))
        except zlib.error:
            raise bad_response() from None
        room -= len(pieces[-1])
        hold(len(pieces[-1]))
        if not room:
            raise bad_response()
        if not inflate.eof:
            raise read_error(EOFError())
        body = inflate.unused_data
        if not body:
            return b"".join(pieces)
    raise bad_response()


def coding_of(reply: UpstreamReply) -> str:
    """Return the content coding of an answer, lower-cased; ``""`` where it has none."""
    coding = reply.headers.get("Content-Encoding", "").strip().lower()
    return "" if coding == "identity" else coding
