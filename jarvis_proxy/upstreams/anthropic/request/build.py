"""Converts the canonical request to the body of ``POST /v1/messages``. Pure.

Source: https://platform.claude.com/docs/en/api/messages (read 2026-11). Only fields written here
are ever sent: Anthropic answers 400 to unknown fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.bounds import check_links
from jarvis_proxy.canonical.chat_decoder import DecodedChat, chat_in, decode_chat
from jarvis_proxy.canonical.exchange import Media, Prerequisites
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.validation_errors import (
    check_range,
    invalid,
    missing,
    out_of_range,
    unknown_value,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.model_traits import ModelTraits, traits_of
from jarvis_proxy.upstreams.anthropic.recovery import NO_FALLBACKS, RequestFallbacks
from jarvis_proxy.upstreams.anthropic.request.cache_marks import mark_for_cache
from jarvis_proxy.upstreams.anthropic.request.content import ContentWriter, ImageUrls, links
from jarvis_proxy.upstreams.anthropic.request.messages import WrittenMessages, write_messages
from jarvis_proxy.upstreams.anthropic.request.schema import NotStructured, structured
from jarvis_proxy.upstreams.anthropic.request.thinking import (
    ThinkingWish,
    adaptive_fields,
    fitting_budget,
    read_wish,
    wanted_budget,
)
from jarvis_proxy.upstreams.anthropic.request.tool_choice import ToolChoice, write_tool_choice
from jarvis_proxy.upstreams.anthropic.request.tools import AnthropicTools, placeholder, read_tools
from jarvis_proxy.wire.work_budget import WorkBudget

JsonObject = dict[str, Any]

DEFAULT_MAX_TOKENS: Final = 32_000
"""Most tokens of an answer without a client's limit, in addition to those for thinking."""
_UNMAPPED: Final = ("seed", "logit_bias", "logprobs", "top_logprobs")
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_ONLY_JSON: Final = "Answer with JSON only, without code fences or other text."
_WITH_SCHEMA: Final = "The JSON must follow this JSON Schema:\n"


@dataclass(frozen=True, slots=True)
class MessagesPlan:
    """A request in its final form, and what is needed to read its answer.

    *ignored* are the canonical params that were left out.
    """

    body: bytes
    tools: AnthropicTools
    ignored: tuple[str, ...]


def needs(request: CanonicalRequest, image_urls: ImageUrls = "fetch") -> Prerequisites:
    """Return the links to download before ``write_request``, and the decoded request.

    Raises:
        ProxyError: 400 with a param of the canonical request.
    """
    decoded = decode_chat(request.body)
    found: list[str] = []
    if image_urls == "fetch":
        found = links(message.content for message in chat_in(decoded).messages)
    check_links(len(found))
    return Prerequisites(
        urls=tuple(dict.fromkeys(found)),
        decoded=decoded,
    )


def write_request(
    decoded: DecodedChat,
    model: str,
    *,
    stream: bool,
    media: Mapping[str, Media | ProxyError],
    image_urls: ImageUrls = "fetch",
    show_thoughts: bool = False,
    strict: bool = False,
    fallbacks: RequestFallbacks = NO_FALLBACKS,
) -> MessagesPlan:
    """Return the request for *model*, the upstream's name of the model.

    *media* holds, by URL, the downloads that ``needs`` requested, or their errors. *image_urls*:
    "fetch" uses *media*, "pass" gives links to Anthropic, "refuse" is 400. *strict* makes params
    without an equivalent errors; *fallbacks* result from earlier refusals.

    Raises:
        ProxyError: 400 with a param of the canonical request; or an error in *media*.
    """
    notes = IgnoredParams(strict=strict)
    content = ContentWriter(media, image_urls, notes)
    writer = _Writer(decoded, traits_of(model), notes, fallbacks)
    body = writer.write(content, show_thoughts=show_thoughts)
    body = {"model": model, **body, **({"stream": True} if stream else {})}
    return MessagesPlan(msgspec.json.encode(body), writer.tools, notes.names)


