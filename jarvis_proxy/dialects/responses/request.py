"""Converts a Responses request to the equivalent chat request. Pure.

``/v1/responses/input_tokens`` is answered with an estimate: no upstream is asked.

Source: https://platform.openai.com/docs/api-reference/responses/create and
/responses/input-tokens (read 2026-11).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.answer import AnswerContext
from jarvis_proxy.canonical.bounds import MAX_MESSAGES, check_length, check_values
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import TOOL_SEARCH
from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.sealed_conversation import ConversationSeal
from jarvis_proxy.canonical.validation_errors import (
    DECODE_ERRORS,
    from_decode_error,
    invalid,
    missing,
)
from jarvis_proxy.dialects.responses.answer import ResponseAnswer, ResponseOptions
from jarvis_proxy.dialects.responses.conversation import EarlierItems, earlier_items, with_referred
from jarvis_proxy.dialects.responses.input_items import JsonObject, LoadedTools, read_input
from jarvis_proxy.dialects.responses.param_map import ResponsesParams
from jarvis_proxy.dialects.responses.tools import CanonicalTools, chat_tools
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.responses_types import echo_of

_NOTHING_STORED: Final = (
    "This proxy stores no conversations, so '{}' leads to none. Send the whole conversation as "
    "'input'"
)
_ENCRYPTED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"
# These fields are equal in both APIs, including Google's own extensions.
_SAME: Final = (
    "temperature",
    "top_p",
    "top_k",
    "top_logprobs",
    "parallel_tool_calls",
    "service_tier",
    "prompt_cache_key",
    "tool_choice",
    "safety_settings",
    "safetySettings",
    "cached_content",
    "cachedContent",
    "google",
    "extra_body",
)

INPUT_TOKENS: Final = "responses/input_tokens"


class _Format(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    schema: Raw = Raw()
    description: str | None = None
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: Raw = Raw(b"null")


class _Reasoning(msgspec.Struct):
    effort: Raw = Raw(b"null")
    summary: str | None = None
    generate_summary: str | None = None


class _Request(msgspec.Struct):
    """The fields that are not simply passed on."""

    input: str | list[JsonObject] | None = None
    instructions: str | None = None
    include: list[str] | None = None
    max_output_tokens: Raw = Raw(b"null")
    max_tool_calls: int | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    tools: list[JsonObject] | None = None
    truncation: str | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    store: object = None
    conversation: object = None
    prompt: object = None


_REQUEST: Final = msgspec.json.Decoder(_Request)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])


class ResponsesDialect:
    """The Responses API; implements ``Dialect``. *new_id* returns 24 random letters and digits."""

    __slots__ = ("_new_id",)

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call*, to /v1/responses, as a canonical request.

        Raises:
            ProxyError: 400 with the param; `unsupported_parameter` if stored state would be needed;
                `unsupported_endpoint` for a model that answers in speech.
        """
        if features.speaks:
            message = "A response has no place for speech. Use /v1/chat/completions."
            raise ProxyError(400, message, code="unsupported_endpoint", param="model")
        request, options = read_request(
            call.body, features, strict=call.strict_params, seal=call.conversation_seal
        )
        context = AnswerContext(
            call_id=call.id, created=call.created, model=call.model, new_id=self._new_id
        )
        return DialectCall(request, partial(ResponseAnswer, context, options))


def read_request(
    body: bytes,
    features: ModelFeatures,
    *,
    strict: bool = False,
    seal: ConversationSeal | None = None,
) -> tuple[CanonicalRequest, ResponseOptions]:
    """Return a request's *body* as a chat request, and the form of its response.

    *strict* rejects what has no equivalent. With *seal*, ids of responses carry conversations.

    Raises:
        ProxyError: 400, as ``ResponsesDialect.read``.
    """
    request, fields, echo = _decode(body)
    _refuse_state(request, seal)
    if request.input is None:
        raise missing("input")
    if seal is not None:
        _resolve(request, fields, seal)
    earlier = _earlier(request, seal)
    ignored, loaded = _ignored(request, strict=strict), LoadedTools()
    messages, origins = read_input(
        request.input, request.instructions, ignored, loaded, earlier.items
    )
    chat = _chat(request, fields)
    chat["messages"] = messages
    tools = chat_tools(request.tools, loaded, ignored, draws=features.draws)
    params = _set_tools(chat, fields, tools)
    conversation = None
    if seal is not None and request.store is not False:
        conversation = earlier.begin(seal, fields["input"])
    sealed = _ENCRYPTED in (request.include or ()) or conversation is not None
    canonical = CanonicalRequest(
        body=msgspec.json.encode(chat),
        params=ResponsesParams(origins, params),
        ignored=ignored.names,
        show_thoughts=chat.get("include_thoughts") is True,
        sealed=sealed,
    )
    types = frozenset() if tools is None else frozenset(tools.client_types)
    return canonical, ResponseOptions(
        echo=echo,
        sealed=sealed,
        client_types=types,
        conversation=conversation,
        waits=conversation is not None and not _takes_last_id(request, seal),
    )


def _decode(body: bytes) -> tuple[_Request, dict[str, Raw], dict[str, Any]]:
    check_values(body)
    try:
        body = surrogates.replace_lone_surrogates(body)
        fields = _FIELDS.decode(body)
        return _REQUEST.decode(body), fields, echo_of(fields)
    except DECODE_ERRORS as exc:
        raise from_decode_error(exc) from exc


