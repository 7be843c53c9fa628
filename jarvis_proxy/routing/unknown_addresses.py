"""Hints for unknown paths: what would serve them, or the most similar path. Pure."""

import re
from typing import Final

from jarvis_proxy.routing.endpoints import PREFIXES, closest_endpoint

# The first segments of OpenAI's paths that the proxy does not serve itself, as of 2026-11.
_OPENAIS: Final = frozenset(
    (
        "assistants",
        "batches",
        "chatkit",
        "containers",
        "conversations",
        "evals",
        "files",
        "fine-tunes",
        "fine_tuning",
        "organization",
        "projects",
        "realtime",
        "skills",
        "threads",
        "uploads",
        "vector_stores",
        "videos",
    )
)
_STORED: Final = re.compile(r"(responses|chat/completions)/[A-Za-z]{2,16}[_-][^/]+(/[a-z_]+)?\Z")
_ANTHROPICS: Final = re.compile(r"(anthropic/)?(v1/)?(messages|complete)(/.*)?\Z")
_GOOGLES: Final = re.compile(
    r"(v1(alpha|beta)[^/]*/.*|.*(:|%3A)[a-z]*(Generate|Embed|generate|embed|count|predict)[A-Za-z]*)\Z",
    re.IGNORECASE,
)
_OLLAMAS: Final = re.compile(
    r"(api/)?api/(chat|generate|tags|show|ps|pull|version|embed|embeddings)\Z"
)
_AZURES: Final = re.compile(r"openai/deployments/[^/]+/(?P<endpoint>.+)\Z")
_COMPATIBLE: Final = re.compile(r"v1(alpha|beta)[^/]*/openai(/.*)?\Z")

_ANTHROPIC: Final = (
    "Of Anthropic's API, /v1/messages and /v1/messages/count_tokens are served. The rest is "
    "relayed to Anthropic with the setting PASSTHROUGH=all only."
)
_GOOGLE: Final = (
    "Of Google's API, /v1beta/models and its methods are served. The rest, but for uploads, is "
    "relayed to Google with the setting PASSTHROUGH=all only."
)
_OLLAMA: Final = (
    "It is one of Ollama's API, which is not served here. Choose 'OpenAI compatible' in the "
    "client, with this server's address and /v1 behind it: /v1/chat/completions, /v1/models."
)


_WEBRTC: Final = re.compile(r"realtime/(translations/)?calls(/.*)?\Z")
_CALLS: Final = (
    "Calls over WebRTC and SIP lead past this proxy to OpenAI, and are relayed to OpenAI with the "
    "setting PASSTHROUGH=all only. A WebSocket at /v1/realtime needs no setting."
)


def hint(path: str) -> str:
    """Return what would serve *path*, or the most similar path, in one or two sentences."""
    plain = re.sub(r"/{2,}", "/", path[:200]).strip("/")
    bare = _without_prefix(plain)
    first = bare.partition("/")[0]
    if _WEBRTC.match(bare):
        return _CALLS
    if first in _OPENAIS or _STORED.match(bare):
        return (
            f"/v1/{first} is a part of OpenAI's API that is relayed to OpenAI with the setting "
            "PASSTHROUGH=all only."
        )
    if _COMPATIBLE.match(plain):
        tail = plain.partition("/openai")[2]
        return f"The nearest is {closest_endpoint(tail or '/v1/models')}."
    if _ANTHROPICS.match(bare) or _ANTHROPICS.match(plain):
        return _ANTHROPIC
    if _OLLAMAS.match(plain):
        return _OLLAMA
    if found := _AZURES.match(plain):
        closest = closest_endpoint(f"/v1/{found['endpoint']}")
        return f"The nearest is {closest}, with the name as 'model'."
    if _GOOGLES.match(plain):
        return _GOOGLE
    return f"The nearest is {closest_endpoint(path)}."


def _without_prefix(plain: str) -> str:
    for prefix in sorted(PREFIXES, key=len, reverse=True):
        if prefix and plain.startswith(f"{prefix[1:]}/"):
            return plain[len(prefix) :]
    return plain
