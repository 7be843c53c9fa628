"""Conversations in the ids of responses (``RESPONSES_STATE=id``). Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.bounds import check_values
from jarvis_proxy.canonical.sealed_conversation import (
    MAX_ITEMS,
    ConversationSeal,
    UnansweredConversation,
)
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.dialects.responses.input_items import JsonObject
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.heartbeats import heartbeat_format
from jarvis_proxy.wire.json_limits import exceeds_depth
from jarvis_proxy.wire.responses_types import MessageItem, OutputItem, ReasoningItem

_MAX_LEVELS: Final = 512
"""As many levels as MAX_JSON_DEPTH allows in a request."""

_ITEM_PREFIXES: Final = {"message": "msg_s1_", "reasoning": "rs_s1_"}
"""Prefixes of ids with an item; the Vercel AI SDK sends only such an id in place of the item."""

_ITEM: Final = msgspec.json.Decoder(JsonObject)
_RAWS: Final = msgspec.json.Decoder(list[Raw])
_ITEMS: Final = msgspec.json.Decoder(list[JsonObject])
_TAKE_LAST_ID: Final = ("agent-framework-", "agents/python", "agents/javascript")
_NO_ITEMS: Final = b"[]"


class EarlierItems:
    """The items of the conversation that a request continues, as objects and as JSON."""

    __slots__ = ("_json", "items")

    def __init__(self, json: bytes = _NO_ITEMS) -> None:
        self._json = json
        self.items = _ITEMS.decode(json)

    def begin(self, seal: ConversationSeal, given: Raw) -> UnansweredConversation | None:
        """Return the conversation extended by *given*, a request's ``input``; None if too large."""
        new = bytes(given).strip()
        if new.startswith(b'"'):
            new = b'[{"role":"user","content":%b}]' % new
        return seal.begin(_joined(self._json, new))


def earlier_items(response_id: str | None, seal: ConversationSeal | None) -> EarlierItems:
    """Return the items in *response_id*; none without a seal or an id.

    Raises:
        ProxyError: 400 `previous_response_not_found`, the id holds no conversation of this client.
    """
    if seal is None or not response_id:
        return EarlierItems()
    found = seal.open(response_id)
    if found is None or exceeds_depth(found, _MAX_LEVELS):
        raise _not_found()
    check_values(found)
    try:
        return EarlierItems(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_found() from None


def with_referred(given: Raw, seal: ConversationSeal) -> bytes | None:
    """Return a request's ``input`` with each reference to a sealed id replaced by its item.

    Returns None if there are none. An item that was sent in full gets its plain id back. Ids that
    are not this client's stay unchanged.

    Raises:
        ProxyError: 400 `array_above_max_length`, the items are too large in total.
    """
    data = bytes(given)
    if not any(b'"%b' % prefix.encode() in data for prefix in _ITEM_PREFIXES.values()):
        return None
    try:
        items = _RAWS.decode(data)
    except msgspec.ValidationError:
        # It is a text that only looks like an id.
        return None
    room = MAX_ITEMS
    for number, raw in enumerate(items):
        if (whole := _referred(raw, seal)) is None:
            continue
        room -= len(whole)
        if room < 0:
            size = MAX_ITEMS // (1024 * 1024)
            message = (
                f"The items that the ids in 'input' carry are larger than {size} MiB together."
            )
            raise invalid("input", message, "array_above_max_length")
        items[number] = Raw(whole)
    found = msgspec.json.encode(items)
    check_values(found)
    return found


def _referred(raw: Raw, seal: ConversationSeal) -> bytes | None:
    """Return the item in the id of *raw*, or *raw* with its plain id if *raw* is complete."""
    try:
        item = _ITEM.decode(raw)
        sealed_id = item.get("id")
        if not isinstance(sealed_id, str):
            return None
        for kind, prefix in _ITEM_PREFIXES.items():
            opened = seal.open(sealed_id, prefix)
            if opened is None or exceeds_depth(opened, _MAX_LEVELS):
                continue
            (whole,) = _ITEMS.decode(opened)
            if whole.get("type") != kind:
                return None
            if item.get("type") == "item_reference":
                return opened.strip()[1:-1]
            return msgspec.json.encode({**item, "id": whole.get("id")})
    except (ValueError, RecursionError):
        pass
    return None


def seal_item_ids(
    output: Sequence[OutputItem], conversation: UnansweredConversation
) -> dict[str, str]:
    """Give items of an answer ids that carry them; return the new ids by the old ones."""
    renamed: dict[str, str] = {}
    for item in output:
        if isinstance(item, MessageItem | ReasoningItem):
            prefix = _ITEM_PREFIXES["message" if isinstance(item, MessageItem) else "reasoning"]
            sealed = conversation.item_id(msgspec.json.encode(item), prefix)
            if sealed is not None:
                renamed[item.id] = item.id = sealed
    return renamed


def takes_last_id(headers: Mapping[str, str]) -> bool:
    """Return whether a client, judging by its headers, continues from a stream's last id.

    Microsoft's Agent Framework and OpenAI's Agents SDK are known to do so. Clients whose heartbeats
    are events have seen an id before the answer, and cannot wait for another.
    """
    agent = headers.get("user-agent", "").lower()
    needs_events = heartbeat_format(headers, endpoint="responses", asks_usage=False) != "comment"
    return needs_events or any(name in agent for name in _TAKE_LAST_ID)


def answer_items(output: Sequence[OutputItem]) -> bytes:
    """Return the items of an answer as JSON, without calls that were cut off."""
    return msgspec.json.encode([item for item in output if _is_whole(item)])


def _is_whole(item: OutputItem) -> bool:
    return isinstance(item, MessageItem | ReasoningItem) or item.status == "completed"


def _joined(earlier: bytes, new: bytes) -> bytes:
    if earlier == _NO_ITEMS:
        return new
    rest = new[1:].lstrip()
    return earlier[:-1] + (b"]" if rest == b"]" else b"," + rest)


def _not_found() -> ProxyError:
    message = (
        "This 'previous_response_id' carries no conversation of this client key's. The id that "
        "does is that of the last event of a stream (response.completed); conversations of more "
        'than 512 KiB, answers that failed, and requests with "store": false have none. Send '
        "the whole conversation as 'input'."
    )
    return invalid("previous_response_id", message, "previous_response_not_found")
