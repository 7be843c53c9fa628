"""Builds the APIs of an upstream from its settings, with one row for each kind. IO.

Client APIs and upstream APIs meet here, and do not import each other. A new client API is one
folder in ``dialects/`` and one row in ``build_dialects``.
"""

import secrets
import string
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from jarvis_proxy.canonical.adapters import Dialect
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.config.settings import Settings, UpstreamSettings
from jarvis_proxy.dialects.chat.request import ChatDialect
from jarvis_proxy.dialects.completions.request import CompletionsDialect
from jarvis_proxy.dialects.generate_content.dialect import GenerateContentDialect
from jarvis_proxy.dialects.generate_content.embeddings import EmbeddingsUpstream
from jarvis_proxy.dialects.images.options import EDITS, GENERATIONS
from jarvis_proxy.dialects.images.request import ImagesDialect
from jarvis_proxy.dialects.messages.dialect import MessagesDialect
from jarvis_proxy.dialects.responses.request import INPUT_TOKENS, ResponsesDialect
from jarvis_proxy.dialects.speech.request import SPEECH, SpeechDialect
from jarvis_proxy.dialects.transcription.options import TRANSCRIPTIONS, TRANSLATIONS
from jarvis_proxy.dialects.transcription.request import TranscriptionDialect
from jarvis_proxy.routing.endpoints import MESSAGES
from jarvis_proxy.routing.key_pool import KeyPool
from jarvis_proxy.routing.models import GEMINI
from jarvis_proxy.server.sound_encoder import ENCODED, find_program
from jarvis_proxy.upstream_client.endpoint import UpstreamApi, UpstreamEndpoint
from jarvis_proxy.upstream_client.transport import (
    HttpTransport,
    TransportOptions,
    is_anthropics,
    key_headers,
)
from jarvis_proxy.upstreams.anthropic.relay import RELAYED, MessagesRelay
from jarvis_proxy.upstreams.anthropic.upstream import AnthropicUpstream
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore
from jarvis_proxy.upstreams.gemini.upstream import GeminiUpstream
from jarvis_proxy.upstreams.openai import OpenAIUpstream
from jarvis_proxy.wire.google_verbs import GENERATE, STREAM, VERBS

_ALPHABET: Final = string.ascii_letters + string.digits

CHAT: Final = "chat/completions"
RESPONSES: Final = "responses"
COMPLETIONS: Final = "completions"

_FORMS: Final = frozenset({TRANSCRIPTIONS, TRANSLATIONS, EDITS})
"""Endpoints below whose requests are forms."""


def new_call_id() -> str:
    """Return 24 random letters and digits: a tool call id that every client keeps unchanged."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(24))


@dataclass(frozen=True, slots=True)
class Signatures:
    """The store of Gemini's thought signatures, and counts by where they were found."""

    store: SignatureStore
    sources: Counter[str]


def build_endpoint(
    upstream: UpstreamSettings, settings: Settings, signatures: Signatures
) -> UpstreamEndpoint:
    """Return *upstream* with its APIs; call this in the running loop."""
    api = _BUILDERS[upstream.api](upstream, settings, signatures)
    url = upstream.base_url if upstream.api == "messages" else upstream.messages_url
    others = _messages_relay(upstream, settings, url, api) if url else {}
    rest = None
    if upstream.api != "openai":
        # The base URL ends before this folder.
        folder = "v1/" if upstream.api == "messages" else ""
        rest = UpstreamApi(OpenAIUpstream(upstream.name, folder), api.transport, kind=api.kind)
    return UpstreamEndpoint(api, KeyPool(upstream.keys), others=others, rest=rest)


