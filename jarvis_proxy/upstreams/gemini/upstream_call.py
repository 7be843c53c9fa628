"""One canonical request to Gemini, and its answer: its requests, readers and recoveries. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from jarvis_proxy.canonical.answer import Answer, AnswerReader
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import UpstreamRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.recovery import NO_FALLBACKS, RequestFallbacks, remedies
from jarvis_proxy.upstreams.gemini.reply.candidate_stream import MergedAnswer
from jarvis_proxy.upstreams.gemini.reply.errors import message_of, translate_error
from jarvis_proxy.upstreams.gemini.reply.reader import GeminiReader
from jarvis_proxy.upstreams.gemini.reply.tool_calls import ReplyContext
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore

_VERSION: Final = re.compile(r"[A-Za-z0-9._/@:-]{1,128}")
_HEADERS: Final = {"Content-Type": "application/json"}


class GeminiCall:
    """One upstream request per choice, and the way back.

    *build* makes the request, with the fallbacks after a refusal. Implements ``UpstreamCall``.
    """

    __slots__ = ("_build", "_context", "_fallbacks", "_merged", "plan")

    def __init__(
        self,
        call: Call,
        build: Callable[[RequestFallbacks], TranslatedRequest],
        *,
        signatures: SignatureStore,
        new_id: Callable[[], str],
        fallbacks: RequestFallbacks = NO_FALLBACKS,
    ) -> None:
        self._build = build
        self._fallbacks = fallbacks
        self.plan = build(self._fallbacks)
        self._context = ReplyContext(call, self.plan, signatures, new_id)
        self._merged = MergedAnswer(self.plan.choice_count)

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """Return the same request once per choice."""
        return (self._request(self.plan.body),) * self.plan.choice_count

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the params that were left out."""
        return self.plan.ignored

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return a header with the model that answered, once it is known."""
        version = self._merged.model_version
        if version is None or not _VERSION.fullmatch(version):
            return ()
        return (("x-gemini-model-version", version),)

    def begin(self) -> None:
        """Begin an attempt: forget the state of one that failed between continuations."""
        self._merged.begin()

    def reader(self, answer: Answer, index: int = 0, /) -> AnswerReader:
        """Return a new reader for the body that answers ``requests[index]``."""
        return GeminiReader(
            self._context, self._merged, answer, index, continue_with=self._continue_with
        )

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the client's error for an upstream status ≥ 400, never unchanged."""
        return translate_error(status, body, model=self._context.call.model, headers=headers)

    def recover(self, status: int, body: bytes) -> "GeminiCall | None":
        """Return a changed call worth one more attempt after this refusal, or None.

        ``recovery.REMEDIES`` lists the changes. Each one is made once, and only if it changes the
        request: a refused request is not sent again.
        """
        if status != 400:
            return None
        for fallbacks in remedies(message_of(body), self._fallbacks):
            try:
                better = self._with(fallbacks)
            except ProxyError:
                # Strict mode rejects the change, or the call would lose its main part.
                continue
            if better.plan.body != self.plan.body:
                better._merged.was_empty = self._merged.was_empty  # noqa: SLF001 - the same class
                return better
        return None

    def _with(self, fallbacks: RequestFallbacks) -> "GeminiCall":
        context = self._context
        return GeminiCall(
            context.call,
            self._build,
            signatures=context.signatures,
            new_id=context.new_id,
            fallbacks=fallbacks,
        )

    def _request(self, body: bytes) -> UpstreamRequest:
        call = self._context.call
        method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
        return UpstreamRequest("POST", f"/models/{call.target_model}:{method}", _HEADERS, body)

    def _continue_with(self, token: str) -> UpstreamRequest:
        """Return the same request with the token that continues the upstream's answer."""
        field = b'{"continuationToken":' + msgspec.json.encode(token) + b","
        return self._request(field + self.plan.body.lstrip()[1:])
