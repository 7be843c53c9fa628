"""Calls to Anthropic for the tests."""

import json

import msgspec

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.upstreams.anthropic.upstream import AnthropicCall, AnthropicUpstream
from tests.support.recorded_answer import ids_in_order
from tests.upstreams.anthropic.chat import NEWEST, Json


def new_upstream() -> AnthropicUpstream:
    """Return an upstream."""
    return AnthropicUpstream("anthropic", new_id=ids_in_order())


def new_call(
    model: str = NEWEST,
    *,
    stream: bool = False,
    endpoint: str = "chat/completions",
    body: bytes = b"",
) -> Call:
    """Return a call whose client names the model otherwise than the upstream."""
    return Call(
        endpoint=endpoint,
        model="my-claude",
        target_model=model,
        stream=stream,
        body=body,
        id="1",
        created=1,
        now=0.0,
    )


def canonical(body: Json, *, show_thoughts: bool = False) -> CanonicalRequest:
    """Return a canonical request."""
    encoded = json.dumps(body).encode()
    return CanonicalRequest(body=encoded, params=SameParams(), show_thoughts=show_thoughts)


def call_for(
    body: Json, model: str = NEWEST, *, stream: bool = False, strict: bool = False
) -> AnthropicCall:
    """Return the upstream's call for a canonical request, as the exchange makes it."""
    upstream, call = new_upstream(), new_call(model, stream=stream)
    call = msgspec.structs.replace(call, strict_params=strict)
    needed = upstream.canonical_needs(call, canonical(body))
    return upstream.translate(call, lambda: canonical(body), {}, needed.decoded)
