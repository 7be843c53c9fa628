"""One attempt: a call's request to an upstream, and the answer to its client. IO."""

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, StreamTranslator, UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.circuit_breaker import CallPermit
from jarvis_proxy.server.concurrency import gather_first_error
from jarvis_proxy.server.context import ADMITTED_CALL, CONTEXT, RECORD
from jarvis_proxy.server.relay.choice_relay import ChoiceRelay
from jarvis_proxy.server.relay.client_stream import ClientStream, Source
from jarvis_proxy.server.relay.copying import forward_bytes
from jarvis_proxy.server.relay.deadlines import CallDeadlines
from jarvis_proxy.server.relay.refusals import read_error_body, redirect_error, refusal_error
from jarvis_proxy.server.relay.replies import (
    MAX_BUFFERED_BODY,
    PeekedResponse,
    decoded,
    decompress,
    read_response_body,
)
from jarvis_proxy.server.relay.tracing import new_attempt, note_failure, with_trace
from jarvis_proxy.server.responses import json_response
from jarvis_proxy.server.secrecy import forwarded_headers
from jarvis_proxy.upstream_client.client import Body
from jarvis_proxy.upstream_client.endpoint import UpstreamEndpoint
from jarvis_proxy.upstream_client.errors import bad_response
from jarvis_proxy.upstream_client.hops import LOOP_HEADER, loop_detected, with_mark
from jarvis_proxy.upstream_client.transport import TransportResponse
from jarvis_proxy.upstreams.answer_kinds import (
    ANSWERS_JSON,
    First,
    is_json_under_another_label,
    is_looked_at,
    kind_of,
)
from jarvis_proxy.upstreams.anthropic.relay import MessagesRelayExchange
from jarvis_proxy.upstreams.openai import PassthroughExchange
from jarvis_proxy.upstreams.openai_stream import stream_kind
from jarvis_proxy.wire.headers import media_type
from jarvis_proxy.wire.request_head import wants_usage
from jarvis_proxy.wire.trace_context import TRACEPARENT

_SSE: Final = "text/event-stream"
_JSON: Final = "application/json"


