"""Any OpenAI-compatible upstream: request and answer pass unchanged. Pure.

Source: https://platform.openai.com/docs/api-reference (read 2026-11).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    Exchange,
    Media,
    Prerequisites,
    UpstreamRequest,
)
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.asked_usage import (
    UnaskedUsageStream,
    asking_for_usage,
    refuses_usage,
)
from jarvis_proxy.upstreams.json_values import fields_of, loads
from jarvis_proxy.upstreams.openai_errors import auth_failed, error_in_answer
from jarvis_proxy.upstreams.openai_stream import PassthroughStream, stream_kind
from jarvis_proxy.upstreams.openai_usage import AnswerUsage, usage_in
from jarvis_proxy.upstreams.refusal_body import read_refusal
from jarvis_proxy.upstreams.whole_as_stream import chat_stream, image_stream, response_stream
from jarvis_proxy.wire.chat_types import INFERENCE
from jarvis_proxy.wire.request_head import with_model
from jarvis_proxy.wire.response_events import SequenceNumbers

_ANSWER: Final = msgspec.json.Decoder(AnswerUsage)
_MAX_ERROR: Final = 64 * 1024
_PARTS: Final = re.compile(rb'"(?:choices|output|data|results)"')
"""An answer with one of these and usage needs no closer look."""


class PassthroughExchange:
    """One request that is passed on.

    Only two things may change: the model's name, if it is an alias, and whether usage is requested,
    if the key's tokens are counted.

    *instead* returns another exchange for the call after a refusal, if there is one.
    """

    __slots__ = (
        "_body",
        "_call",
        "_instead",
        "_is_judged",
        "_plain",
        "_upstream",
        "_weight",
        "requests",
        "usage",
    )

    raw: bool = True
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        upstream: str,
        call: Call,
        body: bytes,
        instead: Callable[[int, bytes], Exchange | None] | None = None,
    ) -> None:
        self._upstream = upstream
        self._instead = instead
        self._call = call
        # On other endpoints, `error` and similar are fields of good answers, such as a batch's.
        self._is_judged = call.method == "POST" and call.endpoint in INFERENCE
        self._body = b""
        self._weight = 0 if body is call.body else len(body)
        self._plain: bytes | None = None
        """The body without the proxy's request for usage."""
        if call.counts_tokens and call.stream:
            asking = asking_for_usage(call.endpoint, body)
            if asking is not None:
                self._plain, body = body, asking
                self._weight += len(body)
        self.usage: TokenUsage | None = None
        path = f"/{call.endpoint}?{call.query}" if call.query else f"/{call.endpoint}"
        self.requests = (UpstreamRequest(call.method, path, call.headers, body),)

    @property
    def weight(self) -> int:
        """Return the size of the body, unless it is the call's own."""
        return self._weight

    @property
    def partial_usage(self) -> TokenUsage | None:
        """Return the same as ``usage``: a whole answer is complete or unknown."""
        return self.usage

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return an error if the proxy is at fault; None passes the upstream's own error on."""
        if status != 401:
            return None
        refusal, _ = read_refusal(status, headers.get("content-type", ""), body)
        return auth_failed(self._upstream, refusal.reason or refusal.message)

    def recover(self, status: int, body: bytes) -> Exchange | None:
        """Return the original request, if the refusal may concern the proxy's request for usage.

        Nothing else that is passed on is changed after a refusal.
        """
        if self._plain is None or not refuses_usage(status, body):
            return None if self._instead is None else self._instead(status, body)
        headers = dict(self._call.headers)
        if "idempotency-key" in headers:
            # A key must always go with the same body.
            headers["idempotency-key"] += "-2"
        call = msgspec.structs.replace(self._call, counts_tokens=False, headers=headers)
        return PassthroughExchange(self._upstream, call, self._plain)

    def translate_reply(self, body: bytes, index: int = 0) -> None:
        """Read the answer and note its usage.

        Raises:
            ProxyError: the answer is an error despite its status.
        """
        self._body = body
        # Only an answer with token counts is decoded, and only these counts.
        if body.find(b'"usage"') >= 0:
            self.usage = _usage(body)
        is_plain = self.usage is not None and _PARTS.search(body) is not None
        if self._is_judged and not is_plain and len(body) < _MAX_ERROR:
            error = error_in_answer(body)
            if error is not None:
                raise error

    def as_stream(self, numbers: SequenceNumbers | None, *, asks_usage: bool) -> bytes | None:
        """Return the whole answer as the requested stream, None if it has another form."""
        try:
            answer = fields_of(loads(self._body))
        except ValueError:
            return None
        if self._call.endpoint.startswith("images/"):
            return image_stream(answer, edits=self._call.endpoint == "images/edits")
        if stream_kind(self._call.endpoint) == "chat":
            return chat_stream(answer, asks_usage=asks_usage)
        return response_stream(answer, numbers or SequenceNumbers())

    def answer(self) -> bytes:
        """Return the upstream's bytes unchanged."""
        return self._body

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> PassthroughStream:
        """Return a stream translator that passes events on unchanged."""
        kind = stream_kind(self._call.endpoint)
        return PassthroughStream(kind) if self._plain is None else UnaskedUsageStream(kind)


def _usage(body: bytes) -> TokenUsage | None:
    try:
        return _ANSWER.decode(body).counted()
    except (ValueError, RecursionError):
        pass
    try:
        return usage_in(fields_of(loads(body)))
    except ValueError:
        return None


class OpenAIUpstream:
    """An upstream whose requests pass unchanged, such as OpenAI; *folder* precedes each path."""

    __slots__ = ("_folder", "name")

    def __init__(self, name: str, folder: str = "") -> None:
        self.name = name
        self._folder = folder

    def needs(self, call: Call) -> Prerequisites:
        """Return that nothing is needed."""
        return NOTHING_NEEDED

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> PassthroughExchange:
        """Return the exchange that passes *call* on."""
        return self.relay(call)

    def relay(
        self,
        call: Call,
        instead: Callable[[int, bytes], Exchange | None] | None = None,
        *,
        exchange: type[PassthroughExchange] = PassthroughExchange,
        body: bytes | None = None,
    ) -> PassthroughExchange:
        """Return the exchange that passes *call* on, of the class *exchange*.

        *instead* returns another exchange for it after a refusal, if there is one. *body* replaces
        the call's own.
        """
        if self._folder:
            call = msgspec.structs.replace(call, endpoint=self._folder + call.endpoint)
        body = call.body if body is None else body
        if body and call.target_model != call.model:
            body = with_model(body, call.target_model)
        return exchange(self.name, call, body, instead)
