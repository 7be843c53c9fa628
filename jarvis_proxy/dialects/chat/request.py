"""Chat requests, which are already canonical except for the form of their answer. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11).
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.answer import AnswerContext
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.chat_decoder import chat_in, decode_chat
from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.canonical.validation_errors import convert, invalid
from jarvis_proxy.dialects.chat.answer import ChatAnswer
from jarvis_proxy.dialects.chat.options import ChatOptions

_TAG: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}\Z")
_TAG_KEYS: Final = ("thought_tag_marker", "thoughtTagMarker")


class ChatDialect:
    """The chat completions API; implements ``Dialect``.

    *new_id* returns 24 random letters and digits.
    """

    __slots__ = ("_new_id",)

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400, the body is not a chat request.
        """
        decoded = decode_chat(call.body)
        options = read_options(chat_in(decoded))
        request = CanonicalRequest(body=call.body, params=SameParams(), decoded=decoded)
        context = AnswerContext(
            call_id=call.id, created=call.created, model=call.model, new_id=self._new_id
        )
        return DialectCall(request, partial(ChatAnswer, context, options))


def read_options(request: ChatRequest) -> ChatOptions:
    """Return the form of the answer that *request* asks for.

    Raises:
        ProxyError: 400, the think tag is not valid.
    """
    options = request.stream_options
    return ChatOptions(
        include_usage=bool(options and options.include_usage),
        legacy_functions=uses_functions(request),
        think_tag=_think_tag(request) if request.google or request.extra_body else None,
        audio_format=None if request.audio is None else request.audio.format,
        service_tier=request.service_tier is not None,
    )


def uses_functions(request: ChatRequest) -> bool:
    """Return whether the client declares ``functions``, the older form of ``tools``."""
    if request.functions is None and request.function_call is None:
        return False
    return not any(map(_is_function, request.tools or ()))


def _is_function(tool: dict[str, object]) -> bool:
    kind = tool.get("type")
    return kind in ("function", "custom", "namespace") or (
        kind is None and ("function" in tool or "name" in tool)
    )


def _think_tag(request: ChatRequest) -> str | None:
    """Return the think tag in Google's extension of the request.

    Source: https://ai.google.dev/gemini-api/docs/openai#extra-body (read 2026-11).
    """
    for where, google in _extensions(request):
        for key in _TAG_KEYS:
            if google.get(key) is not None:
                param = f"{where}.thought_tag_marker"
                tag = convert(google[key], str, param)
                if not _TAG.match(tag):
                    message = "thought_tag_marker must be a name, such as 'think'."
                    raise invalid(param, message)
                return tag
    return None


def _extensions(request: ChatRequest) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield Google's extension object at each of its possible params, with that param."""
    if isinstance(request.google, dict):
        yield "google", request.google
    outer = request.extra_body
    for prefix in ("extra_body", "extra_body.extra_body"):
        if not isinstance(outer, dict):
            return
        if isinstance(google := outer.get("google"), dict):
            yield f"{prefix}.google", google
        outer = outer.get("extra_body")
