"""The upstream APIs that clients of other APIs are answered from, as the server builds them."""

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from jarvis_proxy.canonical.exchange import Upstream
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.routing.endpoints import MESSAGES
from jarvis_proxy.server.upstream_apis import CHAT, build_dialects
from jarvis_proxy.upstreams.anthropic.upstream import AnthropicUpstream
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore
from jarvis_proxy.upstreams.gemini.upstream import GeminiUpstream

_NUMBERS = itertools.count(1)


def new_id() -> str:
    """Return 24 letters and digits."""
    return f"{next(_NUMBERS):024d}"


class Kind(NamedTuple):
    """An upstream API: how it is built, and a model of it."""

    build: Callable[[], Upstream]
    model: str


def _chat() -> Upstream:
    return CompatibleUpstream(
        "deepseek",
        "https://api.deepseek.com/v1",
        dialects=build_dialects(new_id, without=(CHAT,)),
        new_id=new_id,
        apis=("chat",),
    )


def _gemini() -> Upstream:
    adapter = GeminiUpstream("gemini", signatures=MemorySignatureStore(), new_id=new_id)
    return TranslatedUpstream(adapter, build_dialects(new_id))


def _anthropic() -> Upstream:
    adapter = AnthropicUpstream("anthropic", new_id=new_id)
    return TranslatedUpstream(adapter, build_dialects(new_id, without=(MESSAGES,)))


UPSTREAMS: Mapping[str, Kind] = {
    "anthropic": Kind(_anthropic, "claude-sonnet-5"),
    "chat": Kind(_chat, "deepseek-chat"),
    "gemini": Kind(_gemini, "gemini-2.5-flash"),
}
