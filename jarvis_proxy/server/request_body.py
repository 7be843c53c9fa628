"""Reads a request's body within its limits. IO."""

import zlib
from functools import partial
from typing import Final

from aiohttp import HttpVersion11, web

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.admission import AdmittedCall
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, RECORD
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.wire.headers import charset, media_type
from jarvis_proxy.wire.pieces import ByteBuffer

_JSON_TYPES: Final = frozenset({"application/json", "text/json", ""})
_ZSTD_PIECE: Final = 256
"""Even this expands to 8 MiB at most."""
_UTF8: Final = frozenset({None, "utf-8", "utf8", "us-ascii"})


def is_json_type(request: web.Request) -> bool:
    """Return whether the request declares JSON, or no type."""
    kind = media_type(request.headers.get("Content-Type", ""))
    return kind in _JSON_TYPES or kind.endswith("+json")


def check_charset(request: web.Request) -> None:
    """Reject a body that declares another charset than UTF-8.

    The type is not checked here: curl declares every body a form, and JSON is accepted with any
    declared type.

    Raises:
        ProxyError: 415 `unsupported_media_type`.
    """
    if charset(request.headers.get("Content-Type", "")) not in _UTF8:
        raise ProxyError(415, "Send the request in UTF-8.", code="unsupported_media_type")


def not_json_type() -> ProxyError:
    """Return 415 `unsupported_media_type`: the body neither is JSON nor is declared as such."""
    return ProxyError(415, "Send the request as application/json.", code="unsupported_media_type")


def check_declared_length(request: web.Request, limit: int) -> int:
    """Return a body's declared length, 0 if there is none; reject one that exceeds *limit*.

    Raises:
        ProxyError: 413 `request_too_large`.
    """
    length = request.content_length or 0
    if length > limit:
        raise too_large(limit)
    return length


def continue_if_expected(request: web.Request) -> None:
    """Send ``100 Continue`` if the client waits for it; call this after checking key and size.

    Raises:
        ProxyError: 417 `expectation_failed`, the client expects something else.
    """
    expected = request.headers.get("Expect")
    if not expected:
        return
    if expected.strip().lower() != "100-continue":
        message = "Unsupported Expect header: only 100-continue is supported."
        raise ProxyError(417, message, code="expectation_failed")
    # An HTTP/1.0 client would take the interim response for the final one.
    if request.version >= HttpVersion11 and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def read_body(request: web.Request, limit: int, deadlines: CallDeadlines) -> bytes:
    """Return the whole body, decompressed.

    Raises:
        ProxyError: 413 `request_too_large`, the declared or actual size exceeds *limit*, which
            also applies after decompression; 415 `unsupported_encoding`; 400 for a damaged body;
            408 (from *deadlines*) if the body is too slow; 503 `overloaded`, all bodies together
            take too much memory.
    """
    admitted = request[ADMITTED_CALL]
    admitted.check_memory(check_declared_length(request, limit))
    continue_if_expected(request)
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    body = await _read(request, admitted, limit, deadlines)
    deadlines.request_received()
    if encoding in ("", "identity"):
        return body
    # The size after decompression is unknown in advance.
    job = partial(_decompress, body, encoding, limit)
    plain = await request[CONTEXT].offload.run(limit, request[RECORD].key_name, job)
    admitted.reserve_bytes(len(plain) - len(body))
    return plain


async def _read(
    request: web.Request, admitted: AdmittedCall, limit: int, deadlines: CallDeadlines
) -> bytes:
    content, reserve = request.content, admitted.reserve_bytes
    first = await content.readany()
    reserve(len(first))
    if content.at_eof():
        _check_size(len(first), limit)
        return first
    pieces = ByteBuffer()
    pieces.add(first)
    deadlines.body_bytes = pieces.size
    while data := await content.readany():
        deadlines.saw_data = True
        pieces.add(data)
        deadlines.body_bytes = pieces.size
        reserve(len(data))
        _check_size(pieces.size, limit)
    return pieces.join()


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise too_large(limit)


def _decompress(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _inflate(body, limit, 15 if encoding == "deflate" else 31)
    if encoding == "zstd":
        return _unzstd(body, limit)
    raise ProxyError(
        415,
        "This Content-Encoding is not supported: send the body as it is, or in gzip or zstd.",
        code="unsupported_encoding",
        headers=(("Accept-Encoding", "gzip, deflate, zstd"),),
    )


def _inflate(body: bytes, limit: int, window: int) -> bytes:
    inflate = zlib.decompressobj(window)
    try:
        plain = inflate.decompress(body, limit + 1)
    except zlib.error:
        raise _invalid_encoding() from None
    _check_size(len(plain), limit)
    # zlib accepts a truncated stream without an error, so check for its end.
    if not inflate.eof or inflate.unused_data:
        raise _invalid_encoding()
    return plain


def _unzstd(body: bytes, limit: int) -> bytes:
    import zstandard  # imported on demand: 10 ms for a rare encoding

    expand = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
    pieces, size = [], 0
    try:
        # Use small pieces, so that a decompression bomb is detected while it grows.
        for at in range(0, len(body), _ZSTD_PIECE):
            piece = expand.decompress(body[at : at + _ZSTD_PIECE])
            size += len(piece)
            _check_size(size, limit)
            pieces.append(piece)
    except zstandard.ZstdError:
        raise _invalid_encoding() from None
    if not expand.eof or expand.unused_data:
        raise _invalid_encoding()
    return b"".join(pieces)


def _invalid_encoding() -> ProxyError:
    return ProxyError(400, "The compressed body is damaged.", code="invalid_encoding")


def too_large(limit: int) -> ProxyError:
    """Return 413 `request_too_large`."""
    return ProxyError(
        413,
        f"The request is larger than this proxy takes ({limit // (1024 * 1024)} MiB). "
        "MAX_BODY_MB sets the limit.",
        code="request_too_large",
        should_retry=False,
    )