class _Writer:
    """One translation. Its steps are in the order of their dependencies."""

    __slots__ = ("_body", "_fallbacks", "_notes", "_request", "_traits", "_work", "tools")

    def __init__(
        self,
        decoded: DecodedChat,
        traits: ModelTraits,
        notes: IgnoredParams,
        fallbacks: RequestFallbacks,
    ) -> None:
        self._request = decoded.request
        self._traits = traits
        self._notes = notes
        self._fallbacks = fallbacks
        self._work = WorkBudget.for_body(decoded.size)
        self._body: JsonObject = {}
        self.tools = read_tools(self._request, notes)

    def write(self, content: ContentWriter, *, show_thoughts: bool) -> JsonObject:
        """Return the body, without ``model`` and ``stream``."""
        request, fallbacks = self._request, self._fallbacks
        self._check()
        choice = write_tool_choice(request, self.tools, self._notes)
        said = write_messages(
            request.messages,
            content,
            self.tools,
            self._notes,
            with_thinking=not fallbacks.no_past_thinking,
        )
        words = self._format()
        self._set_tools(said, choice)
        self._set_thinking(said, choice, show_thoughts=show_thoughts)
        self._set_sampling()
        self._set_stops()
        self._end(said)
        if words:
            said.system.append({"type": "text", "text": words})
        self._body["messages"] = said.turns
        if said.system:
            self._body["system"] = said.system
        if (tier := _TIERS.get(request.service_tier or "")) is not None:
            self._body["service_tier"] = tier
        mark_for_cache(self._body, request.cache_control, allowed=not fallbacks.no_cache)
        return self._body

    def _check(self) -> None:
        """Note params without an equivalent at Anthropic.

        Raises:
            ProxyError: 400, more than one choice is requested, or a value is out of its range.
        """
        request, notes = self._request, self._notes
        if request.n is not None and request.n != 1:
            message = "Claude models give one choice: 'n' must be 1."
            raise invalid("n", message, "unsupported_value")
        for name in _PENALTIES:
            if penalty := getattr(request, name):
                check_range(name, penalty, -2, 2)
                notes.add_or_reject(name)
        for name in _UNMAPPED:
            if getattr(request, name):
                notes.add_or_reject(name)
        if request.verbosity not in (None, "medium"):
            notes.add_or_reject("verbosity")
        if request.modalities and request.modalities != ["text"]:
            notes.add_or_reject("modalities")
        if request.audio is not None:
            notes.add_or_reject("audio")

    def _format(self) -> str:
        """Set the form of the answer; return it as text if it cannot be set."""
        wanted = self._request.response_format
        if wanted is None or wanted.type == "text":
            return ""
        if wanted.type not in ("json_schema", "json_object"):
            known = ("text", "json_object", "json_schema")
            raise unknown_value("response_format.type", wanted.type or "", known)
        schema: object = wanted.schema
        if wanted.type == "json_schema":
            if wanted.json_schema is None:
                raise missing("response_format.json_schema")
            schema = wanted.json_schema.schema
        if not isinstance(schema, dict) or not schema:
            return _ONLY_JSON
        try:
            if not self._traits.json_schema or self._fallbacks.free_schemas:
                raise NotStructured("not by this model")
            form = {"type": "json_schema", "schema": structured(schema, self._work)}
        except NotStructured:
            return f"{_ONLY_JSON} {_WITH_SCHEMA}{compact(schema)}"
        self._body["output_config"] = {"format": form}
        return ""

    def _set_tools(self, said: WrittenMessages, choice: ToolChoice) -> None:
        holds = self._traits.json_schema and not self._fallbacks.free_schemas
        written = self.tools.written(self._work, only=choice.only, strict=holds)
        if not written and said.called:
            # A history with calls requires tools. The client declares none, so none may be called.
            written = [placeholder(name) for name in said.called]
            choice.value = {"type": "none"}
        if written:
            self._body["tools"] = written
            if choice.value is not None:
                self._body["tool_choice"] = choice.value

    def _set_thinking(
        self, said: WrittenMessages, choice: ToolChoice, *, show_thoughts: bool
    ) -> None:
        wish = read_wish(self._request, show_thoughts=show_thoughts)
        kind = self._kind_of_thinking()
        limit = self._limit()
        if kind == "none" and wish.is_on:
            self._notes.add_or_reject(wish.param)
        elif kind == "adaptive":
            thinking, effort = adaptive_fields(wish)
            if self._fallbacks.thinking == "adaptive" and thinking == {"type": "disabled"}:
                thinking, effort = {"type": "adaptive", "display": "omitted"}, "low"
            self._set_effort(effort, wish.param)
            if thinking is not None:
                self._body["thinking"] = thinking
        elif kind == "budget":
            limit = self._set_budget(wish, limit, allowed=self._may_use_budget(said, choice))
        self._body["max_tokens"] = limit or min(DEFAULT_MAX_TOKENS, self._traits.output_limit)

    def _set_budget(self, wish: ThinkingWish, limit: int | None, *, allowed: bool) -> int | None:
        """Set a budget for thinking; return the limit, raised for it if the client sets none."""
        raised = min(DEFAULT_MAX_TOKENS + (wanted_budget(wish) or 0), self._traits.output_limit)
        budget = fitting_budget(wish, limit or raised) if allowed else None
        if budget is None:
            if wish.is_on:
                self._notes.add(wish.param)
            return limit
        self._body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        if wish.display == "omitted":
            self._body["thinking"]["display"] = "omitted"
        return limit or raised

    def _kind_of_thinking(self) -> str:
        match self._fallbacks.thinking:
            case "off":
                return "none"
            case "adaptive" | "budget" as kind:
                return kind
        return self._traits.thinking

    def _may_use_budget(self, said: WrittenMessages, choice: ToolChoice) -> bool:
        """Return whether Anthropic accepts a budget together with the rest of the request."""
        return said.may_think and not choice.forces and not self._fallbacks.no_past_thinking

    def _set_effort(self, effort: str | None, param: str) -> None:
        if effort is None:
            return
        if "effort" in self._fallbacks.without:
            self._notes.add(param)
            return
        if self._fallbacks.high_effort and effort in ("xhigh", "max"):
            effort = "high"
        self._body["output_config"] = {"effort": effort, **self._body.get("output_config", {})}

    def _limit(self) -> int | None:
        """Return the client's limit capped by the model's; None if the client sets none.

        Raises:
            ProxyError: 400, a limit below 1.
        """
        most = [self._traits.output_limit]
        if self._fallbacks.max_tokens is not None:
            most.append(self._fallbacks.max_tokens)
        for param in ("max_completion_tokens", "max_tokens"):
            limit: int | None = getattr(self._request, param)
            if limit is None:
                continue
            if limit < 1:
                raise out_of_range(param, limit, low=1)
            return min(limit, *most)
        return min(most) if len(most) > 1 else None

    def _set_sampling(self) -> None:
        """Set the sampling parameters that the model accepts.

        Raises:
            ProxyError: 400, a value out of OpenAI's range.
        """
        request = self._request
        asked: JsonObject = {}
        if request.temperature is not None:
            check_range("temperature", request.temperature, 0, 2)
            asked["temperature"] = min(request.temperature, 1)
        if request.top_p is not None:
            check_range("top_p", request.top_p, 0, 1)
            asked["top_p"] = request.top_p
        if request.top_k is not None and request.top_k >= 1:
            asked["top_k"] = int(request.top_k)
        for name, value in asked.items():
            if self._takes(name, value, asked):
                self._body[name] = value
            elif not (name in ("temperature", "top_p") and value == 1):
                self._notes.add_or_reject(name)

    def _takes(self, name: str, value: object, asked: JsonObject) -> bool:
        if not self._traits.samples or name in self._fallbacks.without:
            return False
        if self._body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
            return name == "temperature" and value == 1
        return not (name == "top_p" and "temperature" in asked and self._traits.one_sampler)

    def _set_stops(self) -> None:
        given = self._request.stop or []
        stops = [given] if isinstance(given, str) else given
        if kept := [stop for stop in stops if stop.strip()]:
            self._body["stop_sequences"] = kept

    def _end(self, said: WrittenMessages) -> None:
        """Add a user's turn at the end, unless the model can continue its own words."""
        if not said.ends_with_model:
            return
        thinks = self._body.get("thinking", {}).get("type") in ("enabled", "adaptive")
        has_form = "format" in self._body.get("output_config", {})
        if self._traits.prefill and not (thinks or has_form or self._fallbacks.user_last):
            said.trim_end()
            return
        said.end_with_user()
        self._notes.add_or_reject(f"messages[{said.last_model}].prefill")
