"""Converts a chat completions request to a Gemini generateContent request. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11). Google answers 400 to unknown
fields, so only fields of ``GenerateRequest`` are ever sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from jarvis_proxy.canonical.bounds import check_links
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.chat_decoder import DecodedChat, chat_in
from jarvis_proxy.canonical.exchange import Media, Prerequisites
from jarvis_proxy.canonical.function_names import FunctionNames, Member
from jarvis_proxy.canonical.history import strip_signature_suffix
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits, traits_of
from jarvis_proxy.upstreams.gemini.recovery import NO_FALLBACKS, RequestFallbacks
from jarvis_proxy.upstreams.gemini.request.content import ContentReader, ImageUrls, web_links
from jarvis_proxy.upstreams.gemini.request.generation_config import (
    choice_count,
    direct_speech,
    note_unmapped,
    service_tier,
    set_limits,
    set_logprobs,
    set_media,
    set_sampling,
)
from jarvis_proxy.upstreams.gemini.request.google_options import (
    read_google_options,
    safety_settings,
)
from jarvis_proxy.upstreams.gemini.request.messages import (
    GeminiContents,
    build_messages,
    results_last,
)
from jarvis_proxy.upstreams.gemini.request.output_format import set_format, set_modalities
from jarvis_proxy.upstreams.gemini.request.signature_lookup import (
    MESSAGE_ID,
    PLACEHOLDER,
    SignatureResolver,
)
from jarvis_proxy.upstreams.gemini.request.thinking import thinking_config, thinking_param
from jarvis_proxy.upstreams.gemini.request.tool_choice import tool_config
from jarvis_proxy.upstreams.gemini.request.tools import ToolPlan, read_tools
from jarvis_proxy.upstreams.gemini.request.types import (
    Content,
    GenerateRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    SystemInstruction,
    ThinkingConfig,
    ToolConfig,
)
from jarvis_proxy.upstreams.gemini.signature_store import SignatureStore
from jarvis_proxy.wire.work_budget import WorkBudget

__all__ = ["PLACEHOLDER", "RequestFallbacks", "TranslatedRequest", "build_chat", "needs"]


@dataclass(frozen=True, slots=True)
class TranslatedRequest:
    """An upstream request, and what is needed to translate its answer."""

    body: bytes
    """The generateContent request as JSON in camelCase."""
    choice_count: int
    """``n``: the number of upstream requests, with one choice each."""
    ignored: tuple[str, ...]
    """Parameters and parts of messages without an equivalent, in printable ASCII."""
    names: FunctionNames
    """The client's function names, and the upstream's where they differ."""
    custom_tools: frozenset[str | Member]
    """The client's names of tools of type "custom"."""
    legacy_functions: bool
    """Whether the client declared ``functions``, whose calls have no ids."""
    first_call_only: bool
    """Whether the request has ``parallel_tool_calls: false``, or ``functions``."""
    signature_sources: Mapping[str, int]
    """How many signatures came back in each way.

    The ways are extra_content, reasoning_details, provider_fields, id, store, placeholder.
    """


def needs(decoded: Decoded, image_urls: ImageUrls = "fetch") -> Prerequisites:
    """Return the links to download and the ids to look up before ``build_chat``.

    Raises:
        ProxyError: 400, there are too many links.
    """
    request = chat_in(decoded)
    contents = [
        message.content
        for message in request.messages
        if message.role not in ("system", "developer")
    ]
    calls = (
        strip_signature_suffix(past.id or "")
        for m in request.messages
        for past in m.tool_calls or ()
    )
    said = (message.id for message in request.messages)
    texts = (name for name in said if isinstance(name, str) and name.startswith(MESSAGE_ID))
    links = web_links(contents) if image_urls == "fetch" else []
    check_links(len(links))
    return Prerequisites(
        urls=tuple(dict.fromkeys(links)),
        call_ids=tuple(dict.fromkeys(filter(None, (*calls, *texts)))),
        decoded=decoded,
    )


def build_chat(
    call: Call,
    decoded: Decoded,
    *,
    signatures: SignatureStore,
    media: Mapping[str, Media | ProxyError],
    image_urls: ImageUrls = "fetch",
    fallbacks: RequestFallbacks = NO_FALLBACKS,
) -> TranslatedRequest:
    """Return the upstream request for a chat request to a Gemini model.

    *signatures* holds those of earlier tool calls; *media* holds, by URL, the downloads that
    ``needs`` requested, or their errors. *image_urls*: "fetch" uses *media*, "pass" gives links to
    Google, "refuse" is 400. *decoded* holds a ``DecodedChat``, which this takes out.

    Raises:
        ProxyError: 400 with the param in OpenAI's form; or an error in *media*.
    """
    job = _RequestBuilder(call, fallbacks, decoded)
    reader = ContentReader(job.traits, media, image_urls, refused=fallbacks.refused_types)
    request, plan = _translate(job, signatures=signatures, reader=reader)
    # Free the decoded request before an object of the same size is encoded.
    del job
    return replace(plan, body=msgspec.json.encode(request))


