"""Gemini as an upstream: which endpoint, which address, and one chat call there and back. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final, NamedTuple

from msgspec.structs import replace as replaced

from jarvis_proxy.canonical.bounds import decoded_size
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Decoded, Exchange, Media, Prerequisites
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.embeddings import EmbeddingsExchange
from jarvis_proxy.upstreams.gemini.exchange import GeminiChatExchange
from jarvis_proxy.upstreams.gemini.model_traits import knowledge
from jarvis_proxy.upstreams.gemini.relay.exchange import GeminiRelayExchange
from jarvis_proxy.upstreams.gemini.request.build import ChatPlan, Relaxation, build_chat, needs
from jarvis_proxy.upstreams.gemini.request.content import ImageUrls
from jarvis_proxy.upstreams.gemini.responses_api.exchange import (
    GeminiResponsesExchange,
    inner_chat,
)
from jarvis_proxy.upstreams.gemini.responses_api.to_chat import AsChat
from jarvis_proxy.upstreams.gemini.signature_store import SignatureVault
from jarvis_proxy.wire.google_verbs import VERBS

_MODEL_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class _AsChat(NamedTuple):
    """A Responses request on its way: the chat call without its body, and that body decoded."""

    chat: Call
    asked: AsChat
    decoded: Decoded | None


class GeminiUpstream:
    """Google's generateContent behind OpenAI's dialect; implements ``Upstream``.

    *new_id* gives 24 random letters and digits; *image_urls* is the setting ``IMAGE_URLS``; in
    *signature_sources* is counted how thought signatures come back, as ``ChatPlan`` tells it;
    *lock* is held meanwhile. Calls may be translated in several threads.
    """

    __slots__ = ("_image_urls", "_lock", "_new_id", "_signature_sources", "_vault", "name")

    def __init__(
        self,
        name: str,
        *,
        vault: SignatureVault,
        new_id: Callable[[], str],
        image_urls: ImageUrls = "fetch",
        signature_sources: Counter[str] | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._lock = nullcontext() if lock is None else lock
        self.name = name
        self._vault = vault
        self._new_id = new_id
        self._image_urls = image_urls
        self._signature_sources = Counter() if signature_sources is None else signature_sources

    def needs(self, call: Call) -> Prerequisites:
        """Return the attachments to download and the tool call ids to look up.

        Raises:
            ProxyError: 400, the body is not a chat request.
        """
        match call.endpoint:
            case "chat/completions":
                return needs(call, self._image_urls)
            case "responses":
                return self._needs_of_response(call)
            case _:
                return NOTHING_NEEDED

    def _needs_of_response(self, call: Call) -> Prerequisites:
        chat, asked = inner_chat(call)
        try:
            found = needs(chat, self._image_urls)
        except ProxyError as error:
            raise asked.places.blame(error) from None
        # The chat request's bytes are as many as the body's: they are not kept beside it.
        as_chat = _AsChat(replaced(chat, body=b""), replace(asked, body=b""), found.decoded)
        return replace(found, decoded=Decoded(as_chat, decoded_size(call.body)))

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for *call*; *decoded* comes from what ``needs`` returned for it.

        Raises:
            ProxyError: 400, the call cannot be expressed or this upstream has no such endpoint;
                404 `model_not_found`, the model's name cannot be one of Gemini's.
        """
        match call.endpoint:
            case "chat/completions":
                _check_model(call)
                return self._chat(call, media, decoded)
            case "responses":
                _check_model(call)
                return self._responses(call, media, decoded)
            case "embeddings":
                _check_model(call)
                return EmbeddingsExchange(call)
            case verb if verb in VERBS:
                _check_model(call)
                return GeminiRelayExchange(call)
            case _:
                raise ProxyError(
                    400,
                    f"/v1/{call.endpoint} is not served for Gemini models. Use "
                    "/v1/chat/completions or /v1/responses, or /v1/embeddings for embedding "
                    "models.",
                    code="unsupported_endpoint",
                )

    def _chat(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None
    ) -> GeminiChatExchange:
        build = self._builder(call, media, decoded, again=lambda: call)
        return GeminiChatExchange(call, build, vault=self._vault, new_id=self._new_id)

    def _responses(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None
    ) -> GeminiResponsesExchange:
        if "AUDIO" in knowledge(call.target_model).outputs:
            message = "A response has no place for speech. Use /v1/chat/completions."
            raise ProxyError(400, message, code="unsupported_endpoint", param="model")
        taken = None if decoded is None else decoded.take()
        if not isinstance(taken, _AsChat):
            return self._responses(call, media, self._needs_of_response(call).decoded)
        chat, asked, decoded = taken
        del taken
        build = self._builder(chat, media, decoded, again=lambda: inner_chat(call)[0])
        return GeminiResponsesExchange(chat, asked, build, vault=self._vault, new_id=self._new_id)

    def _builder(
        self,
        chat: Call,
        media: Mapping[str, Media | ProxyError],
        decoded: Decoded | None,
        *,
        again: Callable[[], Call],
    ) -> Callable[[Relaxation], ChatPlan]:
        """Return what builds the request: from *decoded* the first time, then *again* whole."""

        def build(relaxation: Relaxation) -> ChatPlan:
            nonlocal decoded
            first, decoded = decoded, None
            plan = build_chat(
                again() if first is None else chat,
                vault=self._vault,
                media=media,
                image_urls=self._image_urls,
                relaxation=relaxation,
                decoded=first,
            )
            with self._lock:
                self._signature_sources.update(plan.signature_sources)
            return plan

        return build


def _check_model(call: Call) -> None:
    """Refuse a name that could lead the path elsewhere.

    Raises:
        ProxyError: 404 `model_not_found`.
    """
    name = call.target_model
    if not _MODEL_ID.fullmatch(name) or not name.strip("."):
        message = f"The model `{call.model[:64]}` does not exist or is not available here."
        raise ProxyError(404, message, code="model_not_found")
