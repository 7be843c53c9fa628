"""What the tests of the relay share."""

import json
from collections.abc import Iterable
from typing import Any

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import StreamTranslator
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.relay.exchange import GeminiRelayExchange

MODEL = "gemini-3-flash"


def a_relayed_call(
    verb: str = "generateContent",
    body: bytes = b'{"contents":[]}',
    *,
    query: str = "",
    target: str = MODEL,
    counts_tokens: bool = False,
) -> Call:
    return Call(
        endpoint=verb,
        model=MODEL,
        target_model=target,
        stream=verb == "streamGenerateContent",
        body=body,
        id="a" * 24,
        created=1_800_000_000,
        now=1000.0,
        query=query,
        counts_tokens=counts_tokens,
    )


def a_relay(*, query: str = "alt=sse") -> StreamTranslator:
    call = a_relayed_call("streamGenerateContent", query=query)
    return GeminiRelayExchange(call).stream_translator()


def relayed(
    pieces: Iterable[bytes], *, query: str = "alt=sse"
) -> tuple[bytes, ProxyError | None, StreamTranslator]:
    """Return what goes out for *pieces*, and the error that ends it, if one does."""
    relay = a_relay(query=query)
    out: list[bytes] = []
    try:
        for piece in pieces:
            out.append(relay.feed(piece))
        out.append(relay.feed_eof())
    except ProxyError as error:
        return b"".join(out) + error.completed_events, error, relay
    return b"".join(out), None, relay


def event(text: str = "Hi", *, end: str = "\r\n\r\n", **candidate: Any) -> bytes:
    """Return a frame as Google sends it."""
    content = {"parts": [{"text": text}], "role": "model"}
    frame = {"candidates": [{"content": content, "index": 0, **candidate}]}
    return f"data: {json.dumps(frame)}{end}".encode()


LAST = event("", finishReason="STOP")
