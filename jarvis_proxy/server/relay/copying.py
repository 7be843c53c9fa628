"""Forwarding an answer of any type, as it arrives. IO."""

import asyncio
import time

from aiohttp import HttpVersion11, web

from jarvis_proxy.server.context import RECORD
from jarvis_proxy.server.relay.client_stream import BufferedDelivery, check_client_connected
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.responses import common_headers
from jarvis_proxy.server.secrecy import forwarded_headers
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS
from jarvis_proxy.upstream_client.transport import TransportResponse


async def forward_bytes(
    request: web.Request, reply: TransportResponse, deadlines: CallDeadlines
) -> web.StreamResponse:
    """Forward an answer as it arrives; a truncated one is truncated for the client too.

    Raises:
        ConnectionResetError: the client has left.
    """
    headers = common_headers(request)
    headers.update(forwarded_headers(request, reply.headers))
    length = reply.headers.get("content-length")
    response = web.StreamResponse(status=reply.status, headers=headers)
    if length is not None and length.isdecimal():
        response.content_length = int(length)
    elif request.version < HttpVersion11:
        response.force_close()  # without length and chunks, only this ends the answer
    await response.prepare(request)
    record = request[RECORD]
    record.status = reply.status
    record.upstream_first_byte_at = record.first_byte_sent_at = time.monotonic()
    delivery = deadlines.client_side = BufferedDelivery(request)
    try:
        while data := await reply.readany():
            deadlines.saw_data = True
            record.bytes_out += len(data)
            await response.write(data)
        await response.write_eof()
    except NETWORK_ERRORS:
        check_client_connected(request)
        # The headers are sent, so there is no place for an error: the connection is cut.
        record.outcome, record.code = "upstream_error", "upstream_truncated"
        delivery.abort()
    except asyncio.CancelledError:
        delivery.abort()  # after a partial answer nothing may follow, not even an error
        raise
    reply.release_at_end()
    return response
