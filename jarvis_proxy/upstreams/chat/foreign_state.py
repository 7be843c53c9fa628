"""Removes state of other upstreams from requests relayed to an OpenAI-compatible service. Pure.

A conversation that moves between models contains what Gemini and Anthropic gave its client: a
signature in ``extra_content.google``, ``thinking_blocks``, sealed reasoning items. OpenAI and
similar services reject these. But a gateway may have sent the same fields itself, and wants them
back. So services known to lack them never get them. Others get the request unchanged and, after a
refusal, once more without them. OpenAI gets no reasoning text either: its chat API has no field for
it, so the text is another service's.

Source: https://ai.google.dev/gemini-api/docs/openai, https://docs.litellm.ai/docs/reasoning_content
(read 2026-11).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange
from jarvis_proxy.canonical.sealed_state import has_owner
from jarvis_proxy.upstreams.chat.recovery import REASONING, demands_reasoning
from jarvis_proxy.upstreams.chat.target import ChatTarget
from jarvis_proxy.upstreams.chat.thinking import DISABLED
from jarvis_proxy.upstreams.json_values import edited
from jarvis_proxy.upstreams.openai import OpenAIUpstream, PassthroughExchange
from jarvis_proxy.upstreams.refusal_body import read_refusal

_BLOCKS: Final = "thinking_blocks"
_EXTRA: Final = "extra_content"
_CHAT_MARKS: Final = (b'"thinking_blocks"', b'"thought_signature"')
_REASONING_MARK: Final = f'"{REASONING}"'.encode()
_SEALED: Final = b"encrypted_content"
_ITEM_MARKS: Final = (b'"gemini:', b'"anthropic:', b'"chat.')
_REFUSED: Final = (400, 422)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_ITEMS: Final = msgspec.json.Decoder(list[Raw])
_encode: Final = msgspec.json.encode


class _Message(msgspec.Struct):
    role: object = None
    tool_calls: list[Raw] | None = None


class _Item(msgspec.Struct):
    type: object = None
    encrypted_content: object = None


_MESSAGE: Final = msgspec.json.Decoder(_Message)
_ITEM: Final = msgspec.json.Decoder(_Item)


def without_foreign_state(body: bytes, *, with_reasoning: bool = True) -> bytes:
    """Return a chat request without the state of Gemini and Anthropic; *body* if it has none.

    Reasoning text next to such state is from the same model, and is removed with it. Other
    reasoning is from chat services, and stays if *with_reasoning*.
    """
    marks = _CHAT_MARKS if with_reasoning else (*_CHAT_MARKS, _REASONING_MARK)
    if not any(mark in body for mark in marks):
        return body
    return edited(body, partial(_cut_messages, with_reasoning=with_reasoning))


def without_foreign_items(body: bytes) -> bytes:
    """Return a Responses request without reasoning that is sealed for other upstreams."""
    if _SEALED not in body or not any(mark in body for mark in _ITEM_MARKS):
        return body
    return edited(body, _cut_items)


def relay_chat(relay: OpenAIUpstream, target: ChatTarget, call: Call) -> PassthroughExchange:
    """Return the exchange that passes the chat request *call* on to *target*."""
    bare = without_foreign_state(call.body, with_reasoning=not target.is_openai)
    if bare is call.body:
        return relay.relay(call)
    moved = _Moved(relay, call, bare)
    if target.is_openai or target.switches_thinking:
        return moved.without_state()
    return relay.relay(
        call, lambda status, _: moved.without_state() if status in _REFUSED else None
    )


class _Moved:
    """A conversation that began with other models; *bare* is its request without their state.

    The service may require its own reasoning for calls that it never made.
    """

    def __init__(self, relay: OpenAIUpstream, call: Call, bare: bytes) -> None:
        self._relay = relay
        self._call = call
        self._bare = bare

    def without_state(self) -> PassthroughExchange:
        return self._changed(self._bare, self._without_thinking)

    def _without_thinking(self, status: int, body: bytes) -> Exchange | None:
        if status not in _REFUSED or not demands_reasoning(
            read_refusal(status, "", body)[0].message
        ):
            return None
        return self._changed(edited(self._bare, _switch_off), None)

    def _changed(
        self, body: bytes, instead: Callable[[int, bytes], Exchange | None] | None
    ) -> PassthroughExchange:
        return self._relay.relay(self._call, instead, body=body)


def _switch_off(fields: dict[str, Raw]) -> bool:
    fields.pop("reasoning_effort", None)
    fields["thinking"] = Raw(_encode(DISABLED))
    return True


def _cut_messages(fields: dict[str, Raw], *, with_reasoning: bool) -> bool:
    messages = _ITEMS.decode(fields.get("messages", b"[]"))
    left = [_without_state(message, with_reasoning=with_reasoning) for message in messages]
    if all(one is other for one, other in zip(left, messages, strict=True)):
        return False
    fields["messages"] = Raw(_encode(left))
    return True


def _without_state(message: Raw, *, with_reasoning: bool) -> Raw:
    known = _MESSAGE.decode(message)
    if known.role != "assistant":
        return message
    fields = _FIELDS.decode(message)
    is_cut = _cut_signature(fields)
    is_cut = fields.pop(_BLOCKS, None) is not None or is_cut
    calls = [_FIELDS.decode(call) for call in known.tool_calls or ()]
    # sum() instead of any(), so that all of them are changed.
    if sum(map(_cut_signature, calls)):
        fields["tool_calls"] = Raw(_encode(calls))
    elif not is_cut and (with_reasoning or REASONING not in fields):
        return message
    fields.pop(REASONING, None)
    return Raw(_encode(fields))


def _cut_signature(fields: dict[str, Raw]) -> bool:
    """Remove Google's part of ``extra_content``; return whether there was one."""
    if _EXTRA not in fields:
        return False
    extra = _FIELDS.decode(fields[_EXTRA])
    if extra.pop("google", None) is None:
        return False
    if extra:
        fields[_EXTRA] = Raw(_encode(extra))
    else:
        del fields[_EXTRA]
    return True


def _cut_items(fields: dict[str, Raw]) -> bool:
    items = _ITEMS.decode(fields.get("input", b"[]"))
    kept = [item for item in items if not _is_foreign(_ITEM.decode(item))]
    if len(kept) == len(items):
        return False
    fields["input"] = Raw(_encode(kept))
    return True


def _is_foreign(item: _Item) -> bool:
    sealed = item.encrypted_content
    return item.type == "reasoning" and isinstance(sealed, str) and has_owner(sealed)
