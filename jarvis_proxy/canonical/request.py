"""The canonical request: a chat completions request as JSON, with extension fields. Pure.

Each client API has one reader that makes it, and each upstream API one writer that takes it. The
extensions are named as chat clients already send them; a writer emits only what its upstream
knows, and drops the rest.
"""

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from jarvis_proxy.canonical.call import Decoded
from jarvis_proxy.errors import ProxyError


class ParamMap(Protocol):
    """Maps where something stands in the canonical request to where the client wrote it."""

    def param(self, chat_param: str, /) -> str:
        """Return the client's own name for *chat_param*, such as ``messages[2].content[0]``."""


@dataclass(slots=True)
class MessageOrigin:
    """What one canonical message was made of: the paths of all, of each part and of each call."""

    path: str
    parts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


class SameParams:
    """The map of clients that speak chat completions themselves."""

    def param(self, chat_param: str, /) -> str:
        """Return *chat_param* as it is."""
        return chat_param


class CanonicalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in any client API, as the chat request that asks the same.

    *body* is the JSON, without ``model`` and ``stream``. *ignored* names, in the client's words,
    what it asked for and no upstream can be asked. *show_thoughts*: the client wants to see
    reasoning. *sealed*: the client takes sealed state and sends it back. *decoded* holds a
    ``DecodedChat`` of the body if its reader has decoded it already.
    """

    body: bytes
    params: ParamMap
    ignored: tuple[str, ...] = ()
    show_thoughts: bool = False
    sealed: bool = True
    decoded: Decoded | None = None


def relabel(error: ProxyError, params: ParamMap) -> ProxyError:
    """Return *error*, about the canonical request, as one about the client's own request."""
    if error.param is not None:
        param = params.param(error.param)
        error.message = error.message.replace(f"'{error.param}'", f"'{param}'")
        error.param = param
    return error
