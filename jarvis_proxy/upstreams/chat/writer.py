"""Converts the canonical request to the body for a chat completions upstream. Pure.

Only fields listed here are ever sent: services answer 400 to unknown fields.

Source: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.chat_decoder import parse_chat
from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.content import ContentWriter
from jarvis_proxy.upstreams.chat.messages import MessageWriter, WrittenMessage
from jarvis_proxy.upstreams.chat.recovery import (
    CHOICE,
    FORMAT,
    LIMITS,
    NO_FALLBACKS,
    REASONING,
    STRICT,
    RequestFallbacks,
)
from jarvis_proxy.upstreams.chat.target import ChatTarget
from jarvis_proxy.upstreams.chat.thinking import DISABLED, thinking_fields
from jarvis_proxy.upstreams.chat.tool_choice import write_tool_choice
from jarvis_proxy.upstreams.chat.tools import ChatTools, read_tools
from jarvis_proxy.upstreams.json_values import fields_of, items_of
from jarvis_proxy.wire import text as surrogates

JsonObject = dict[str, Any]

_SAME: Final = (
    "top_p",
    "seed",
    "n",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
)
_OPENAIS: Final = ("prompt_cache_key", "verbosity")
_OPENAIS_STOPS: Final = 4
_NULL: Final = b"null"
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9_-]")
_MAX_FORMAT_NAME: Final = 64
_FORMAT_KEYS: Final = ("description", "schema", "strict")
_MAX_LOGPROBS: Final = 20
_OFF: Final = ("OFF", "BLOCK_NONE")
_NO_MEDIA: Final[Mapping[str, Media | ProxyError]] = MappingProxyType({})
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_SCHEMA_WORDS: Final = (
    "Answer with one JSON object and nothing else. It must match this JSON schema:\n"
)


@dataclass(frozen=True, slots=True)
class ChatPlan:
    """A request in its final form, and what is needed to read its answer.

    *sent* are the names of its parameters, and ``strict`` and ``reasoning_content`` if these occur
    anywhere inside. *origins* are the indices of the canonical messages behind those sent.
    *ignored* are the canonical params that were left out.
    """

    body: bytes
    sent: frozenset[str]
    tools: ChatTools
    origins: tuple[int, ...]
    ignored: tuple[str, ...]
    stops: tuple[str, ...]
    one_call: bool


def write_chat(
    body: bytes,
    target: ChatTarget,
    *,
    stream: bool,
    strict: bool = False,
    fallbacks: RequestFallbacks = NO_FALLBACKS,
    media: Mapping[str, Media | ProxyError] = _NO_MEDIA,
) -> ChatPlan:
    """Return the canonical request *body* in the form for *target*.

    *strict* makes params without an equivalent errors; *fallbacks* result from earlier refusals;
    *media* is what links to files lead to.

    Raises:
        ProxyError: 400 with a param of the canonical request.
    """
    return _Writer(body, target, strict=strict, fallbacks=fallbacks, media=media).plan(stream)


def _decode(body: bytes) -> tuple[ChatRequest, dict[str, Raw]]:
    request = parse_chat(body).request
    fields = surrogates.decode(_FIELDS, body)
    return request, {name: value for name, value in fields.items() if bytes(value) != _NULL}


class _Writer:
    __slots__ = (
        "_fallbacks",
        "_fields",
        "_media",
        "_notes",
        "_out",
        "_request",
        "_target",
        "_words",
    )

    def __init__(
        self,
        body: bytes,
        target: ChatTarget,
        *,
        strict: bool,
        fallbacks: RequestFallbacks,
        media: Mapping[str, Media | ProxyError],
    ) -> None:
        self._media = media
        self._request, self._fields = _decode(body)
        self._target = target
        self._fallbacks = fallbacks
        self._notes = IgnoredParams(strict=strict)
        self._out: JsonObject = {"model": target.model}
        self._words = ""
        """Text to add to the system message."""

    def plan(self, stream: bool) -> ChatPlan:
        tools = read_tools(self._request, self._notes, native_custom=self._target.is_openai)
        self._sampling()
        self._limit()
        stops = self._stops()
        self._thinking()
        self._format()
        one_call = self._tools(tools)
        if stream:
            self._out["stream"] = True
            self._put("stream_options", {"include_usage": True})
        messages = self._messages(tools)
        return ChatPlan(
            body=msgspec.json.encode(self._out | {"messages": [m.message for m in messages]}),
            sent=self._sent(messages),
            tools=tools,
            origins=tuple(written.origin for written in messages),
            ignored=self._notes.names,
            stops=stops,
            one_call=one_call,
        )

    def _put(self, name: str, value: object, *, asked: str | None = None) -> None:
        """Set a field, unless the upstream is known to reject it.

        *asked* is the client's parameter that would be lost.
        """
        if name not in self._fallbacks.without:
            self._out[name] = value
        elif asked is not None:
            self._notes.add(asked)

    def _copy(self, *names: str) -> None:
        for name in names:
            if name in self._fields:
                self._put(name, self._fields[name], asked=name)

    def _sampling(self) -> None:
        target, request = self._target, self._request
        if not target.is_openais_reasoning_model:
            self._copy("temperature")
        elif request.temperature not in (None, 1):
            self._notes.add_or_reject("temperature")
        self._copy(*_SAME)
        if request.top_logprobs is not None:
            if request.top_logprobs > _MAX_LOGPROBS:
                self._notes.add_or_reject("top_logprobs")
            self._put("top_logprobs", min(request.top_logprobs, _MAX_LOGPROBS))
        self._googles()
        if not target.is_openai:
            self._copy("top_k")
            return
        if request.top_k is not None:
            self._notes.add_or_reject("top_k")
        self._copy(*_OPENAIS)
        if target.takes_tier(request.service_tier):
            self._copy("service_tier")

    def _googles(self) -> None:
        """Note params that only Gemini supports."""
        request = self._request
        ratings = map(fields_of, items_of(request.safety_settings or request.safety_settings_camel))
        if any(rating.get("threshold") not in _OFF for rating in ratings):
            self._notes.add_or_reject("safety_settings")
        if request.cached_content or request.cached_content_camel:
            self._notes.add_or_reject("cached_content")
        if request.google:
            self._notes.add_or_reject("google")

    def _limit(self) -> None:
        given = [self._fields[name] for name in reversed(LIMITS) if name in self._fields]
        name = self._target.limit_name
        if self._fallbacks.other_limit:
            name = next(other for other in LIMITS if other != name)
        if given:
            self._out[name] = given[0]

    def _stops(self) -> tuple[str, ...]:
        given = self._request.stop or []
        stops = [given] if isinstance(given, str) else given
        if self._target.is_openai and len(stops) > _OPENAIS_STOPS:
            self._notes.add_or_reject("stop")
            stops = stops[:_OPENAIS_STOPS]
        if stops:
            self._put("stop", stops, asked="stop")
        return tuple(stops)

    def _thinking(self) -> None:
        if self._fallbacks.no_thinking:
            self._out["thinking"] = DISABLED
            return
        for name, value in thinking_fields(self._request, self._target).items():
            self._put(name, value, asked=name)

    def _format(self) -> None:
        form = self._request.response_format
        if form is None or form.type not in ("json_schema", "json_object"):
            return
        written = msgspec.json.decode(self._fields[FORMAT])
        inner = written.get("json_schema")
        if form.type == "json_schema" and isinstance(inner, dict):
            if self._fallbacks.schema_as_words:
                schema = msgspec.json.encode(inner.get("schema") or {}).decode()
                self._words, written = _SCHEMA_WORDS + schema, {"type": "json_object"}
            else:
                written = {"type": "json_schema", "json_schema": _named(inner)}
        else:
            written = {"type": "json_object"}
        self._put(FORMAT, written)

    def _tools(self, tools: ChatTools) -> bool:
        """Set the tools and their use; return whether only one call may be passed on."""
        is_openai = self._target.is_openai
        choice = write_tool_choice(
            self._request.tool_choice, tools, self._notes, lists_tools=is_openai
        )
        if not tools:
            return False
        strict = STRICT not in self._fallbacks.without
        self._out["tools"] = tools.written(only=choice.only, strict=strict)
        if choice.value is not None:
            value = choice.value
            if self._fallbacks.free_choice and value not in ("auto", "none"):
                value = "auto"
                self._notes.add(CHOICE)
            self._out[CHOICE] = value
        if is_openai:
            self._copy("parallel_tool_calls")
        sends_it = "parallel_tool_calls" in self._out
        return self._request.parallel_tool_calls is False and not sends_it

    def _messages(self, tools: ChatTools) -> list[WrittenMessage]:
        target = self._target
        wants_reasoning = REASONING not in self._fallbacks.without
        writer = MessageWriter(
            ContentWriter(self._notes, is_openai=target.is_openai, media=self._media),
            tools,
            self._notes,
            owner=target.owner if wants_reasoning else None,
            native_custom=target.is_openai,
        )
        return writer.write(self._request.messages, self._words)

    def _sent(self, messages: list[WrittenMessage]) -> frozenset[str]:
        sent = set(self._out)
        if any(REASONING in written.message for written in messages):
            sent.add(REASONING)
        functions = (tool.get("function", {}) for tool in self._out.get("tools", ()))
        if any(STRICT in function for function in functions):
            sent.add(STRICT)
        return frozenset(sent)


def _named(inner: JsonObject) -> JsonObject:
    """Return ``json_schema`` with the required name, and without null fields."""
    name = inner.get("name")
    legal = _ILLEGAL.sub("_", name)[:_MAX_FORMAT_NAME] if isinstance(name, str) else ""
    given = {key: value for key, value in inner.items() if value is not None}
    named: JsonObject = {"name": legal or "answer"}
    return named | {key: given[key] for key in _FORMAT_KEYS if key in given}
