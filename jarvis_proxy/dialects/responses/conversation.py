"""Conversations that the ids of responses carry (``RESPONSES_STATE=id``). Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.bounds import check_values
from jarvis_proxy.canonical.sealed_conversation import ConversationSeal, UnansweredConversation
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.dialects.responses.input_items import JsonObject
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.heartbeats import heartbeat_format
from jarvis_proxy.wire.json_limits import exceeds_depth
from jarvis_proxy.wire.responses_types import MessageItem, OutputItem, ReasoningItem

_MOST_LEVELS: Final = 512
"""As deep as MAX_JSON_DEPTH lets a request nest."""

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
        """Return the conversation with *given*, a request's ``input``; None: it is too large."""
        new = bytes(given).strip()
        if new.startswith(b'"'):
            new = b'[{"role":"user","content":%b}]' % new
        return seal.begin(_joined(self._json, new))


def earlier_items(response_id: str | None, seal: ConversationSeal | None) -> EarlierItems:
    """Return what *response_id* carries; without a seal or an id, nothing.

    Raises:
        ProxyError: 400 `previous_response_not_found`, it carries no conversation of this client's.
    """
    if seal is None or not response_id:
        return EarlierItems()
    found = seal.open(response_id)
    if found is None or exceeds_depth(found, _MOST_LEVELS):
        raise _not_found()
    check_values(found)
    try:
        return EarlierItems(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _not_found() from None


def takes_last_id(headers: Mapping[str, str]) -> bool:
    """Return whether a client goes on from the id in the last event of a stream, by its headers.

    Known to do so are Microsoft's Agent Framework and OpenAI's Agents SDK. Clients whose
    heartbeats are events have an id before the answer, and cannot wait for another.
    """
    agent = headers.get("user-agent", "").lower()
    needs_events = heartbeat_format(headers, endpoint="responses", asks_usage=False) != "comment"
    return needs_events or any(name in agent for name in _TAKE_LAST_ID)


def answer_items(output: Sequence[OutputItem]) -> bytes:
    """Return the items of an answer as JSON, except calls that were cut off."""
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