def _gemini(upstream: UpstreamSettings, settings: Settings, signatures: Signatures) -> UpstreamApi:
    adapter = GeminiUpstream(
        GEMINI,
        signatures=signatures.store,
        new_id=new_call_id,
        image_urls=settings.image_urls,
        signature_sources=signatures.sources,
        lock=Lock(),
    )
    transport = HttpTransport(
        GEMINI,
        upstream.base_url,
        key_headers=key_headers(upstream),
        options=_options(upstream, settings),
    )
    dialects = {**build_dialects(new_call_id, without=VERBS), **build_media_dialects()}
    translator = TranslatedUpstream(adapter, dialects)
    return UpstreamApi(translator, transport, frozenset(VERBS), _FORMS, kind="gemini")


def _compatible(
    upstream: UpstreamSettings, settings: Settings, signatures: Signatures
) -> UpstreamApi:
    translator = CompatibleUpstream(
        upstream.name,
        upstream.base_url,
        dialects=build_dialects(new_call_id, without=(CHAT, COMPLETIONS)),
        new_id=new_call_id,
        apis=upstream.apis,
        fetches=settings.image_urls == "fetch",
    )
    transport = HttpTransport(
        upstream.name, upstream.base_url, options=_options(upstream, settings)
    )
    # A service without counts says so.
    counts = frozenset({INPUT_TOKENS})
    return UpstreamApi(EmbeddingsUpstream(translator), transport, relays=counts)


def _anthropic(
    upstream: UpstreamSettings, settings: Settings, signatures: Signatures
) -> UpstreamApi:
    """Return a Messages API for clients of other APIs; its own clients are relayed."""
    dialects = build_dialects(new_call_id, without=(MESSAGES,))
    adapter = AnthropicUpstream(upstream.name, new_id=new_call_id, image_urls=settings.image_urls)
    transport = _messages_transport(upstream, settings, upstream.base_url)
    return UpstreamApi(TranslatedUpstream(adapter, dialects), transport, kind="messages")


def _messages_relay(
    upstream: UpstreamSettings, settings: Settings, url: str, api: UpstreamApi
) -> Mapping[str, UpstreamApi]:
    """Return, by endpoint, the relay to the API at *url* for clients of the Messages API."""
    transport = (
        api.transport if api.kind == "messages" else _messages_transport(upstream, settings, url)
    )
    relay = MessagesRelay(upstream.name, is_anthropic=is_anthropics(url))
    relaying = UpstreamApi(relay, transport, relays=RELAYED, kind="messages")
    return dict.fromkeys(RELAYED, relaying)


def _messages_transport(upstream: UpstreamSettings, settings: Settings, url: str) -> HttpTransport:
    return HttpTransport(
        upstream.name,
        url,
        key_headers=key_headers(upstream, url),
        options=_options(upstream, settings),
    )


_BUILDERS: Final = {"openai": _compatible, "gemini": _gemini, "messages": _anthropic}


def _options(upstream: UpstreamSettings, settings: Settings) -> TransportOptions:
    return TransportOptions(
        connect_timeout=settings.connect_timeout,
        proxy=None if upstream.proxy is None else upstream.proxy.url,
    )


def build_dialects(
    new_id: Callable[[], str], *, without: Collection[str] = ()
) -> Mapping[str, Dialect]:
    """Return the dialects by ``Call.endpoint``, except those that an upstream speaks itself.

    *new_id* returns 24 random letters and digits.
    """
    generate_content = GenerateContentDialect(new_id)
    dialects: dict[str, Dialect] = {
        CHAT: ChatDialect(new_id),
        RESPONSES: ResponsesDialect(new_id),
        MESSAGES: MessagesDialect(new_id),
        COMPLETIONS: CompletionsDialect(),
        GENERATE: generate_content,
        STREAM: generate_content,
    }
    return {name: dialect for name, dialect in dialects.items() if name not in without}


def build_media_dialects() -> Mapping[str, Dialect]:
    """Return the dialects of audio and images, for upstreams that support both."""
    encodes = ENCODED if find_program() else ()
    transcription, images = TranscriptionDialect(), ImagesDialect()
    return {
        GENERATIONS: images,
        EDITS: images,
        SPEECH: SpeechDialect(encodes),
        TRANSCRIPTIONS: transcription,
        TRANSLATIONS: transcription,
    }
