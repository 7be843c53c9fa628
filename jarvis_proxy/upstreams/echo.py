"""`jarvis-echo`: the built-in model that repeats the last user message. Pure.

It needs no key and no network, so that new users, uptime monitors and the doctor can try the whole
path free of charge. It answers in OpenAI's form, and is relayed like an upstream.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace

from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Media, Prerequisites
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.openai import PassthroughExchange
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.json_limits import exceeds_values
from jarvis_proxy.wire.request_head import wants_usage
from jarvis_proxy.wire.responses_types import ResponseObject
from jarvis_proxy.wire.sse import DONE
from jarvis_proxy.wire.text import printable

_SERVED: Final = ("chat/completions", "responses")
_SSE: Final = "text/event-stream; charset=utf-8"
_GREETING: Final = "Hello from jarvis-echo: send a user message and it comes back."
_WORD: Final = re.compile(r"\S+\s*|\s+")
_MAX_PACED_SECONDS: Final = 3.0
_PACE_SECONDS: Final = 0.03
_MAX_TEXT: Final = 100_000
"""Most characters in all messages."""
_MAX_PIECES: Final = 1000
"""Most chunks: longer answers have several words each, as every chunk takes 250 bytes."""


class _Message(msgspec.Struct):
    role: str = ""
    content: Any = None


class _EchoRequest(msgspec.Struct):
    model: str = ""
    messages: list[_Message] = []
    input: Any = None
    stream: bool | None = None


_REQUEST: Final = msgspec.json.Decoder(_EchoRequest)


@dataclass(frozen=True, slots=True)
class EchoReply:
    """An answer in *pieces*; a stream pauses *pace* seconds before each piece but the first."""

    content_type: str
    pieces: tuple[bytes, ...]
    pace: float


class EchoUpstream:
    """The built-in upstream: it describes its request like every other one."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def needs(self, call: Call) -> Prerequisites:
        """Return that nothing is needed."""
        return NOTHING_NEEDED

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> PassthroughExchange:
        """Return the exchange for a chat call.

        Raises:
            ProxyError: 400 `unsupported_endpoint`, the endpoint is not chat.
        """
        if call.endpoint not in _SERVED:
            raise ProxyError(
                400,
                f"The model '{printable(call.model)}' only chats: call /v1/chat/completions or "
                "/v1/responses.",
                code="unsupported_endpoint",
                param="model",
            )
        head = {"x-jarvis-call": call.id, "x-jarvis-created": str(call.created)}
        return PassthroughExchange(self.name, replace(call, headers=head), call.body)


class ResponseWriting(Protocol):
    """Writes a response with one message, as JSON and as its events."""

    def __call__(
        self, response: ResponseObject, words: list[str], usage: ChatUsage
    ) -> tuple[bytes, tuple[bytes, ...]]:
        """Complete *response* with the text of all *words*."""


def reply(
    body: bytes,
    *,
    reply_id: str,
    created: int,
    write: ResponseWriting,
    endpoint: str = "chat/completions",
) -> EchoReply:
    """Return the echo of a request to one of the two supported endpoints.

    *write* makes the answer of ``responses``.

    Raises:
        ProxyError: 400 `invalid_type`, the messages are not in OpenAI's form; 400
            `context_length_exceeded`, they are longer than the model takes.
    """
    is_response = endpoint == "responses"
    request, words, prompt = _read(body, "input" if is_response else "messages")
    count = len(words)
    words = _gathered(words)
    pace = min(_PACE_SECONDS, _MAX_PACED_SECONDS / max(1, len(words)))
    if is_response:
        begun = ResponseObject(
            id=f"resp_{reply_id}",
            created_at=created,
            status="in_progress",
            model=request.model,
            output=[],
        )
        response, events = write(begun, words, ChatUsage(prompt, count, prompt + count))
        if request.stream:
            return EchoReply(_SSE, events, pace)
        return EchoReply("application/json", (response,), 0.0)
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": count,
        "total_tokens": prompt + count,
    }
    head = {"id": f"chatcmpl-{reply_id}", "created": created, "model": request.model}
    if not request.stream:
        return EchoReply("application/json", (_completion(head, "".join(words), usage),), 0.0)
    chunks = _chunks(head, words, usage if wants_usage(body) else None)
    return EchoReply(_SSE, (*chunks, DONE), pace)


def _read(body: bytes, param: str) -> tuple[_EchoRequest, list[str], int]:
    """Return the request, the words of the answer, and the number of all words in the request.

    *param* holds the messages.
    """
    request = _decode(body, param)
    texts = [_text(message.content) for message in request.messages]
    if sum(map(len, texts)) > _MAX_TEXT:
        raise _too_long(param)
    words = _WORD.findall(_last_user_text(request.messages))
    return request, words, sum(len(_WORD.findall(text)) for text in texts)


def _gathered(words: list[str]) -> list[str]:
    """Return *words*, joined to groups if there are very many."""
    count = -(-len(words) // _MAX_PIECES)
    if count <= 1:
        return words
    return ["".join(words[at : at + count]) for at in range(0, len(words), count)]


def _too_long(param: str) -> ProxyError:
    return ProxyError(
        400,
        f"This model takes {_MAX_TEXT} characters at most.",
        code="context_length_exceeded",
        param=param,
    )


def _decode(body: bytes, param: str) -> _EchoRequest:
    if exceeds_values(body, 2 * _MAX_TEXT):
        # It could take up to thirty times its size.
        raise _too_long(param)
    try:
        request = surrogates.decode(_REQUEST, body)
        if param == "input":
            given = request.input
            said = [_Message("user", given)] if isinstance(given, str) else given
            request.messages = msgspec.convert(said, list[_Message])
    except (ValueError, RecursionError):
        raise ProxyError(
            400,
            f"'{param}' must be a list of objects with 'role' and 'content'.",
            code="invalid_type",
            param=param,
        ) from None
    return request


def _completion(head: dict[str, Any], text: str, usage: dict[str, int]) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return msgspec.json.encode(
        {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    )


def _chunks(
    head: dict[str, Any], words: list[str], usage: dict[str, int] | None
) -> tuple[bytes, ...]:
    def chunk(choices: list[dict[str, Any]], usage_now: dict[str, int] | None) -> bytes:
        body = {**head, "object": "chat.completion.chunk", "choices": choices}
        if usage is not None:
            body["usage"] = usage_now
        return b"data: " + msgspec.json.encode(body) + b"\n\n"

    def delta(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return chunk([choice], None)

    last = (chunk([], usage),) if usage is not None else ()
    return (
        delta({"role": "assistant", "content": ""}),
        *(delta({"content": word}) for word in words),
        delta({}, "stop"),
        *last,
    )


def _last_user_text(messages: list[_Message]) -> str:
    for message in reversed(messages):
        if message.role == "user" and (text := _text(message.content)):
            return text
    return _GREETING


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
