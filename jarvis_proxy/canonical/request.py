"""The canonical request: a chat completions request as JSON, with extension fields. Pure.

Each client API has one reader that creates it, and each upstream API one writer that consumes it.
The extension fields have the names that chat clients already use; a writer sends only those that
its upstream knows.
"""

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from jarvis_proxy.canonical.call import Decoded
from jarvis_proxy.errors import ProxyError


class ParamMap(Protocol):
    """Maps a param of the canonical request to the param in the client's request."""

    def param(self, chat_param: str, /) -> str:
        """Return the client's own name for *chat_param*, such as ``messages[2].content[0]``."""


@dataclass(slots=True)
class MessageOrigin:
    """The client's paths of one canonical message, of each of its parts and of each call."""

    path: str
    parts: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


class SameParams:
    """The identity map, for clients that use chat completions themselves."""

    def param(self, chat_param: str, /) -> str:
        """Return *chat_param* unchanged."""
        return chat_param


class CanonicalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of any client API, as the equivalent chat request.

    *body* is the JSON, without ``model`` and ``stream``. *ignored* names, in the client's terms,
    what no upstream supports. *show_thoughts*: the client wants to see reasoning. *sealed*: the
    client accepts sealed state and sends it back. *decoded* holds a ``DecodedChat`` of the body if
    its reader has already decoded it.
    """

    body: bytes
    params: ParamMap
    ignored: tuple[str, ...] = ()
    show_thoughts: bool = False
    sealed: bool = True
    decoded: Decoded | None = None


def relabel(error: ProxyError, params: ParamMap) -> ProxyError:
    """Return *error* about the canonical request as one about the client's own request."""
    if error.param is not None:
        param = params.param(error.param)
        error.message = error.message.replace(f"'{error.param}'", f"'{param}'")
        error.param = param
    return error