class UpstreamAttempt:
    """One attempt: its requests upstream, their answers, and the client's side of them.

    *client_stream* is the stream that the client asked for, shared by all attempts of a call; None
    for a buffered answer. *body* is a request body that is still arriving.
    """

    __slots__ = (
        "_body",
        "_call",
        "_deadlines",
        "_endpoint",
        "_exchange",
        "_key",
        "_record",
        "_replies",
        "_request",
        "_reservation",
        "_ticket",
        "client_stream",
    )

    def __init__(
        self,
        request: web.Request,
        deadlines: CallDeadlines,
        endpoint: UpstreamEndpoint,
        call: Call,
        exchange: Exchange,
        *,
        ticket: CallPermit,
        key: str | None,
        client_stream: ClientStream | None,
        body: Body | None = None,
    ) -> None:
        self._request = request
        self._body = body
        self._record = request[RECORD]
        self._deadlines = deadlines
        self._endpoint = endpoint
        self._call = call
        self._exchange = exchange
        self._ticket = ticket
        self._key = key
        self.client_stream = client_stream
        self._replies: list[TransportResponse] = []
        # For answers that are buffered.
        self._reservation = request[ADMITTED_CALL].open_reservation()

    async def run(self) -> web.StreamResponse:
        """Ask the upstream and relay its answer to the end.

        Raises:
            ProxyError: the attempt failed; another may follow unless
                ``ClientStream.has_content``.
        """
        self._record.attempts += 1
        if self._record.tried is not None:
            self._record.tried.append(new_attempt(self._record))
        if self._record.upstream_asked_at is None:
            self._record.upstream_asked_at = time.monotonic()
        try:
            return await self._run()
        except BaseException as exc:
            self._reservation.set_unchecked(0)  # the buffered answer is discarded
            if self._record.tried:
                note_failure(self._record.tried[-1], exc)
            raise
        finally:
            for reply in self._replies:
                reply.close()  # this has no effect on a finished reply

    async def _run(self) -> web.StreamResponse:
        exchange = self._exchange
        replies = await gather_first_error([self._open(request) for request in exchange.requests])
        self._deadlines.upstream_answered = True
        if not exchange.raw:
            if self._call.stream:
                return await self._relay_stream(replies)
            return await self._translate_buffered(replies)
        return await self._relay_raw(replies[0])

    async def _relay_raw(self, reply: TransportResponse) -> web.StreamResponse:
        """Relay an answer unchanged, by its content: its declared type may be wrong."""
        call, wants_stream = self._call, self.client_stream is not None
        label, endpoint = reply.headers.get("content-type", ""), call.endpoint
        if call.method == "HEAD" or not is_looked_at(label, endpoint, asked=wants_stream):
            return await forward_bytes(self._request, reply, self._deadlines)
        if not wants_stream and media_type(label) == _JSON and endpoint in ANSWERS_JSON:
            # Nearly every answer takes this way, without a peek.
            return await self._forward_buffered(reply)
        peeked = PeekedResponse(reply)
        if wants_stream and media_type(label) == _SSE:
            self._prepare_stream(reply)  # the client may need heartbeats before its first bytes
        first = await peeked.peek(self._deadlines)
        match kind_of(first, label, endpoint, asked=wants_stream):
            case "events":
                return await self._relay_stream([peeked])
            case "whole":
                return await self._forward_buffered(peeked, first)
            case "copy":
                return await forward_bytes(self._request, peeked, self._deadlines)
        raise bad_response()

    async def _open(self, upstream_request: UpstreamRequest) -> TransportResponse:
        """Send, and return the reply if its status is below 300.

        Raises:
            ProxyError: it could not be sent, or the status is 300 or above.
        """
        if self._endpoint.loop_mark:
            earlier = self._request.headers.get(LOOP_HEADER)
            upstream_request = with_mark(upstream_request, self._endpoint.loop_mark, earlier)
        if (parent := self._request.headers.get(TRACEPARENT)) is not None:
            upstream_request = with_trace(upstream_request, parent, self._record.tried)
        transport = self._endpoint.api_for(self._call.endpoint).transport
        reply = await transport.send(upstream_request, self._key, self._body)
        self._replies.append(reply)
        if self._record.tried:
            self._record.tried[-1].status = reply.status
        self._deadlines.saw_data = True
        if reply.status >= 300:
            raise await self._read_refusal(reply)
        return reply

    async def _read_refusal(self, reply: TransportResponse) -> ProxyError:
        if reply.status < 400:
            return redirect_error()
        raw = await read_error_body(reply, self._deadlines, self._reservation.add)
        # Another proxy of ours may report the loop in any API's error format.
        if reply.status == 508 and self._endpoint.loop_mark:
            hops = self._request[CONTEXT].loop_marks
            return loop_detected(hops.settings[self._endpoint.loop_mark])
        return refusal_error(reply, self._exchange, raw)

    async def _translate_buffered(self, replies: list[TransportResponse]) -> web.Response:
        """Translate buffered answers, each choice with its continuations, into one."""

        async def choice(index: int, reply: TransportResponse) -> None:
            while True:
                body = await self._read_buffered(reply)
                following = self._exchange.translate_reply(body, index)
                if following is None:
                    return
                reply = await self._open(following)

        try:
            await gather_first_error([choice(index, reply) for index, reply in enumerate(replies)])
        except BaseException:
            self._count_tokens(self._exchange.partial_usage)  # the upstream bills them nevertheless
            raise
        return self._json_answer(self._exchange.answer(), {})

    async def _read_buffered(self, reply: TransportResponse) -> bytes:
        body = await read_response_body(
            reply, MAX_BUFFERED_BODY, self._deadlines, self._reservation.add
        )
        self._record.upstream_first_byte_at = time.monotonic()
        return decompress(reply, body, self._reservation.add)

    async def _forward_buffered(
        self, reply: TransportResponse, first: First | None = "json"
    ) -> web.StreamResponse:
        """Forward an answer after buffering it: a truncated one becomes an error.

        *first* is the kind of its first bytes.
        """
        body = await self._read_buffered(reply)
        label, endpoint = reply.headers.get("content-type", ""), self._call.endpoint
        if endpoint in ANSWERS_JSON and self._call.method == "POST" and not body.strip():
            # For other kinds an empty answer is valid: a transcript of silence has no text.
            raise bad_response()
        self._exchange.translate_reply(body)
        if (
            self.client_stream is not None
            and (events := self._convert_to_stream(self.client_stream)) is not None
        ):
            self._prepare_stream(reply)
            self._count_tokens(self._exchange.usage)
            self._deadlines.wrote_to_client = True
            await self.client_stream.send(events)
            return await self.client_stream.end()
        headers = forwarded_headers(self._request, reply.headers)
        headers.pop("content-encoding", None)
        if is_json_under_another_label(first, label, endpoint):
            headers["content-type"] = _JSON
        return self._json_answer(self._exchange.answer(), headers)

    def _convert_to_stream(self, client_stream: ClientStream) -> bytes | None:
        """Return a buffered answer as a stream, None if it may be forwarded unchanged.

        Raises:
            ProxyError: 502 `upstream_bad_response`, it is neither.
        """
        events = None
        if isinstance(self._exchange, PassthroughExchange | MessagesRelayExchange):
            numbers = client_stream.number_events(relayed=False)
            asks_usage = wants_usage(self._call.body)
            events = self._exchange.as_stream(numbers, asks_usage=asks_usage)
        if events is None and (
            client_stream.head_promised or stream_kind(self._call.endpoint) != "other"
        ):
            raise bad_response()
        return events

    def _json_answer(self, body: bytes, headers: Mapping[str, str]) -> web.Response:
        self._count_tokens(self._exchange.usage)
        self._record.first_byte_sent_at = time.monotonic()
        self._record.bytes_out = len(body)
        merged = {**dict(self._exchange.headers), **headers}
        if "content-type" in merged:
            merged["Content-Type"] = merged.pop("content-type")
        return json_response(self._request, body, self._replies[0].status, merged)

    def _prepare_stream(self, reply: TransportResponse) -> ClientStream:
        """Return the client's stream, with the headers that *reply* forwards."""
        if self.client_stream is None:
            # A stream without "stream": true: speech, or a form's transcription.
            self.client_stream = self._deadlines.client_side = ClientStream(
                self._request, self._call
            )
        client_stream = self.client_stream
        if not client_stream.headers_sent:
            headers = forwarded_headers(self._request, reply.headers) if self._exchange.raw else {}
            headers.pop("content-encoding", None)
            if media_type(headers.get("content-type", "")) != _SSE:
                headers.pop("content-type", None)
            client_stream.headers = {
                **dict(self._exchange.headers),
                **client_stream.answer_headers(headers),
            }
        return client_stream

    async def _relay_stream(self, replies: list[TransportResponse]) -> web.StreamResponse:
        client_stream = self._prepare_stream(replies[0])
        replies = [decoded(reply) for reply in replies]
        for reply in replies:
            reply.drop_headers()
        translators = self._translators(len(replies), client_stream)
        if isinstance(translators[0], Source):
            client_stream.source = translators[0]
        choices = zip(replies, translators, strict=True)
        try:
            await gather_first_error(
                [
                    self._choice(translator, client_stream).run(reply)
                    for reply, translator in choices
                ]
            )
        finally:
            for translator in translators:
                self._count_tokens(translator.usage)
                if translator.failure is not None:
                    self._record.outcome = "upstream_error"
                    self._record.code = str(translator.failure.code)
        return await client_stream.end()

    def _choice(self, translator: StreamTranslator, client_stream: ClientStream) -> ChoiceRelay:
        return ChoiceRelay(
            self._request,
            self._deadlines,
            translator,
            client_stream,
            ticket=self._ticket,
            open_request=self._open,
        )

    def _translators(self, choices: int, client_stream: ClientStream) -> list[StreamTranslator]:
        exchange = self._exchange
        numbers = client_stream.number_events(relayed=exchange.raw)
        if exchange.raw:  # its events keep the upstream's numbers
            return [exchange.stream_translator(choice) for choice in range(choices)]
        return [exchange.stream_translator(choice, numbers) for choice in range(choices)]

    def _count_tokens(self, usage: TokenUsage | None) -> None:
        """Add *usage* to the record."""
        if usage is not None:
            self._record.add_tokens(*usage.bounded())
