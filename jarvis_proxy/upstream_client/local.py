"""The transport of the built-in model, without a network. Its only IO is waiting."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.dialects.responses.writer import write_message
from jarvis_proxy.upstream_client.client import Body
from jarvis_proxy.upstream_client.response import Sink
from jarvis_proxy.upstreams import echo


class EchoResponse:
    """A response of the built-in model."""

    __slots__ = ("_pieces", "headers", "status")

    def __init__(self, reply: echo.EchoReply) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {"content-type": reply.content_type}
        self._pieces = _paced(reply)

    async def readany(self) -> bytes:
        """Return the next piece; ``b""`` at the end."""
        return await anext(self._pieces, b"")

    def drop_headers(self) -> None:
        """Do nothing: the headers are small."""

    def buffered_body(self) -> None:
        """Return None: the body arrives at a pace."""

    async def stream_to(self, sink: Sink) -> bool:
        """Give *sink* the next piece."""
        data = await self.readany()
        if data:
            sink(data)
        return bool(data)

    def release_at_end(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """Do nothing: there is no connection."""


class EchoTransport:
    """The transport of the built-in model."""

    async def send(
        self, request: UpstreamRequest, key: str | None, body: Body | None = None
    ) -> EchoResponse:
        """Return the echoed response."""
        reply_id = request.headers.get("x-jarvis-call", "")
        created = int(request.headers.get("x-jarvis-created", "0"))
        endpoint = request.path.partition("?")[0].removeprefix("/")
        reply = echo.reply(
            request.body,
            reply_id=reply_id,
            created=created,
            endpoint=endpoint,
            write=write_message,
        )
        return EchoResponse(reply)

    async def close(self) -> None:
        """Do nothing: there is no connection."""


async def _paced(reply: echo.EchoReply) -> AsyncIterator[bytes]:
    for index, piece in enumerate(reply.pieces):
        if index:
            await asyncio.sleep(reply.pace)
        yield piece
