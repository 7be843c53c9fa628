"""One choice of a streamed answer: from the upstream's stream into the client's. IO."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from jarvis_proxy.canonical.exchange import StreamTranslator, UpstreamRequest
from jarvis_proxy.routing.circuit_breaker import CallPermit
from jarvis_proxy.server.context import ADMITTED_CALL, RECORD
from jarvis_proxy.server.relay.client_stream import ClientStream, check_client_connected
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.replies import decoded, without_peeking
from jarvis_proxy.server.secrecy import redact_events
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, map_read_error
from jarvis_proxy.upstream_client.transport import TransportResponse

_UNTRACKED: Final = 4096
"""Bytes of an incomplete event that are not counted: nearly every read completes one."""


class ChoiceRelay:
    """Relays one choice through *translator* into *client_stream*, which other choices share.

    *open_request* sends a continuation of the answer. *ticket* learns that the upstream answers.
    """

    __slots__ = (
        "_client_stream",
        "_deadlines",
        "_open_request",
        "_record",
        "_request",
        "_reservation",
        "_ticket",
        "_translator",
    )

    def __init__(
        self,
        request: web.Request,
        deadlines: CallDeadlines,
        translator: StreamTranslator,
        client_stream: ClientStream,
        *,
        ticket: CallPermit,
        open_request: Callable[[UpstreamRequest], Awaitable[TransportResponse]],
    ) -> None:
        self._request = request
        self._record = request[RECORD]
        self._deadlines = deadlines
        self._translator = translator
        self._client_stream = client_stream
        self._ticket = ticket
        self._open_request = open_request
        self._reservation = request[ADMITTED_CALL].open_reservation()

    async def run(self, reply: TransportResponse) -> None:
        """Relay *reply* to its end, then its continuations.

        Raises:
            ProxyError: the upstream's stream failed.
            ConnectionResetError: the client has left.
        """
        try:
            await self._relay_until_done(reply)
        finally:
            self._reservation.set_unchecked(0)

    async def _relay_until_done(self, reply: TransportResponse) -> None:
        translator = self._translator
        while True:
            try:
                await self._relay_first_event(reply)
                if self._client_stream.has_content:
                    self._ticket.answered()  # the circuit closes now, not when this answer ends
                await self._relay_rest(without_peeking(reply))
            except NETWORK_ERRORS as exc:
                check_client_connected(self._request)
                raise map_read_error(exc) from exc
            if not translator.done and (events := translator.feed_eof()):
                await self._write(self._redact_failure(events))
            reply.release_at_end()
            if translator.next_request is None:
                return
            reply = decoded(await self._open_request(translator.next_request))

    async def _relay_first_event(self, reply: TransportResponse) -> None:
        """Read until the client has some content: until then another attempt is possible."""
        client_stream, translator = self._client_stream, self._translator
        while not client_stream.has_content and not translator.done:
            if not (data := await reply.readany()):
                return
            self._deadlines.saw_data = True
            self._record.upstream_first_byte_at = time.monotonic()
            events = self._redact_failure(translator.feed(data))
            self._reservation.set(translator.held)
            if client_stream.is_content(events):
                await self._write(events)

    async def _relay_rest(self, reply: TransportResponse) -> None:
        """Relay what follows the first event, as it arrives."""
        deadlines, translator, reservation = self._deadlines, self._translator, self._reservation
        feed, write = translator.feed, self._client_stream.write
        failure: Exception | None = None

        def deliver(data: bytes) -> bool:
            # These lines are all the work per frame: no task, no timer, no log.
            nonlocal failure
            deadlines.saw_data = True
            try:
                events = feed(data)
                if translator.failure is not None:
                    events = self._redact_failure(events)
                if abs(translator.held - reservation.size) > _UNTRACKED:
                    reservation.set(translator.held)
            except Exception as exc:
                # The parser that calls this function must not see any exception.
                failure = exc
                return True
            if events:
                deadlines.wrote_to_client = True
                return write(events) or translator.done
            return translator.done

        if not self._client_stream.has_content:
            return  # the answer ended before its first content
        while not translator.done and await reply.stream_to(deliver):
            if failure is not None:
                raise failure
            if self._client_stream.is_write_paused():
                await self._client_stream.wait_drained()

    def _redact_failure(self, events: bytes) -> bytes:
        """Return *events* without keys, if they report a failure of the upstream's stream."""
        failure = self._translator.failure
        if failure is None or not events:
            return events
        redacted = redact_events(self._request, events)
        if not redacted:
            raise failure  # the client gets the proxy's own error instead
        return redacted

    async def _write(self, events: bytes) -> None:
        self._deadlines.wrote_to_client = True
        await self._client_stream.send(events)
