"""Gemini behind every client API, as the server puts them together."""

from collections.abc import Callable
from typing import Any

from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.server.upstream_apis import build_dialects
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore, SignatureStore
from jarvis_proxy.upstreams.gemini.upstream import GeminiUpstream


def gemini(
    store: SignatureStore | None = None,
    new_id: Callable[[], str] = lambda: "x" * 24,
    **options: Any,
) -> TranslatedUpstream:
    """Return the upstream; *options* are those of ``GeminiUpstream``."""
    adapter = GeminiUpstream(
        "gemini", signatures=store or MemorySignatureStore(), new_id=new_id, **options
    )
    return TranslatedUpstream(adapter, build_dialects(new_id))
