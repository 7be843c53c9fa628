"""The few changes to a Messages request that is relayed to a Messages API. Pure.

The model's name changes if an alias stands for it. Thinking blocks with another upstream's sealed
state are removed, because the upstream would reject them. All other bytes stay unchanged.

Source: https://docs.claude.com/en/docs/build-with-claude/extended-thinking (read 2026-11).
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.sealed_state import ANTHROPIC, has_owner
from jarvis_proxy.upstreams.json_values import edited
from jarvis_proxy.wire.messages_types import BILLING_HEADER
from jarvis_proxy.wire.request_head import with_model

_SEALS: Final = (b'"gemini:', b'"chat.')
_BILLING: Final = f'"{BILLING_HEADER}'.encode()
_THINKING: Final = ("thinking", "redacted_thinking")
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_ITEMS: Final = msgspec.json.Decoder(list[Raw])
_TEXT: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.encode


class _Block(msgspec.Struct):
    type: object = None
    signature: object = None
    text: object = None


_BLOCK: Final = msgspec.json.Decoder(_Block)


def relayed_body(body: bytes, model: str | None, *, is_anthropic: bool) -> bytes:
    """Return the body for the upstream; *body* itself if nothing has to change.

    *model* is the upstream's name of the model, None if it equals the client's. *is_anthropic*: it
    is Anthropic itself, not a compatible service. Only Anthropic gets the line that Claude Code
    sends for billing, and only there is thinking without a signature an error.
    """
    if model is not None:
        body = with_model(body, model)
    if any(mark in body for mark in _SEALS):
        body = edited(body, lambda fields: _cut(fields, lambda b: _is_foreign(b, is_anthropic)))
    if not is_anthropic and _BILLING in body:
        body = edited(body, _cut_billing)
    return body


def without_thinking(body: bytes) -> bytes | None:
    """Return *body* without any thinking, for an upstream that refused it; None if it has none.

    A budget for thinking is removed too, because the last turn would have to begin with thinking.
    """
    changed = edited(body, _cut_thinking)
    return None if changed is body else changed


def _is_foreign(block: _Block, is_anthropic: bool) -> bool:
    signature = block.signature
    if block.type != "thinking" or not isinstance(signature, str):
        return False
    if signature == "":
        return is_anthropic
    return has_owner(signature) and not signature.startswith(f"{ANTHROPIC}:")


def _cut_thinking(fields: dict[str, Raw]) -> bool:
    asked = _BLOCK.decode(fields.get("thinking", b"{}"))
    if asked.type == "enabled":
        del fields["thinking"]
    return _cut(fields, lambda block: block.type in _THINKING) or asked.type == "enabled"


def _cut(fields: dict[str, Raw], is_cut: Callable[[_Block], bool]) -> bool:
    """Remove blocks from all messages, then empty messages; return whether any was removed."""
    messages = _ITEMS.decode(fields.get("messages", b"[]"))
    kept = [left for message in messages if (left := _without(message, is_cut)) is not None]
    if kept == messages:
        return False
    fields["messages"] = Raw(_encode(kept))
    return True


def _without(message: Raw, is_cut: Callable[[_Block], bool]) -> Raw | None:
    fields = _FIELDS.decode(message)
    content = fields.get("content", Raw(b'""'))
    if not _is_list(content):
        return message
    blocks = _ITEMS.decode(content)
    kept = [block for block in blocks if not is_cut(_BLOCK.decode(block))]
    if len(kept) == len(blocks):
        return message
    fields["content"] = Raw(_encode(kept))
    return Raw(_encode(fields)) if kept else None


def _cut_billing(fields: dict[str, Raw]) -> bool:
    system = fields.get("system", Raw(b"[]"))
    if _is_list(system):
        blocks = _ITEMS.decode(system)
        kept = [block for block in blocks if not _is_billing(_BLOCK.decode(block).text)]
        left, is_changed = _encode(kept), len(kept) < len(blocks)
    else:
        text = _TEXT.decode(system)
        is_changed = _is_billing(text)
        left = _encode(text.partition("\n")[2])
    if is_changed:
        fields["system"] = Raw(left)
    # It is empty, as a list or as a text.
    if is_changed and len(left) == 2:
        del fields["system"]
    return is_changed


def _is_list(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def _is_billing(text: object) -> bool:
    return isinstance(text, str) and text.startswith(BILLING_HEADER)
