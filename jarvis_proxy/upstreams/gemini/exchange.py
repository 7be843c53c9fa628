"""One chat call to Gemini, there and back: its requests, its lanes, its recoveries. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Final

import msgspec

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import StreamTranslator, UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage, add_usage, to_token_usage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.recovery import NOTHING_RELAXED, Relaxation, remedies
from jarvis_proxy.upstreams.gemini.reply.accumulator import Answer
from jarvis_proxy.upstreams.gemini.reply.candidate import Sink
from jarvis_proxy.upstreams.gemini.reply.chunks import ChunkSink, usage_event
from jarvis_proxy.upstreams.gemini.reply.completion import LaneReply, build_completion
from jarvis_proxy.upstreams.gemini.reply.context import ReplyContext
from jarvis_proxy.upstreams.gemini.reply.errors import message_of, translate_error
from jarvis_proxy.upstreams.gemini.reply.stream import GeminiStreamTranslator
from jarvis_proxy.upstreams.gemini.request.build import ChatPlan
from jarvis_proxy.upstreams.gemini.signature_store import SignatureVault
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.sse import DONE

_VERSION: Final = re.compile(r"[A-Za-z0-9._/@:-]{1,128}")
_HEADERS: Final = {"Content-Type": "application/json"}


class GeminiChatExchange:
    """One chat call: the requests, a lane for each choice, and the way back.

    *build* makes the request, with whatever is relaxed after a refusal. Implements ``Exchange``.
    """

    __slots__ = ("_answer", "_attempt", "_build", "_context", "_lanes", "_relaxation", "plan")

    raw: bool = False

    def __init__(
        self,
        call: Call,
        build: Callable[[Relaxation], ChatPlan],
        *,
        vault: SignatureVault,
        new_id: Callable[[], str],
        relaxation: Relaxation = NOTHING_RELAXED,
    ) -> None:
        self._build = build
        self._relaxation = relaxation
        self.plan = build(self._relaxation)
        self._context = ReplyContext(call, self.plan, vault, new_id)
        self._answer = Answer(self.plan.lanes)
        self._attempt = 0
        self._lanes: dict[int, tuple[int, LaneReply]] = {}  # with the attempt that began it

    @property
    def weight(self) -> int:
        """Return the size of the body, times the choices: each is sent by itself."""
        return len(self.plan.body) * self.plan.lanes

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """Return the same request once for each choice.

        Whoever asks for them is about to send them: replies from then on begin the answer anew,
        so that one that failed between two continuations can be asked for again.
        """
        self._attempt += 1
        self._answer.begin()
        return (self._request(self.plan.body),) * self.plan.lanes

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return what was left out, and which model answered, once that is known."""
        headers = []
        if self.plan.ignored:
            headers.append(("x-jarvis-ignored", ", ".join(self.plan.ignored)))
        version = self._answer.model_version
        if version is not None and _VERSION.fullmatch(version):
            headers.append(("x-gemini-model-version", version))
        return tuple(headers)

    @property
    def usage(self) -> TokenUsage | None:
        """Return the tokens of all lanes together, once each has ended."""
        return to_token_usage(self._answer.usage) if self._answer.complete else None

    @property
    def spent(self) -> TokenUsage | None:
        """Return the tokens of all lanes, as far as the upstream told them in this attempt."""
        replies = [reply for attempt, reply in self._lanes.values() if attempt == self._attempt]
        told = [usage for reply in replies if (usage := reply.usage) is not None]
        return to_token_usage(reduce(add_usage, told)) if told else None

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the downstream error for an upstream status ≥ 400; never passed on as it came."""
        return translate_error(status, body, model=self._context.call.model, headers=headers)

    def recover(self, status: int, body: bytes) -> "GeminiChatExchange | None":
        """Return a changed exchange worth one more try after this refusal, or None.

        What is changed is in ``recovery.REMEDIES``. Each change is made once, and only where it
        makes another request: what the upstream has refused is not sent to it again.
        """
        if status != 400:
            return None
        for relaxation in remedies(message_of(body), self._relaxation):
            try:
                better = self._relaxed(relaxation)
            except ProxyError:
                continue  # in strict mode, or without the part that the call is about
            if better.plan.body != self.plan.body:
                better._answer.was_empty = self._answer.was_empty
                return better
        return None

    def translate_reply(self, body: bytes, lane: int = 0) -> UpstreamRequest | None:
        """Take a whole 200 body; return the request that continues it, or None when complete.

        Raises:
            ProxyError: the body holds an error or nothing usable. One that is a
                ``RetryableError`` is worth one silent retry.
        """
        attempt, reply = self._lanes.get(lane, (-1, None))
        if reply is None or attempt != self._attempt:
            reply = self._new_reply(lane)
            self._lanes[lane] = self._attempt, reply
        token = reply.take(body)
        return None if token is None else self._continue_with(token)

    def answer(self) -> bytes:
        """Return the ChatCompletion after every lane's reply was taken."""
        lanes = [self._lanes[number][1] for number in sorted(self._lanes)]
        return msgspec.json.encode(build_completion(self._context, self._answer, lanes))

    def stream_translator(
        self, lane: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return a fresh translator for one lane's stream; the last lane to end says ``[DONE]``."""
        return self._translator(lane, self._chunks, self._chat_end)

    def _translator(
        self,
        lane: int,
        make_sink: Callable[[int, list[bytes]], Sink],
        end: Callable[[], bytes],
        kept: Callable[[], int] = lambda: 0,
    ) -> StreamTranslator:
        return GeminiStreamTranslator(
            self._context,
            self._answer,
            lane,
            make_sink=make_sink,
            end=end,
            continue_with=self._continue_with,
            kept=kept,
        )

    def _new_reply(self, lane: int) -> LaneReply:
        return LaneReply(self._context, self._answer, lane)

    def _chunks(self, index: int, out: list[bytes]) -> ChunkSink:
        return ChunkSink(self._context, self._answer, index, out=out)

    def _chat_end(self) -> bytes:
        """Return what follows the last choice of a stream."""
        usage = usage_event(self._context, self._answer) if self.plan.include_usage else b""
        return usage + DONE

    def _relaxed(self, relaxation: Relaxation) -> "GeminiChatExchange":
        context = self._context
        return GeminiChatExchange(
            context.call,
            self._build,
            vault=context.vault,
            new_id=context.new_id,
            relaxation=relaxation,
        )

    def _request(self, body: bytes) -> UpstreamRequest:
        call = self._context.call
        method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
        return UpstreamRequest("POST", f"/models/{call.target_model}:{method}", _HEADERS, body)

    def _continue_with(self, token: str) -> UpstreamRequest:
        """Return the same request with the token by which the upstream goes on."""
        field = b'{"continuationToken":' + msgspec.json.encode(token) + b","
        return self._request(field + self.plan.body.lstrip()[1:])
