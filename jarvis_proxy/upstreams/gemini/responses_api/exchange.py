"""One Responses call to Gemini, there and back. Pure."""

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import StreamTranslator
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.exchange import GeminiChatExchange
from jarvis_proxy.upstreams.gemini.recovery import NOTHING_RELAXED, Relaxation
from jarvis_proxy.upstreams.gemini.reply.candidate import Sink
from jarvis_proxy.upstreams.gemini.reply.completion import LaneReply, MessageSink
from jarvis_proxy.upstreams.gemini.request.build import ChatPlan
from jarvis_proxy.upstreams.gemini.responses_api.sink import ResponseSink
from jarvis_proxy.upstreams.gemini.responses_api.to_chat import AsChat, as_chat
from jarvis_proxy.upstreams.gemini.signature_store import SignatureVault
from jarvis_proxy.upstreams.responses_writer import ResponseWriter
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.responses_types import Response


class GeminiResponsesExchange(GeminiChatExchange):
    """A chat call in the clothes of the Responses API. *build* is given the chat call."""

    __slots__ = ("_asked", "_index", "_numbers", "_writer")

    def __init__(
        self,
        call: Call,
        asked: AsChat,
        build: Callable[[Relaxation], ChatPlan],
        *,
        vault: SignatureVault,
        new_id: Callable[[], str],
        relaxation: Relaxation = NOTHING_RELAXED,
    ) -> None:
        self._asked = asked
        self._numbers: SequenceNumbers | None = None
        self._index: int | None = None  # of the candidate that is the answer: the first to come
        try:
            super().__init__(call, build, vault=vault, new_id=new_id, relaxation=relaxation)
        except ProxyError as error:
            raise asked.places.blame(error) from None
        self._writer: ResponseWriter

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what was left out, under the client's names, and which model answered."""
        ours = (self._asked.places.param(name) for name in self.plan.ignored)
        ignored = tuple(dict.fromkeys((*self._asked.ignored, *ours)))
        rest = tuple(header for header in super().headers if header[0] != "x-jarvis-ignored")
        return (("x-jarvis-ignored", ", ".join(ignored)), *rest) if ignored else rest

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the downstream error for an upstream status ≥ 400; never passed on as it came."""
        return self._asked.places.blame(super().translate_error(status, headers, body))

    def answer(self) -> bytes:
        """Return the response after the reply was taken."""
        self._writer.end(self._answer.usage, self._answer.tier)
        return msgspec.json.encode(self._writer.response)

    def stream_translator(
        self, lane: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return a fresh translator of the stream into the events of a response."""
        self._index, self._numbers = None, numbers
        return self._translator(lane, self._sink, self._response_end, self._kept)

    def _kept(self) -> int:
        """Return how much of the answer is kept for its last event, which repeats it."""
        return 0 if self._index is None else self._writer.kept

    def _new_writer(self, out: list[bytes] | None) -> ResponseWriter:
        call = self._context.call
        response = Response(
            id=f"resp_{call.id}",
            created_at=call.created,
            status="in_progress",
            model=call.model,
            output=[],
            **self._asked.echo,
        )
        return ResponseWriter(response, self._context.new_id, out, self._numbers)

    def _new_reply(self, lane: int) -> LaneReply:
        self._index = None
        return LaneReply(self._context, self._answer, lane, lambda index: self._sink(index, None))

    def _sink(self, index: int, out: list[bytes] | None) -> Sink:
        if self._index is not None:
            return MessageSink(self._context, index)  # a response has one answer: this goes nowhere
        self._index, self._writer = index, self._new_writer(out)
        return ResponseSink(self._context, self._writer, sealed=self._asked.sealed)

    def _response_end(self) -> bytes:
        """Return the last event: nothing follows it, not even ``[DONE]``."""
        self._writer.end(self._answer.usage, self._answer.tier)
        return b""

    def _relaxed(self, relaxation: Relaxation) -> "GeminiResponsesExchange":
        context = self._context
        return GeminiResponsesExchange(
            context.call,
            self._asked,
            self._build,
            vault=context.vault,
            new_id=context.new_id,
            relaxation=relaxation,
        )


def inner_chat(call: Call) -> tuple[Call, AsChat]:
    """Return the chat call that asks what *call*, one of /v1/responses, asks.

    Raises:
        ProxyError: 400 with the param as the client knows it.
    """
    asked = as_chat(call)
    return replace(call, endpoint="chat/completions", body=asked.body), asked
