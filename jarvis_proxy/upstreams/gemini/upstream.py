"""Gemini as an upstream: selects the exchange, and translates one call. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from jarvis_proxy.canonical.adapters import ModelFeatures, UpstreamCall
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.chat_decoder import chat_in, decode_chat
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Exchange, Media, Prerequisites
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.embeddings import EmbeddingsExchange
from jarvis_proxy.upstreams.gemini.imagen import ImagenCall, is_imagen
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.relay.exchange import GeminiRelayExchange
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest, build_chat, needs
from jarvis_proxy.upstreams.gemini.request.content import ImageUrls
from jarvis_proxy.upstreams.gemini.request.generation_config import MAX_STOPS
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore
from jarvis_proxy.upstreams.gemini.upstream_call import GeminiCall
from jarvis_proxy.wire.google_verbs import VERBS

_MODEL_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class GeminiUpstream:
    """Google's generateContent for any dialect; implements ``UpstreamAdapter``.

    *new_id* returns 24 random letters and digits. *image_urls* is the setting ``IMAGE_URLS``.
    *signature_sources* counts how thought signatures come back, as in ``TranslatedRequest``; *lock*
    is held while it changes. Several threads may translate calls concurrently.
    """

    __slots__ = ("_image_urls", "_lock", "_new_id", "_signature_sources", "_signatures", "name")

    def __init__(
        self,
        name: str,
        *,
        signatures: SignatureStore,
        new_id: Callable[[], str],
        image_urls: ImageUrls = "fetch",
        signature_sources: Counter[str] | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._lock = nullcontext() if lock is None else lock
        self.name = name
        self._signatures = signatures
        self._new_id = new_id
        self._image_urls = image_urls
        self._signature_sources = Counter() if signature_sources is None else signature_sources

    def features(self, call: Call, /) -> ModelFeatures:
        """Return the model's outputs besides text.

        Raises:
            ProxyError: 404 `model_not_found`, the name cannot be a Gemini model's.
        """
        _check_model(call)
        if is_imagen(call.target_model):
            return ModelFeatures(draws=True)
        outputs = traits_of(call.target_model).outputs
        return ModelFeatures(
            draws="IMAGE" in outputs, speaks="AUDIO" in outputs, most_stops=MAX_STOPS
        )

    def canonical_needs(self, call: Call, request: CanonicalRequest, /) -> Prerequisites:
        """Return the attachments to download and the tool call ids to look up.

        Raises:
            ProxyError: 400, the body is not a chat request, or it has too many links.
        """
        decoded = request.decoded or decode_chat(request.body)
        return needs(decoded, "pass" if is_imagen(call.target_model) else self._image_urls)

    def translate(
        self,
        call: Call,
        read: Callable[[], CanonicalRequest],
        media: Mapping[str, Media | ProxyError],
        decoded: Decoded | None = None,
    ) -> UpstreamCall:
        """Return Gemini's call for the request that *read* returns.

        Raises:
            ProxyError: 400, the request cannot be expressed.
        """
        if is_imagen(call.target_model):
            asked = read()
            return ImagenCall(call, chat_in(decoded or asked.decoded or decode_chat(asked.body)))

        def build(fallbacks: RequestFallbacks) -> TranslatedRequest:
            nonlocal decoded
            request, first, decoded = read(), decoded, None
            plan = build_chat(
                call,
                first or request.decoded or decode_chat(request.body),
                signatures=self._signatures,
                media=media,
                image_urls=self._image_urls,
                fallbacks=fallbacks,
            )
            with self._lock:
                self._signature_sources.update(plan.signature_sources)
            return plan

        return GeminiCall(call, build, signatures=self._signatures, new_id=self._new_id)

    def needs(self, call: Call) -> Prerequisites:
        """Return that nothing is needed."""
        return NOTHING_NEEDED

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for embeddings, or for a call in Google's own API.

        Raises:
            ProxyError: 400, the call cannot be expressed or this upstream has no such endpoint;
                404 `model_not_found`, the name cannot be a Gemini model's.
        """
        if call.endpoint == "embeddings":
            _check_model(call)
            return EmbeddingsExchange(call)
        if call.endpoint in VERBS:
            _check_model(call)
            return GeminiRelayExchange(call)
        raise ProxyError(
            400,
            f"/v1/{call.endpoint} is not served for Gemini models. Use /v1/chat/completions or "
            "/v1/responses, or /v1/embeddings, /v1/audio and /v1/images for models of these kinds.",
            code="unsupported_endpoint",
        )


def _check_model(call: Call) -> None:
    """Reject a name that could change the path's meaning.

    Raises:
        ProxyError: 404 `model_not_found`.
    """
    name = call.target_model
    if not _MODEL_ID.fullmatch(name) or not name.strip("."):
        message = f"The model `{call.model[:64]}` does not exist or is not available here."
        raise ProxyError(404, message, code="model_not_found")
