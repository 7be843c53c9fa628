"""One call of a client, as dialects and upstreams see it. Pure."""

from collections.abc import Mapping

import msgspec

from jarvis_proxy.canonical.sealed_conversation import ConversationSeal

# Structs, not dataclasses, for objects that every call creates: a frozen dataclass sets each field
# through object.__setattr__, which takes ten times as long.


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One downstream request after auth and routing.

    *endpoint* is the normalised path without prefix (``chat/completions``); *model* is the name
    that the client asked for and sees in the answer; *target_model* is the upstream's name for it;
    *body* is the body after content decoding; *headers* are those that may be forwarded. *created*
    is in epoch seconds, *now* on the monotonic clock. *strict_params* makes parameters without an
    equivalent errors; *show_thoughts* is the default if the request does not say. *counts_tokens*
    means that the client's key has a token limit, so usage must be known. With *conversation_seal*,
    response ids carry their conversations.
    """

    endpoint: str
    model: str
    target_model: str
    stream: bool
    body: bytes
    id: str
    created: int
    now: float
    method: str = "POST"
    query: str = ""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    strict_params: bool = False
    show_thoughts: bool = False
    counts_tokens: bool = False
    conversation_seal: ConversationSeal | None = None


class Decoded:
    """A decoded call, to be taken once, because it may be larger than the body.

    *size* is its approximate memory use in bytes.
    """

    __slots__ = ("_value", "size")

    def __init__(self, value: object, size: int) -> None:
        self._value = value
        self.size = size

    def take(self) -> object:
        """Return the value and forget it; None if it was already taken."""
        value, self._value = self._value, None
        return value

    def peek(self) -> object:
        """Return the value and keep it; None if it was already taken."""
        return self._value
