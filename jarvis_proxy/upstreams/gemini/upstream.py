"""Gemini as an upstream: which endpoint, which address, and one chat call there and back. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, cast

import msgspec

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.base import (
    Call,
    Exchange,
    Media,
    Needs,
    StreamTranslator,
    TokenUsage,
    UpstreamRequest,
)
from jarvis_proxy.upstreams.gemini.content import ImageUrls
from jarvis_proxy.upstreams.gemini.embeddings import EmbeddingsExchange
from jarvis_proxy.upstreams.gemini.errors import SIGNATURE_FAULT, message_of, translate_error
from jarvis_proxy.upstreams.gemini.lane import Answer
from jarvis_proxy.upstreams.gemini.reply import LaneReply, build_completion
from jarvis_proxy.upstreams.gemini.reply_context import ReplyContext
from jarvis_proxy.upstreams.gemini.request import ChatPlan, Relaxation, build_chat, needs
from jarvis_proxy.upstreams.gemini.signatures import SignatureVault
from jarvis_proxy.upstreams.gemini.stream import GeminiStreamTranslator
from jarvis_proxy.upstreams.gemini.usage import to_token_usage

_MODEL_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_VERSION: Final = re.compile(r"[A-Za-z0-9._/@:-]{1,128}")
_HEADERS: Final = {"Content-Type": "application/json"}
_THINKING_FAULT: Final = re.compile(r"thinking[ _]?(?:level|budget)", re.IGNORECASE)
_SCHEMA_FAULT: Final = re.compile(r"too many states", re.IGNORECASE)


class GeminiUpstream:
    """Google's generateContent behind OpenAI's dialect; implements ``Upstream``.

    *new_id* gives 24 random letters and digits; *image_urls* is the setting ``IMAGE_URLS``; in
    *signature_sources* is counted how thought signatures come back, as ``ChatPlan`` tells it.
    """

    __slots__ = ("_image_urls", "_new_id", "_signature_sources", "_vault", "name")

    def __init__(
        self,
        name: str,
        *,
        vault: SignatureVault,
        new_id: Callable[[], str],
        image_urls: ImageUrls = "fetch",
        signature_sources: Counter[str] | None = None,
    ) -> None:
        self.name = name
        self._vault = vault
        self._new_id = new_id
        self._image_urls = image_urls
        self._signature_sources = Counter() if signature_sources is None else signature_sources

    def needs(self, call: Call) -> Needs:
        """Return the attachments to download and the tool call ids to look up.

        Raises:
            ProxyError: 400, the body is not a chat request.
        """
        return needs(call, self._image_urls) if call.endpoint == "chat/completions" else Needs()

    def exchange(self, call: Call, media: Mapping[str, Media | ProxyError]) -> Exchange:
        """Return the exchange for *call*.

        Raises:
            ProxyError: 400, the call cannot be expressed or this upstream has no such endpoint;
                404 `model_not_found`, the model's name cannot be one of Gemini's.
        """
        match call.endpoint:
            case "chat/completions":
                _check_model(call)
                return self._chat(call, media)
            case "embeddings":
                _check_model(call)
                return EmbeddingsExchange(call)
            case _:
                raise ProxyError(
                    400,
                    f"/v1/{call.endpoint} is not served for Gemini models. Use "
                    "/v1/chat/completions, or /v1/embeddings for embedding models.",
                    code="unsupported_endpoint",
                )

    def _chat(self, call: Call, media: Mapping[str, Media | ProxyError]) -> "GeminiChatExchange":
        def build(relaxation: Relaxation) -> ChatPlan:
            plan = build_chat(
                call,
                vault=self._vault,
                media=media,
                image_urls=self._image_urls,
                relaxation=relaxation,
            )
            self._signature_sources.update(plan.signature_sources)
            return plan

        return GeminiChatExchange(call, build, vault=self._vault, new_id=self._new_id)


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
        relaxation: Relaxation | None = None,
    ) -> None:
        self._build = build
        self._relaxation = relaxation or Relaxation()
        self.plan = build(self._relaxation)
        self._context = ReplyContext(call, self.plan, vault, new_id)
        self._answer = Answer(self.plan.lanes)
        self._attempt = 0
        self._lanes: dict[int, tuple[int, LaneReply]] = {}  # with the attempt that began it

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """Return the same request once for each choice.

        Whoever asks for them is about to send them: replies from then on begin the answer anew,
        so that one that failed between two continuations can be asked for again.
        """
        self._attempt += 1
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

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the downstream error for an upstream status ≥ 400; never passed on as it came."""
        return translate_error(status, body, model=self._context.call.model, headers=headers)

    def recover(self, status: int, body: bytes) -> "GeminiChatExchange | None":
        """Return a changed exchange worth one more try after this refusal, or None.

        Each of the three changes is made once: real signatures replaced by Google's placeholder,
        no thinking asked for, schemas without bounds.

        Raises:
            ProxyError: the request cannot be built that way.
        """
        relaxed = self._relax(message_of(body)) if status == 400 else None
        if relaxed is None:
            return None
        context = self._context
        return GeminiChatExchange(
            context.call,
            self._build,
            vault=context.vault,
            new_id=context.new_id,
            relaxation=relaxed,
        )

    def translate_reply(self, body: bytes, lane: int = 0) -> UpstreamRequest | None:
        """Take a whole 200 body; return the request that continues it, or None when complete.

        Raises:
            ProxyError: the body holds an error or nothing usable. One that is a
                ``RetryableReply`` is worth one silent retry.
        """
        attempt, reply = self._lanes.get(lane, (-1, None))
        if reply is None or attempt != self._attempt:
            reply = LaneReply(self._context, self._answer, lane)
            self._lanes[lane] = self._attempt, reply
        token = reply.take(body)
        return None if token is None else self._continue_with(token)

    def answer(self) -> bytes:
        """Return the ChatCompletion after every lane's reply was taken."""
        lanes = [self._lanes[number][1] for number in sorted(self._lanes)]
        return msgspec.json.encode(build_completion(self._context, self._answer, lanes))

    def stream_translator(self, lane: int = 0) -> StreamTranslator:
        """Return a fresh translator for one lane's stream; the last lane to end says ``[DONE]``."""
        translator = GeminiStreamTranslator(
            self._context, self._answer, lane, continue_with=self._continue_with
        )
        # The protocol has plain attributes; the tokens are counted only when someone asks.
        return cast(StreamTranslator, translator)

    def _request(self, body: bytes) -> UpstreamRequest:
        call = self._context.call
        method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
        return UpstreamRequest("POST", f"/models/{call.target_model}:{method}", _HEADERS, body)

    def _continue_with(self, token: str) -> UpstreamRequest:
        """Return the same request with the token by which the upstream goes on."""
        field = b'{"continuationToken":' + msgspec.json.encode(token) + b","
        return self._request(field + self.plan.body.lstrip()[1:])

    def _relax(self, message: str) -> Relaxation | None:
        now = self._relaxation
        if SIGNATURE_FAULT.search(message) and not now.sentinel_signatures:
            return replace(now, sentinel_signatures=True)
        if _THINKING_FAULT.search(message) and not now.no_thinking:
            return replace(now, no_thinking=True)
        if _SCHEMA_FAULT.search(message) and not now.loose_schemas:
            return replace(now, loose_schemas=True)
        return None


def _check_model(call: Call) -> None:
    """Refuse a name that could lead the path elsewhere.

    Raises:
        ProxyError: 404 `model_not_found`.
    """
    name = call.target_model
    if not _MODEL_ID.fullmatch(name) or not name.strip("."):
        message = f"The model `{call.model[:64]}` does not exist or is not available here."
        raise ProxyError(404, message, code="model_not_found")
