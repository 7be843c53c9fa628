"""The few changes to a request of Google's API that is relayed to Google. Pure.

The model's name changes if an alias stands for it. Signatures that are seals of another upstream's
state are removed, because Google would reject them. All other bytes stay unchanged.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

import re
from typing import Final

import msgspec

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.sealed_state import GOOGLE_MARK
from jarvis_proxy.upstreams.gemini.request.signature_lookup import PLACEHOLDER
from jarvis_proxy.wire.google_verbs import BATCH_EMBED, COUNT_TOKENS, EMBED, relayed_query
from jarvis_proxy.wire.model_values import model_values

# A quotation mark inside a string is escaped. So without a preceding backslash, each of these
# matches a field's name, never a part of a text.
_SIGNATURE: Final = rb'(?<!\\)"thought(?:S|_s)ignature"\s*:\s*"%b[^"\\]*"' % GOOGLE_MARK.encode()
_SIGNED: Final = re.compile(rb"(,\s*)?%b(?(1)|(?:\s*,)?)" % _SIGNATURE)
# Among a model's parts only a call is an object. So its brace and a comma precede the signature, or
# its name follows it.
_SIGNED_CALL: Final = re.compile(
    rb'(\}\s*,\s*)%b|%b(?=\s*,\s*"function(?:C|_c)all")' % (_SIGNATURE, _SIGNATURE)
)
_PLACEHOLDER: Final = b'"thoughtSignature":"%b"' % PLACEHOLDER.encode()
_EMPTY_TEXT: Final = rb'"text"\s*:\s*""'
_ONLY_SIGNED: Final = re.compile(
    rb"(,\s*)?\{\s*(?:%b\s*,\s*%b|%b\s*,\s*%b)\s*\}(\s*,)?"
    % (_EMPTY_TEXT, _SIGNATURE, _SIGNATURE, _EMPTY_TEXT)
)
_MODEL_DEPTHS: Final = {BATCH_EMBED: (1, 3), COUNT_TOKENS: (1, 2), EMBED: (1,)}
"""Depths of the model names that Google compares with the one in the URL."""


def relayed_path(call: Call) -> str:
    """Return the path below the base URL, with the part of the query that crosses."""
    query = relayed_query(call.query, narrows=not call.counts_tokens)
    path = f"/models/{call.target_model}:{call.endpoint}"
    return f"{path}?{query}" if query else path


def relayed_body(call: Call) -> bytes:
    """Return the body for Google; the call's own bytes if nothing has to change."""
    body = call.body
    if call.target_model != call.model:
        body = with_model_names(body, call.endpoint, call.model, call.target_model)
    return without_seals(body)


def with_model_names(body: bytes, verb: str, model: str, target: str) -> bytes:
    """Return *body* with *target* wherever it must name the same model as the URL."""
    names = {model: target, f"models/{model}": f"models/{target}"}
    pieces: list[bytes] = []
    copied = 0
    for start, end in model_values(body, _MODEL_DEPTHS.get(verb, (1,))):
        renamed = names.get(_text(body[start:end]))
        if renamed is not None:
            pieces += [body[copied:start], msgspec.json.encode(renamed)]
            copied = end
    return b"".join((*pieces, body[copied:])) if pieces else body


def _text(value: bytes) -> str:
    try:
        return msgspec.json.decode(value, type=str)
    except ValueError:
        return ""


def without_seals(body: bytes) -> bytes:
    """Return *body* without signatures that the proxy made for another upstream's state.

    A call needs a signature, so it gets the placeholder for calls of other models. A part that only
    carries a seal is removed too, unless it is the only part of its content.
    """
    if GOOGLE_MARK.encode() not in body:
        return body
    body = _SIGNED_CALL.sub(rb"\1" + _PLACEHOLDER, body)
    return _SIGNED.sub(b"", _ONLY_SIGNED.sub(_without_carrier, body))


def _without_carrier(found: re.Match[bytes]) -> bytes:
    """Return what replaces a part with only a seal, and the commas around it."""
    before, after = found[1], found[2]
    if before is None and after is None:
        return b'{"text":""}'
    return after if before is not None and after is not None else b""
