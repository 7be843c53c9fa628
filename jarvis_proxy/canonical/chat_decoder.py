"""Decodes the body of a canonical request within the bounds of one request. Pure."""

from typing import Final, NamedTuple

import msgspec

from jarvis_proxy.canonical.bounds import check_request, check_values, decoded_size
from jarvis_proxy.canonical.call import Decoded
from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.validation_errors import DECODE_ERRORS, from_decode_error, invalid
from jarvis_proxy.wire import text as surrogates

_DECODER: Final = msgspec.json.Decoder(ChatRequest)


class DecodedChat(NamedTuple):
    """A decoded request, and the size of its body in bytes."""

    request: ChatRequest
    size: int


def decode_chat(body: bytes) -> Decoded:
    """Return the ``DecodedChat`` of *body*, wrapped. Raises as ``parse_chat``."""
    return Decoded(parse_chat(body), decoded_size(body))


def parse_chat(body: bytes) -> DecodedChat:
    """Return the decoded *body*.

    Raises:
        ProxyError: 400, the body is not the JSON of a chat request, has no messages, or exceeds
            the bounds of a request.
    """
    check_values(body)
    try:
        request = surrogates.decode(_DECODER, body)
    except DECODE_ERRORS as exc:
        raise from_decode_error(exc) from exc
    if not request.messages:
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead."
        )
        raise invalid("messages", message, "empty_array")
    check_request(request)
    return DecodedChat(request, len(body))


def chat_in(decoded: Decoded) -> ChatRequest:
    """Return the request in *decoded* without taking it."""
    chat = decoded.peek()
    assert isinstance(chat, DecodedChat)  # noqa: S101 - it was not taken yet
    return chat.request
