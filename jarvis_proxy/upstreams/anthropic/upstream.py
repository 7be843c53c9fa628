"""Anthropic as an upstream: sends one canonical request, and reads its answer. Pure.

Source: https://platform.claude.com/docs/en/api/messages (read 2026-11).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.answer import Answer
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.chat_decoder import DecodedChat, parse_chat
from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    Exchange,
    Media,
    Prerequisites,
    UpstreamRequest,
)
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.blocks import BlockContext
from jarvis_proxy.upstreams.anthropic.errors import message_of, translate_error
from jarvis_proxy.upstreams.anthropic.reader import MessagesReader
from jarvis_proxy.upstreams.anthropic.recovery import NO_FALLBACKS, RequestFallbacks, remedies
from jarvis_proxy.upstreams.anthropic.request.build import (
    MessagesPlan,
    needs,
    write_request,
)
from jarvis_proxy.upstreams.anthropic.request.content import ImageUrls
from jarvis_proxy.upstreams.json_values import Fields

VERSION: Final = "2023-06-01"
"""The version of the API that this package implements."""

_HEADERS: Final = {"Content-Type": "application/json", "anthropic-version": VERSION}
_MODEL_ID: Final = re.compile(r"[^\s\x00-\x1f]{1,256}")
_Build = Callable[[RequestFallbacks], MessagesPlan]


class AnthropicUpstream:
    """Claude models for clients of other APIs; implements ``UpstreamAdapter``.

    *new_id* returns 24 random letters and digits; *image_urls* is the setting ``IMAGE_URLS``.
    Several threads may translate calls concurrently.
    """

    __slots__ = ("_image_urls", "_new_id", "name")

    def __init__(
        self, name: str, *, new_id: Callable[[], str], image_urls: ImageUrls = "fetch"
    ) -> None:
        self.name = name
        self._new_id = new_id
        self._image_urls = image_urls

    def features(self, call: Call, /) -> ModelFeatures:
        """Return the features of the call's model: none."""
        return ModelFeatures()

    def canonical_needs(self, call: Call, request: CanonicalRequest, /) -> Prerequisites:
        """Return the attachments to download, and the decoded request for ``translate``.

        Raises:
            ProxyError: 400 with a param of the canonical request.
        """
        return needs(request, self._image_urls)

    def translate(
        self,
        call: Call,
        read: Callable[[], CanonicalRequest],
        media: Mapping[str, Media | ProxyError],
        decoded: Decoded | None = None,
    ) -> "AnthropicCall":
        """Return the upstream's call for the request that *read* returns.

        *media* and *decoded* are the results for ``canonical_needs``.

        Raises:
            ProxyError: 400 with a param of the canonical request; 404 `model_not_found`.
        """
        _check_model(call)
        first = decoded.take() if decoded is not None else None
        shows = read().show_thoughts if isinstance(first, DecodedChat) else None
        waiting = [first] if isinstance(first, DecodedChat) else []

        def build(fallbacks: RequestFallbacks) -> MessagesPlan:
            shown = shows
            if waiting:
                request = waiting.pop()
            else:
                canonical = read()
                request, shown = parse_chat(canonical.body), canonical.show_thoughts
            return write_request(
                request,
                call.target_model,
                stream=call.stream,
                media=media,
                image_urls=self._image_urls,
                show_thoughts=bool(shown) or call.show_thoughts,
                strict=call.strict_params,
                fallbacks=fallbacks,
            )

        return AnthropicCall(call, build, new_id=self._new_id)

    def needs(self, call: Call) -> Prerequisites:
        """Return that nothing must be looked up for untranslated calls."""
        return NOTHING_NEEDED

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for a call that no dialect translates.

        Raises:
            ProxyError: 400 `unsupported_endpoint`.
        """
        raise ProxyError(
            400,
            f"/v1/{call.endpoint} is not served for Claude models. Use /v1/chat/completions or "
            "/v1/responses.",
            code="unsupported_endpoint",
        )


class AnthropicCall:
    """One request to the Messages API, and the way back; implements ``UpstreamCall``.

    *build* makes the request, with the fallbacks after a refusal.
    """

    __slots__ = ("_build", "_call", "_fallbacks", "_new_id", "_plan")

    headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        call: Call,
        build: _Build,
        *,
        new_id: Callable[[], str],
        fallbacks: RequestFallbacks = NO_FALLBACKS,
    ) -> None:
        self._call = call
        self._build = build
        self._new_id = new_id
        self._fallbacks = fallbacks
        self._plan = build(fallbacks)

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """The one request to send."""
        return (_request(self._plan.body),)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Params of the canonical request without an equivalent."""
        return self._plan.ignored

    def begin(self) -> None:
        """Do nothing: attempts share no state."""

    def reader(self, answer: Answer, index: int, /) -> MessagesReader:
        """Return a new reader of the answer."""
        tools = self._plan.tools
        context = BlockContext(
            tool=tools.called, new_id=self._new_id, keeps_content=tools.runs_at_upstream
        )
        return MessagesReader(
            answer, context, model=self._call.model, continue_with=self._continue_with
        )

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the error for an upstream status ≥ 400, never unchanged."""
        return translate_error(status, headers, body, model=self._call.model)

    def recover(self, status: int, body: bytes) -> "AnthropicCall | None":
        """Return a changed call worth one more attempt after this refusal, or None.

        Each change is made once, and only if it changes the request.
        """
        if status != 400:
            return None
        for fallbacks in remedies(message_of(body), self._fallbacks):
            try:
                better = AnthropicCall(
                    self._call, self._build, new_id=self._new_id, fallbacks=fallbacks
                )
            except ProxyError:
                # Strict mode rejects the change.
                continue
            if better._plan.body != self._plan.body:
                return better
        return None

    def _continue_with(self, blocks: list[Fields]) -> UpstreamRequest:
        """Return the request extended by what the model has said so far."""
        body = msgspec.json.decode(self._plan.body)
        body["messages"].append({"role": "assistant", "content": blocks})
        return _request(msgspec.json.encode(body))


def _request(body: bytes) -> UpstreamRequest:
    return UpstreamRequest("POST", "/v1/messages", _HEADERS, body)


def _check_model(call: Call) -> None:
    if not _MODEL_ID.fullmatch(call.target_model):
        message = f"The model `{call.model[:64]}` does not exist or is not available here."
        raise ProxyError(404, message, code="model_not_found")
