"""Converts a Messages request to the canonical request. Pure.

Source: https://docs.claude.com/en/api/messages (read 2026-11).
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from jarvis_proxy.canonical.bounds import MAX_MESSAGES, check_length, check_values
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.validation_errors import DECODE_ERRORS, from_decode_error
from jarvis_proxy.dialects.messages.blocks import JsonObject
from jarvis_proxy.dialects.messages.history import read_history
from jarvis_proxy.dialects.messages.param_map import MessagesParams
from jarvis_proxy.dialects.messages.tools import chat_tools, set_tools
from jarvis_proxy.dialects.messages.types import (
    Format,
    OutputConfig,
    Request,
    Thinking,
    is_given,
)
from jarvis_proxy.dialects.messages.validation import (
    from_msgspec_error,
    missing,
    refused,
    required,
    unknown_type,
)
from jarvis_proxy.wire import text as surrogates

_T = TypeVar("_T")
_SAME: Final = (
    ("max_tokens", "max_completion_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
)
_EMPTY: Final = msgspec.Raw(b"[]")
_THINKING: Final = ("enabled", "adaptive", "disabled", "between_tools")
_REQUEST: Final = msgspec.json.Decoder(Request)


class MessagesRequest(CanonicalRequest, frozen=True, kw_only=True):
    """A canonical request that was a Messages request.

    The inherited *sealed* is True if the client asked for thinking. *warms_cache*: it wants no
    answer (``max_tokens: 0``), so no upstream is asked.
    """

    warms_cache: bool = False


def read_request(
    body: bytes,
    *,
    strict: bool = False,
    counts_only: bool = False,
    most_stops: int | None = None,
) -> MessagesRequest:
    """Return the body of ``POST /v1/messages`` as a canonical request.

    *strict* rejects what has no equivalent, instead of ignoring it. *counts_only*: this is a body
    of ``count_tokens``, which needs no ``max_tokens``. The model takes *most_stops* stop sequences;
    clients of this API may send more.

    Raises:
        ProxyError: 400 in Anthropic's wording, with the path as param; `invalid_json`.
    """
    check_values(body)
    request = _decoding(lambda: _REQUEST.decode(surrogates.replace_lone_surrogates(body)))
    required(request.model, "model")
    limit = request.max_tokens if counts_only else required(request.max_tokens, "max_tokens")
    if limit is not None and limit < 0:
        raise refused("max_tokens", "Input should be greater than or equal to 0")
    if not request.messages:
        raise refused("messages", "at least one message is required")
    check_length("messages", len(request.messages), MAX_MESSAGES)
    return _decoding(lambda: _canonical(request, IgnoredParams(strict=strict), most_stops))


def _decoding(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except msgspec.ValidationError as exc:
        raise from_msgspec_error(exc) from exc
    except DECODE_ERRORS as exc:
        raise from_decode_error(exc) from exc


def _canonical(request: Request, ignored: IgnoredParams, most_stops: int | None) -> MessagesRequest:
    messages, places = read_history(request.system, request.messages, ignored)
    tools = chat_tools(request.tools, ignored)
    chat: JsonObject = {"messages": messages}
    for name, ours in _SAME:
        if (value := getattr(request, name)) is not None:
            chat[ours] = value
    if stops := [stop for stop in request.stop_sequences or () if stop.strip()]:
        if most_stops is not None and len(stops) > most_stops:
            ignored.add_or_reject("stop_sequences")
        chat["stop"] = stops[:most_stops]
    if is_given(request.cache_control):
        chat["cache_control"] = request.cache_control
    set_tools(chat, tools, request.tool_choice, ignored)
    _set_thinking(chat, request)
    _set_format(chat, request)
    for name in ("container", "mcp_servers"):
        if is_given(value := getattr(request, name)) and value != _EMPTY:
            ignored.add_or_reject(name)
    return MessagesRequest(
        body=msgspec.json.encode(chat),
        params=MessagesParams(places, tools.paths),
        ignored=ignored.names,
        show_thoughts=_shows(request.thinking),
        sealed=_thinks(request.thinking),
        warms_cache=request.max_tokens == 0,
    )


def _thinks(thinking: Thinking | None) -> bool:
    return thinking is not None and thinking.type != "disabled"


def _shows(thinking: Thinking | None) -> bool:
    """Return whether to show thoughts: by default with ``enabled``, otherwise only on request."""
    if thinking is None or thinking.type == "disabled" or thinking.display == "omitted":
        return False
    return thinking.type == "enabled" or thinking.display is not None


def _set_thinking(chat: JsonObject, request: Request) -> None:
    thinking, config = request.thinking, request.output_config or OutputConfig()
    chat["include_thoughts"] = _shows(thinking)
    if thinking is not None:
        if thinking.type not in _THINKING:
            thinking = msgspec.structs.replace(thinking, type="adaptive")
        chat["thinking"] = thinking
    if config.effort is not None and (thinking is None or thinking.type != "disabled"):
        chat["reasoning_effort"] = config.effort


def _set_format(chat: JsonObject, request: Request) -> None:
    config, path = request.output_config, "output_config.format"
    wanted = config.format if config is not None and config.format else request.output_format
    if wanted is None:
        return
    if wanted.type != "json_schema":
        raise unknown_type(path, wanted.type, ("json_schema",))
    chat["response_format"] = {"type": "json_schema", "json_schema": _json_schema(wanted, path)}


def _json_schema(wanted: Format, path: str) -> JsonObject:
    if not is_given(wanted.schema):
        raise missing(f"{path}.schema")
    strict = is_strict(msgspec.json.decode(wanted.schema))
    return {"name": "answer", "schema": wanted.schema, "strict": strict}


def is_strict(schema: object) -> bool:
    """Return whether OpenAI accepts *schema* as strict.

    Then every object in it requires all of its properties, and allows no others.
    """
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            left += value.values()
            if not _is_closed(value):
                return False
    return True


def _is_closed(schema: dict[str, Any]) -> bool:
    properties, needed = schema.get("properties"), schema.get("required", [])
    if schema.get("type") != "object" and not isinstance(properties, dict):
        return True
    if schema.get("additionalProperties") is not False or not isinstance(needed, list):
        return False
    return set(properties if isinstance(properties, dict) else ()) <= {str(name) for name in needed}