def _translate(
    job: "_RequestBuilder", *, signatures: SignatureStore, reader: ContentReader
) -> tuple[GenerateRequest, TranslatedRequest]:
    """Return the upstream request, and the plan without its body."""
    request = job.request
    count = choice_count(request)
    resolver = SignatureResolver(
        job.traits, signatures, job.now, sentinel_only=job.fallbacks.sentinel_signatures
    )
    plan = job.tools()
    choice = job.tool_config(plan)
    conversation = job.contents(plan.names, reader, resolver)
    answer = job.answer(with_tools=plan.tools() is not None, resolution=reader.resolution)
    conversation.system += answer.instructions
    body = GenerateRequest(
        conversation.contents,
        _system_instruction(conversation, job.traits),
        plan.tools(),
        choice,
        job.safety(),
        answer.config if answer.config != GenerationConfig() else None,
        job.cached_content(),
        service_tier(request, job.ignored),
    )
    _check_cache(body)
    return body, TranslatedRequest(
        body=b"",
        choice_count=count,
        ignored=job.ignored.names,
        names=plan.names,
        custom_tools=plan.custom,
        legacy_functions=plan.legacy,
        first_call_only=request.parallel_tool_calls is False or plan.legacy,
        signature_sources=dict(resolver.sources),
    )


@dataclass(slots=True)
class _OutputSpec:
    """The requested form of the answer; *instructions* say as text what no field can."""

    config: GenerationConfig = field(default_factory=GenerationConfig)
    instructions: list[str] = field(default_factory=list)


class _RequestBuilder:
    """One translation: the request, and the state that all of its steps share."""

    __slots__ = (
        "_show_thoughts",
        "fallbacks",
        "ignored",
        "now",
        "options",
        "request",
        "traits",
        "work",
    )

    def __init__(self, call: Call, fallbacks: RequestFallbacks, decoded: Decoded) -> None:
        self.now = call.now
        self._show_thoughts = call.show_thoughts and fallbacks.own_thoughts
        self.fallbacks = fallbacks
        taken = decoded.take()
        assert isinstance(taken, DecodedChat)  # noqa: S101 - it was not taken yet
        self.request = taken.request
        self.traits = fallbacks.traits(traits_of(call.target_model))
        self.ignored = IgnoredParams(strict=call.strict_params)
        self.work = WorkBudget.for_body(taken.size)
        self.options = read_google_options(self.request, self.ignored)

    def tools(self) -> ToolPlan:
        """Return the tools that the request declares."""
        form, work = self.fallbacks.schemas, self.work
        return read_tools(self.request, self.traits, self.ignored, form=form, work=work)

    def tool_config(self, plan: ToolPlan) -> ToolConfig | None:
        """Return which of the tools in *plan* the model may or must call."""
        soft, free = self.fallbacks.soft_choice, self.fallbacks.free_choice
        return tool_config(self.request, plan, self.traits, self.ignored, soft=soft, free=free)

    def contents(
        self, names: FunctionNames, reader: ContentReader, resolver: SignatureResolver
    ) -> GeminiContents:
        """Return the converted messages; *names* are the functions' names."""
        conversation = build_messages(
            self.request.messages,
            traits=self.traits,
            reader=reader,
            resolver=resolver,
            names=names,
            ignored=self.ignored,
        )
        if self.fallbacks.user_last and results_last(conversation.contents):
            self.ignored.add("messages.order")
        return conversation

    def answer(self, *, with_tools: bool, resolution: str | None) -> _OutputSpec:
        """Return the form of the answer that the request asks for."""
        request, traits, ignored = self.request, self.traits, self.ignored
        answer = _OutputSpec()
        config = answer.config
        set_sampling(config, request, self.options, traits, ignored)
        set_limits(config, request, traits)
        set_logprobs(config, request, traits, ignored)
        words = set_format(
            config,
            request,
            traits,
            ignored,
            with_tools=with_tools,
            form=self.fallbacks.schemas,
            work=self.work,
        )
        if words is not None:
            answer.instructions.append(words)
        set_modalities(config, request, self.options, traits, ignored)
        set_media(config, self.options, traits, ignored, resolution=resolution)
        config.thinking_config = self._thinking()
        note_unmapped(request, ignored)
        return answer

    def _thinking(self) -> ThinkingConfig | None:
        request, ignored = self.request, self.ignored
        show = self._show_thoughts
        config = thinking_config(request, self.options, self.traits, ignored, show_thoughts=show)
        if config is None or not self.fallbacks.no_thinking:
            return config
        if (param := thinking_param(request, self.options)) is not None:
            ignored.add(param)
        return None

    def safety(self) -> list[SafetySetting] | None:
        """Return the safety settings from the first of their possible fields."""
        options = self.options
        for param, value in (
            ("safety_settings", self.request.safety_settings),
            ("safetySettings", self.request.safety_settings_camel),
            (f"{options.param}.safety_settings", options.safety_settings),
        ):
            if value is not None:
                return safety_settings(value, param, self.ignored)
        return None

    def cached_content(self) -> str | None:
        """Return the name of the cache to use."""
        request = self.request
        return request.cached_content or request.cached_content_camel or self.options.cached_content


def _check_cache(body: GenerateRequest) -> None:
    others = body.system_instruction or body.tools or body.tool_config
    if body.cached_content is not None and others is not None:
        message = "cached_content holds the system instruction and tools; send none with it."
        raise invalid("cached_content", message)


def _system_instruction(
    conversation: GeminiContents, traits: ModelTraits
) -> SystemInstruction | None:
    """Return the system's texts; models without a system role get them in the first turn."""
    parts = [Part(text=text) for text in conversation.system]
    if not parts:
        return None
    if traits.system_instruction:
        return SystemInstruction(parts)
    if "AUDIO" in traits.outputs:
        direct_speech(conversation.contents, conversation.system, traits)
        return None
    first = conversation.contents[0]
    if first.role == "user":
        first.parts[:0] = parts
    else:
        conversation.contents.insert(0, Content("user", parts))
    return None
