"""Relay: one call's answer from an upstream to its client, as it arrives. IO."""

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, StreamTranslator, UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.circuit_breaker import Ticket
from jarvis_proxy.server.admission import Share
from jarvis_proxy.server.context import ADMISSION, RECORD, SHELL
from jarvis_proxy.server.relay.client_stream import Downstream, check_still_there, status_headers
from jarvis_proxy.server.relay.copying import copy_reply
from jarvis_proxy.server.relay.deadlines import Watched
from jarvis_proxy.server.relay.lanes import together
from jarvis_proxy.server.relay.refusals import read_refused, redirected, refusal
from jarvis_proxy.server.relay.replies import (
    MAX_WHOLE_BODY,
    Peeked,
    plain,
    read_whole,
    uncoded,
    unpacked,
)
from jarvis_proxy.server.responses import json_response
from jarvis_proxy.server.secrecy import crossing_headers, hide_in_events
from jarvis_proxy.upstream_client.client import Body
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.upstream_client.errors import NETWORK_ERRORS, bad_response, read_error
from jarvis_proxy.upstream_client.hops import HOP, loop_detected, marked
from jarvis_proxy.upstream_client.transport import Response
from jarvis_proxy.upstreams.answer_kinds import (
    ANSWERS_JSON,
    First,
    is_json_under_another_label,
    is_looked_at,
    kind_of,
)
from jarvis_proxy.upstreams.openai import PassthroughExchange
from jarvis_proxy.upstreams.openai_stream import PassthroughStream, stream_kind
from jarvis_proxy.wire.headers import media_type
from jarvis_proxy.wire.request_head import wants_usage

_SSE: Final = "text/event-stream"
_JSON: Final = "application/json"
_UNCOUNTED: Final = 4096
"""So much of an event that is not whole is not worth counting: nearly every read ends an event."""


