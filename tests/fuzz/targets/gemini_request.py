"""The translator of chat requests to Gemini.

Oracle: the first byte chooses the model and whether parameters are strict; any bytes give a
request that Google's own types take and that keeps Google's rules of conversations, or a
ProxyError of status 400.
"""

import json
from typing import Final

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.build import TranslatedRequest
from tests.fuzz.outcomes import attempt
from tests.upstreams.gemini.chat import JPEG_BYTES, built, make_call, needed
from tests.upstreams.gemini.google_types import assert_conversation_rules, assert_google_accepts

TOKENS: Final = (
    b'"messages"', b'"role":"user"', b'"role":"tool"', b'"role":"assistant"', b'"role":"system"',
    b'"tool_calls"', b'"tool_call_id":"a"', b'"content":null', b'"type":"image_url"',
    b'"url":"data:image/png;base64,QQ=="', b'"$ref":"#/$defs/a"', b'"anyOf":[{}]', b'"enum":[""]',
    b'"arguments":"{}"', b'"stop":["a"]', b'"n":2', b'"response_format"', b'"reasoning_effort"',
    b"null", b"true", b"-1", b"1e400", b'""', b"[]", b"{}", b"\\ud800",
)  # fmt: skip
_MODELS: Final = (
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-3-flash-preview",
    "gemini-3.8-flash",
    "gemini-3-pro-image",
    "gemma-3-27b-it",
)


def check(data: bytes) -> None:
    """Translate the request."""
    choice, body = (data[0] if data else 0), data[1:]
    model = _MODELS[choice % len(_MODELS)]
    call = make_call(body, model, strict_params=choice >= 128)
    plan, error = attempt(lambda: _plan(call))
    if error is not None:
        assert error.status == 400
        assert error.code
        json.loads(error.body())
        return
    assert plan is not None
    built = json.loads(plan.body)
    traits = traits_of(model)
    assert_google_accepts(built)
    assert_conversation_rules(built, signed=traits.signatures == "required", ids=traits.sends_ids)
    assert all(name.isascii() and name.isprintable() for name in plan.ignored)


def _plan(call: Call) -> TranslatedRequest:
    media = {url: Media("image/jpeg", JPEG_BYTES) for url in needed(call).urls}
    return built(call, media)
