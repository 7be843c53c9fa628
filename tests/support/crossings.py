"""Recorded exchanges on ways that nobody recorded: to other clients, and to other upstreams."""

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, Media, Upstream
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.server.upstream_apis import build_dialects
from jarvis_proxy.upstreams.anthropic.upstream import AnthropicUpstream
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream
from jarvis_proxy.wire.response_events import SequenceNumbers
from tests.support import strict_anthropic, strict_chat, strict_gemini
from tests.support.recorded_answer import ids_in_order
from tests.support.recordings import recordings, response_of
from tests.support.translated import gemini

Json = dict[str, Any]

CHAT, RESPONSES, MESSAGES = "chat/completions", "responses", "messages"
GOOGLE, GOOGLE_STREAM = "generateContent", "streamGenerateContent"
MODELS = {"gemini": "gemini-3-flash-preview", "anthropic": "claude-opus-4-8", "chat": "m"}
_USER = [{"role": "user", "content": "Hi"}]
_STEP = 701
_JPEG = base64.b64decode("/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAgGBg==")

SOURCES: Final = (
    ("anthropic", "messages", "anthropic", (CHAT, RESPONSES, GOOGLE), 268),
    ("openai", "chat", "chat", (RESPONSES, MESSAGES, GOOGLE), 133),
    ("gemini", "generate", "gemini", (CHAT, RESPONSES, MESSAGES), 296),
)
"""Recorded answers: folder, kind, upstream, other client APIs, and how many are whole.

Of Gemini's 302, six are errors or cut.
"""


def upstream(kind: str) -> Upstream:
    """Return an upstream: ``gemini``, ``anthropic``, or a ``chat`` service."""
    if kind == "gemini":
        return gemini()
    if kind == "anthropic":
        adapter = AnthropicUpstream("anthropic", new_id=ids_in_order())
        return TranslatedUpstream(adapter, build_dialects(lambda: "x" * 24))
    dialects = build_dialects(lambda: "x" * 24, without=(CHAT,))
    url = "https://chat.test/v1"
    return CompatibleUpstream("up", url, dialects=dialects, new_id=ids_in_order(), apis=("chat",))


def answered(folder: str, kind: str) -> list[Json]:
    """Return the recordings of *folder* that are of *kind* and were answered."""
    found = [param.values[0] for param in recordings(folder)]
    return [
        one
        for one in found
        if one is not None and one["kind"] == kind and one["response"].get("status", 200) == 200
    ]


def asking(api: str, *, stream: bool) -> Call:
    """Return a small request of a client API."""
    streamed: Json = {"stream": True} if stream else {}
    bodies: dict[str, Json] = {
        CHAT: {
            "messages": _USER,
            **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
        },
        RESPONSES: {"input": "Hi", "include": ["reasoning.encrypted_content"], **streamed},
        MESSAGES: {
            "max_tokens": 9,
            "messages": _USER,
            "thinking": {"type": "adaptive", "display": "summarized"},
            **streamed,
        },
        GOOGLE: {
            "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
            "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
        },
    }
    endpoint = GOOGLE_STREAM if stream and api == GOOGLE else api
    return a_call(endpoint, bodies[api], stream=stream, query="alt=sse" if stream else "")


def a_call(
    endpoint: str, body: Json, target: str = "m", *, stream: bool = False, query: str = ""
) -> Call:
    """Return a call."""
    named = body if endpoint in (GOOGLE, GOOGLE_STREAM) else {"model": "m", **body}
    return Call(
        endpoint=endpoint,
        model="m",
        target_model=target,
        stream=stream,
        body=json.dumps(named).encode(),
        id="i" * 24,
        created=1,
        now=0.0,
        query=query,
    )


def answer_for(api: str, recording: Json, source: Upstream) -> bytes:
    """Return a recorded answer of *source* as a client of *api* gets it.

    Raises:
        ProxyError: the answer is none.
    """
    stream = "sse" in recording["response"]
    call = asking(api, stream=stream)
    exchange = source.exchange(call, {}, source.needs(call).decoded)
    body, _ = response_of(recording)
    if not stream:
        assert exchange.translate_reply(body) is None
        return exchange.answer()
    numbers = SequenceNumbers() if api == RESPONSES else None
    translator = exchange.stream_translator(0, numbers)
    out: list[bytes] = []
    for at in range(0, len(body), _STEP):
        if not translator.done:
            out.append(translator.feed(body[at : at + _STEP]))
    if not translator.done:
        out.append(translator.feed_eof())
    assert translator.next_request is None
    return b"".join(out)


def refusal(api: str, body: Json, target: str) -> str:
    """Return why a request of *api* does not get to the upstream *target*; "" if it does.

    As the shell does, the request is relaxed as long as something is known that would help.
    """
    source = upstream(target)
    call = a_call(api, body, MODELS[target], stream=bool(body.get("stream")))
    try:
        needed = source.needs(call)
        exchange: Exchange | None = source.exchange(call, _fetched(needed.urls), needed.decoded)
    except ProxyError as error:
        return f"proxy: {error.message}"
    said = ""
    while exchange is not None:
        said = _refused(target, [json.loads(request.body) for request in exchange.requests])
        error_body = json.dumps({"error": {"message": said}}).encode()
        exchange = exchange.recover(400, error_body) if said else None
    return said and f"service: {said}"


def _fetched(urls: Iterable[str]) -> Mapping[str, Media | ProxyError]:
    kinds = {"pdf": "application/pdf", "txt": "text/plain"}
    return {url: Media(kinds.get(url.rpartition(".")[2], "image/jpeg"), _JPEG) for url in urls}


def _refused(target: str, bodies: list[Json]) -> str:
    """Return what a strict service says to *bodies*."""
    try:
        for body in bodies:
            match target:
                case "gemini":
                    strict_gemini.check(body, MODELS[target], strict_gemini.StrictGemini())
                case "chat":
                    strict_chat.check(body, demands_reasoning=False)
                case _:
                    strict_anthropic.check(body, _thoughts(body))
    except (
        strict_gemini.RefusedError,
        strict_chat.RefusedError,
        strict_anthropic.RefusedError,
    ) as error:
        return str(error)
    return ""


def _thoughts(body: Json) -> list[Json]:
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    return [block for block in blocks if block["type"].endswith("thinking")]