class Relay:
    """One attempt: its requests upstream, their answers, and the client's side of them.

    *down* is the stream that the client asked for, shared by all attempts of a call; None where
    it asked for a whole answer. *body* is a request body that streams on.
    """

    __slots__ = (
        "_body",
        "_call",
        "_exchange",
        "_held",
        "_key",
        "_place",
        "_record",
        "_replies",
        "_request",
        "_ticket",
        "_watched",
        "down",
    )

    def __init__(
        self,
        request: web.Request,
        watched: Watched,
        place: UpstreamEndpoint,
        call: Call,
        exchange: Exchange,
        *,
        ticket: Ticket,
        key: str | None,
        down: Downstream | None,
        body: Body | None = None,
    ) -> None:
        self._request = request
        self._body = body
        self._record = request[RECORD]
        self._watched = watched
        self._place = place
        self._call = call
        self._exchange = exchange
        self._ticket = ticket
        self._key = key
        self.down = down
        self._replies: list[Response] = []
        self._held = request[ADMISSION].share()  # of answers that are read whole

    async def run(self) -> web.StreamResponse:
        """Ask the upstream and relay its answer to the end.

        Raises:
            ProxyError: the attempt failed; ``Downstream.started`` tells whether another may follow.
        """
        self._record.attempts += 1
        if self._record.asked is None:
            self._record.asked = time.monotonic()
        try:
            return await self._attempt()
        except BaseException:
            self._held.note(0)  # nobody will have it
            raise
        finally:
            for reply in self._replies:
                reply.close()  # a finished one is not affected

    async def _attempt(self) -> web.StreamResponse:
        exchange = self._exchange
        replies = await together([self._open(request) for request in exchange.requests])
        self._watched.answered = True
        if not exchange.raw:
            if self._call.stream:
                return await self._stream(replies)
            return await self._whole_lanes(replies)
        return await self._raw(replies[0])

    async def _raw(self, reply: Response) -> web.StreamResponse:
        """Relay an answer as it came, by what it is: labels are wrong now and then."""
        call, asked = self._call, self.down is not None
        label, endpoint = reply.headers.get("Content-Type", ""), call.endpoint
        if call.method == "HEAD" or not is_looked_at(label, endpoint, asked=asked):
            return await copy_reply(self._request, reply, self._watched)
        if not asked and media_type(label) == _JSON and endpoint in ANSWERS_JSON:
            return await self._whole(reply)  # nearly every answer, and looking costs time
        peeked = Peeked(reply)
        if asked and media_type(label) == _SSE:
            self._prepare(reply)  # heartbeats may go out before its first bytes are here
        first = await peeked.peek(self._watched)
        match kind_of(first, label, endpoint, asked=asked):
            case "events":
                return await self._stream([peeked])
            case "whole":
                return await self._whole(peeked, first)
            case "copy":
                return await copy_reply(self._request, peeked, self._watched)
        raise bad_response()

    async def _open(self, upstream_request: UpstreamRequest) -> Response:
        """Send, and return the reply if its status is good.

        Raises:
            ProxyError: it could not be sent, or the status is not good.
        """
        if self._place.mark:
            earlier = self._request.headers.get(HOP)
            upstream_request = marked(upstream_request, self._place.mark, earlier)
        reply = await self._place.transport.send(upstream_request, self._key, self._body)
        self._replies.append(reply)
        self._watched.heard = True
        if reply.status >= 300:
            raise await self._refusal(reply)
        return reply

    async def _refusal(self, reply: Response) -> ProxyError:
        if reply.status < 400:
            return redirected()
        raw = await read_refused(reply, self._watched, self._held.add)
        if reply.status == 508 and self._place.mark and b'"loop_detected"' in raw:
            hops = self._request.app[SHELL].hops
            return loop_detected(hops.settings[self._place.mark])
        return refusal(reply, self._exchange, raw)

    async def _whole_lanes(self, replies: list[Response]) -> web.Response:
        """Translate whole answers, each lane with its continuations, into one."""

        async def lane(index: int, reply: Response) -> None:
            while True:
                body = await self._read(reply)
                following = self._exchange.translate_reply(body, index)
                if following is None:
                    return
                reply = await self._open(following)

        try:
            await together([lane(index, reply) for index, reply in enumerate(replies)])
        except BaseException:
            self._count(self._exchange.spent)  # it has to be paid all the same
            raise
        return self._json(self._exchange.answer(), {})

    async def _read(self, reply: Response) -> bytes:
        body = await read_whole(reply, MAX_WHOLE_BODY, self._watched, self._held.add)
        self._record.heard = time.monotonic()
        return unpacked(reply, body, self._held.add)

    async def _whole(self, reply: Response, first: First | None = "json") -> web.StreamResponse:
        """Pass on an answer that is read whole first: a cut one becomes an error, not half.

        *first* is what it begins with.
        """
        body = await self._read(reply)
        label, endpoint = reply.headers.get("Content-Type", ""), self._call.endpoint
        if endpoint in ANSWERS_JSON and self._call.method == "POST" and not body.strip():
            raise bad_response()  # nowhere else is nothing an answer: silence has an empty text
        self._exchange.translate_reply(body)
        if self.down is not None and (events := self._as_stream(self.down)) is not None:
            self._prepare(reply)
            self._count(self._exchange.usage)
            await self._write(self.down, events)
            return await self.down.end()
        headers = crossing_headers(self._request, reply.headers)
        headers.pop("content-encoding", None)
        if is_json_under_another_label(first, label, endpoint):
            headers["content-type"] = _JSON
        return self._json(self._exchange.answer(), headers)

    def _as_stream(self, down: Downstream) -> bytes | None:
        """Return a whole answer as the stream that was asked for, None if it may go on as it is.

        Raises:
            ProxyError: 502 `upstream_bad_response`, it is neither.
        """
        events = None
        if isinstance(self._exchange, PassthroughExchange):
            numbers = down.attempt(relayed=False)
            asks_usage = wants_usage(self._call.body)
            events = self._exchange.as_stream(numbers, asks_usage=asks_usage)
        if events is None and (down.promised or stream_kind(self._call.endpoint) != "other"):
            raise bad_response()
        return events

    def _json(self, body: bytes, headers: Mapping[str, str]) -> web.Response:
        self._count(self._exchange.usage)
        self._record.first_byte = time.monotonic()
        self._record.bytes_out = len(body)
        merged = {**dict(self._exchange.headers), **headers}
        if "content-type" in merged:
            merged["Content-Type"] = merged.pop("content-type")
        return json_response(self._request, body, self._replies[0].status, merged)

    def _prepare(self, reply: Response) -> Downstream:
        """Return the client's side of a stream, with the headers that cross from *reply*."""
        if self.down is None:
            # A stream that was not asked for in JSON: speech, or a form's transcription.
            self.down = self._watched.downstream = Downstream(self._request, self._call)
        down = self.down
        if not down.committed:
            headers = crossing_headers(self._request, reply.headers) if self._exchange.raw else {}
            headers.pop("content-encoding", None)
            if media_type(headers.get("content-type", "")) != _SSE:
                headers.pop("content-type", None)
            down.headers = {**dict(self._exchange.headers), **status_headers(headers)}
        return down

    async def _stream(self, replies: list[Response]) -> web.StreamResponse:
        down = self._prepare(replies[0])
        replies = [uncoded(reply) for reply in replies]
        for reply in replies:
            reply.forget_headers()
        translators = self._translators(len(replies), down)
        if isinstance(translators[0], PassthroughStream):
            down.source = translators[0]
        lanes = zip(replies, translators, strict=True)
        try:
            await together([self._pump(reply, translator, down) for reply, translator in lanes])
        finally:
            for translator in translators:
                self._count(translator.usage)
                if translator.failure is not None:
                    self._record.outcome = "upstream_error"
                    self._record.code = str(translator.failure.code)
        return await down.end()

    def _translators(self, lanes: int, down: Downstream) -> list[StreamTranslator]:
        exchange = self._exchange
        numbers = down.attempt(relayed=exchange.raw)
        if exchange.raw:  # its events have the upstream's numbers
            return [exchange.stream_translator(lane) for lane in range(lanes)]
        return [exchange.stream_translator(lane, numbers) for lane in range(lanes)]

    async def _pump(self, reply: Response, translator: StreamTranslator, down: Downstream) -> None:
        """Carry one lane's stream to its end, through its continuations."""
        held = self._request[ADMISSION].share()
        try:
            await self._carry(reply, translator, down, held)
        finally:
            held.note(0)

    async def _carry(
        self, reply: Response, translator: StreamTranslator, down: Downstream, held: Share
    ) -> None:
        while True:
            try:
                await self._begin(reply, translator, down, held)
                if down.started:
                    self._ticket.answered()  # others need not wait for this answer's end
                await self._flow(plain(reply), translator, down, held)
            except NETWORK_ERRORS as exc:
                check_still_there(self._request)
                raise read_error(exc) from exc
            if not translator.done and (events := translator.feed_eof()):
                await self._write(down, self._shown(translator, events))
            reply.finish()
            if translator.next_request is None:
                return
            reply = uncoded(await self._open(translator.next_request))

    async def _begin(
        self, reply: Response, translator: StreamTranslator, down: Downstream, held: Share
    ) -> None:
        """Read until something of the answer is out: so long, another may still be tried."""
        while not down.started and not translator.done and (data := await reply.readany()):
            self._watched.heard = True
            self._record.heard = time.monotonic()
            events = self._shown(translator, translator.feed(data))
            held.set(translator.held)
            if b"data:" in events:  # a comment is no answer
                await self._write(down, events)

    async def _flow(
        self, reply: Response, translator: StreamTranslator, down: Downstream, held: Share
    ) -> None:
        """Relay what follows, as it arrives."""
        watched, feed, write = self._watched, translator.feed, down.write
        fault: Exception | None = None

        def take(data: bytes) -> bool:
            # What happens per frame is these few lines: no task, no timer, no log.
            nonlocal fault
            watched.heard = True
            try:
                events = feed(data)
                if translator.failure is not None:
                    events = self._shown(translator, events)
                if abs(translator.held - held.size) > _UNCOUNTED:
                    held.set(translator.held)
            except Exception as exc:  # of any kind: it must not reach the parser that calls this
                fault = exc
                return True
            if events:
                watched.wrote = True
                return write(events) or translator.done
            return translator.done

        if not down.started:
            return  # the answer ended before it began
        while not translator.done and await reply.stream_to(take):
            if fault is not None:
                raise fault
            if down.is_full():
                await down.drained()

    def _shown(self, translator: StreamTranslator, events: bytes) -> bytes:
        """Return *events*, but those in which the upstream's stream fails without keys."""
        if translator.failure is None or not events:
            return events
        hidden = hide_in_events(self._request, events)
        if not hidden:
            raise translator.failure  # told in our words
        return hidden

    async def _write(self, down: Downstream, events: bytes) -> None:
        self._watched.wrote = True
        await down.send(events)

    def _count(self, usage: TokenUsage | None) -> None:
        """Add *usage* to the record."""
        if usage is not None:
            self._record.add_tokens(*usage.bounded())