def _refuse_state(request: _Request, seal: ConversationSeal | None) -> None:
    """Reject fields that need a service with stored conversations.

    An empty reference, which some clients send, counts as none.
    """
    if request.previous_response_id and seal is None:
        message = (
            f"{_NOTHING_STORED.format('previous_response_id')}; most clients do so with "
            '"store": false. Or set RESPONSES_STATE=id at the proxy: then ids of responses carry '
            "their conversations."
        )
        raise invalid("previous_response_id", message, "unsupported_parameter")
    if request.conversation not in (None, ""):
        message = f"{_NOTHING_STORED.format('conversation')}."
        raise invalid("conversation", message, "unsupported_parameter")
    if request.prompt not in (None, ""):
        message = "Prompts stored at OpenAI cannot be read here. Send their text as 'instructions'."
        raise invalid("prompt", message, "unsupported_parameter")
    if request.background:
        message = (
            "A response in the background would have to be stored, and nothing is stored here."
        )
        raise invalid("background", message, "unsupported_parameter")


def _resolve(request: _Request, fields: dict[str, Raw], seal: ConversationSeal) -> None:
    """Replace references to sealed ids by their items."""
    if (whole := with_referred(fields["input"], seal)) is not None:
        fields["input"] = Raw(whole)
        request.input = msgspec.json.decode(whole)


def _takes_last_id(request: _Request, seal: ConversationSeal | None) -> bool:
    """Return whether the client continues from the id in a stream's last event, not its first.

    Other clients continue from the first id, and the helper of OpenAI's Python SDK raises if it
    changes: for them the events wait until the id is known. Agent Framework uses that helper for
    schemas.
    """
    form = None if request.text is None else request.text.format
    has_schema = form is not None and form.type == "json_schema"
    return seal is not None and seal.takes_last_id and not has_schema


def _earlier(request: _Request, seal: ConversationSeal | None) -> EarlierItems:
    """Return the items that *request* continues; reject too many items in total."""
    earlier = earlier_items(request.previous_response_id, seal)
    if isinstance(request.input, list):
        check_length("input", len(earlier.items) + len(request.input), MAX_MESSAGES)
    return earlier


def _chat(request: _Request, fields: dict[str, Raw]) -> dict[str, object]:
    """Return the fields of the chat request except messages and tools."""
    chat: dict[str, object] = {name: fields[name] for name in _SAME if name in fields}
    chat["max_completion_tokens"] = request.max_output_tokens
    if _LOGPROBS in (request.include or ()):
        chat["logprobs"] = True
    _set_reasoning(chat, request.reasoning)
    _set_text(chat, request.text)
    return chat


def _ignored(request: _Request, *, strict: bool) -> IgnoredParams:
    ignored = IgnoredParams(strict=strict)
    if request.max_tool_calls is not None:
        ignored.add_or_reject("max_tool_calls")
    if request.truncation not in (None, "", "disabled"):
        ignored.add_or_reject("truncation")
    return ignored


def _set_tools(
    chat: dict[str, object], fields: dict[str, Raw], found: CanonicalTools | None
) -> list[str]:
    """Set the tools; return the param of each."""
    if found is None:
        return []
    if found.paints:
        chat["modalities"] = ["text", "image"]
        # The choice could mean no other tool.
        chat.pop("tool_choice", None)
    chat["tools"] = found.tools
    if "tool_choice" in chat:
        chat["tool_choice"] = _choice(fields["tool_choice"], found)
    return found.params


def _choice(given: Raw, found: CanonicalTools) -> object:
    """Return a choice of a tool that the client runs as a choice of its function."""
    choice = msgspec.json.decode(given)
    kind = choice.get("type") if isinstance(choice, dict) else None
    if isinstance(kind, str) and kind in found.client_types and kind != TOOL_SEARCH:
        return {"type": "function", "name": kind}
    return given


def _set_reasoning(chat: dict[str, object], reasoning: _Reasoning | None) -> None:
    if reasoning is None:
        return
    chat["reasoning_effort"] = reasoning.effort
    if (reasoning.summary or reasoning.generate_summary) is not None:
        chat["include_thoughts"] = True


def _set_text(chat: dict[str, object], text: _Text | None) -> None:
    if text is None:
        return
    chat["verbosity"] = text.verbosity
    form = text.format
    if form is None:
        return
    wanted: dict[str, object] = {"type": form.type}
    if form.type == "json_schema":
        schema = form.schema if len(form.schema) else None
        wanted["json_schema"] = {
            "name": form.name,
            "schema": schema,
            "description": form.description,
            "strict": form.strict,
        }
    chat["response_format"] = wanted


def count_tokens(body: bytes, seal: ConversationSeal | None = None) -> bytes:
    """Return ``{"object":"response.input_tokens","input_tokens":N}``; *seal* as above.

    Raises:
        ProxyError: 400, as for ``POST /v1/responses``.
    """
    request, _ = read_request(body, ModelFeatures(), seal=seal)
    counted = {"object": "response.input_tokens", "input_tokens": estimate_tokens(request)}
    return msgspec.json.encode(counted)
