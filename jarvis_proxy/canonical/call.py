"""One call of a client, as dialects and upstreams see it. Pure."""

from collections.abc import Mapping

import msgspec

from jarvis_proxy.canonical.sealed_conversation import ConversationSeal

# Structs, not dataclasses, for what every call makes: a frozen dataclass sets each of its fields
# through object.__setattr__, which takes ten times as long.


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One downstream request after auth and routing.

    *endpoint* is the normalised path without prefix (``chat/completions``); *model* is the name
    that the client asked for and sees in the answer; *target_model* is the upstream's name for it;
    *body* is the body as received, after content decoding; *headers* are those that may cross.
    *created* is in epoch seconds, *now* on the monotonic clock. *strict_params* turns parameters
    without an equivalent into errors; *show_thoughts* asks for them where the request does not say.
    *counts_tokens*: the client's key has a limit on tokens, so usage must be known. With
    *conversation_seal*, ids of responses carry their conversations.
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
    """What an upstream has decoded of a call, to be taken once: it may be larger than the body.

    *size* is about how many bytes of memory it takes.
    """

    __slots__ = ("_value", "size")

    def __init__(self, value: object, size: int) -> None:
        self._value = value
        self.size = size

    def take(self) -> object:
        """Return it and forget it; None if it was taken."""
        value, self._value = self._value, None
        return value

    def peek(self) -> object:
        """Return it and keep it; None if it was taken."""
        return self._value
