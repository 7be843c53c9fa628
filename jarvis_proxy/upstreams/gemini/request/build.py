"""A chat completions request → a Gemini generateContent request. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11). Google answers 400 to a field
that it does not know, so only fields of ``GenerateRequest`` are ever sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from jarvis_proxy.canonical.bounds import (
    check_links,
)
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.call_ids import bare_id
from jarvis_proxy.canonical.chat_decoder import DecodedChat, chat_in
from jarvis_proxy.canonical.exchange import Decoded, Media, Prerequisites
from jarvis_proxy.canonical.function_names import FunctionNames, Member
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits, knowledge
from jarvis_proxy.upstreams.gemini.recovery import NOTHING_RELAXED, Relaxation
from jarvis_proxy.upstreams.gemini.request.content import ContentReader, ImageUrls, web_links
from jarvis_proxy.upstreams.gemini.request.generation_config import (
    lanes,
    note_unmapped,
    service_tier,
    set_limits,
    set_logprobs,
    set_media,
    set_sampling,
)
from jarvis_proxy.upstreams.gemini.request.google_options import read_extension, safety_settings
from jarvis_proxy.upstreams.gemini.request.messages import (
    Conversation,
    build_messages,
    results_last,
)
from jarvis_proxy.upstreams.gemini.request.output_format import set_format, set_modalities
from jarvis_proxy.upstreams.gemini.request.signature_lookup import (
    MESSAGE_ID,
    SENTINEL,
    Signer,
)
from jarvis_proxy.upstreams.gemini.request.thinking import asked_with, thinking_config
from jarvis_proxy.upstreams.gemini.request.tool_choice import tool_config
from jarvis_proxy.upstreams.gemini.request.tools import read_tools
from jarvis_proxy.upstreams.gemini.request.types import (
    Content,
    GenerateRequest,
    GenerationConfig,
    Part,
    SafetySetting,
    SystemInstruction,
    ThinkingConfig,
)
from jarvis_proxy.upstreams.gemini.signature_store import SignatureVault
from jarvis_proxy.wire.work_budget import WorkBudget

__all__ = ["SENTINEL", "ChatPlan", "Relaxation", "build_chat", "needs"]


@dataclass(frozen=True, slots=True)
class ChatPlan:
    """An upstream request, and what the way back must know of it."""

    body: bytes
    """JSON of the generateContent request, camelCase."""
    lanes: int
    """``n``: upstream calls, one choice each."""
    ignored: tuple[str, ...]
    """Parameters, and parts of messages, without an equivalent; printable ASCII."""
    names: FunctionNames
    """The client's function names, and the upstream's where they differ."""
    custom_tools: frozenset[str | Member]
    """The client's names of tools of type "custom"."""
    legacy_functions: bool
    """The client declared ``functions``: its calls have no ids."""
    first_call_only: bool
    """``parallel_tool_calls: false``, or ``functions``."""
    signature_sources: Mapping[str, int]
    """How each signature came back: extra_content, reasoning_details, provider_fields, id, vault,
    sentinel → count."""


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
    calls = (bare_id(past.id or "") for m in request.messages for past in m.tool_calls or ())
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
    vault: SignatureVault,
    media: Mapping[str, Media | ProxyError],
    image_urls: ImageUrls = "fetch",
    relaxation: Relaxation = NOTHING_RELAXED,
) -> ChatPlan:
    """Return the upstream request for a chat request to a Gemini model.

    *vault* knows the signatures of earlier tool calls; *media* holds, by URL, what ``needs`` asked
    for or why it could not be had. *image_urls*: "fetch" takes *media*, "pass" gives links to
    Google, "refuse" is 400. *decoded* holds a ``DecodedChat``, which is taken out of it.

    Raises:
        ProxyError: 400 with the param in OpenAI's form; whatever stands in *media*.
    """
    job = _Job(call, relaxation, decoded)
    reader = ContentReader(job.traits, media, image_urls, refused=relaxation.refused_types)
    request, plan = _translate(job, vault=vault, reader=reader)
    # What was decoded is let go of before as much again is made of it.
    del job
    return replace(plan, body=msgspec.json.encode(request))


def _translate(
    job: "_Job", *, vault: SignatureVault, reader: ContentReader
) -> tuple[GenerateRequest, ChatPlan]:
    """Return the upstream request, and the plan without its body."""
    request, traits, notes = job.request, job.traits, job.notes
    count = lanes(request)
    relaxation = job.relaxation
    signer = Signer(traits, vault, job.now, sentinel_only=relaxation.sentinel_signatures)
    plan = read_tools(request, traits, notes, form=relaxation.schemas, work=job.work)
    soft, free = relaxation.soft_choice, relaxation.free_choice
    choice = tool_config(request, plan, traits, notes, soft=soft, free=free)
    conversation = build_messages(
        request.messages,
        traits=traits,
        reader=reader,
        signer=signer,
        names=plan.names,
        notes=notes,
    )
    if relaxation.user_last and results_last(conversation.contents):
        notes.add("messages.order")
    answer = job.answer(with_tools=plan.tools() is not None, resolution=reader.resolution)
    conversation.system += answer.instructions
    body = GenerateRequest(
        conversation.contents,
        _system_instruction(conversation, traits),
        plan.tools(),
        choice,
        job.safety(),
        answer.config if answer.config != GenerationConfig() else None,
        job.cached_content(),
        service_tier(request, notes),
    )
    _check_cache(body)
    return body, ChatPlan(
        body=b"",
        lanes=count,
        ignored=notes.names,
        names=plan.names,
        custom_tools=plan.custom,
        legacy_functions=plan.legacy,
        first_call_only=request.parallel_tool_calls is False or plan.legacy,
        signature_sources=dict(signer.sources),
    )


@dataclass(slots=True)
class _Answer:
    """The answer as it was asked for; *instructions* say in words what no field can."""

    config: GenerationConfig = field(default_factory=GenerationConfig)
    instructions: list[str] = field(default_factory=list)


class _Job:
    """One translation: the request with what every step of it looks at."""

    __slots__ = (
        "_show_thoughts",
        "extension",
        "notes",
        "now",
        "relaxation",
        "request",
        "traits",
        "work",
    )

    def __init__(self, call: Call, relaxation: Relaxation, decoded: Decoded) -> None:
        self.now = call.now
        self._show_thoughts = call.show_thoughts and relaxation.own_thoughts
        self.relaxation = relaxation
        taken = decoded.take()
        assert isinstance(taken, DecodedChat)  # noqa: S101 - nobody else has taken it
        self.request = taken.request
        self.traits = relaxation.traits(knowledge(call.target_model))
        self.notes = IgnoredParams(strict=call.strict_params)
        self.work = WorkBudget.for_body(taken.size)
        self.extension = read_extension(self.request, self.notes)

    def answer(self, *, with_tools: bool, resolution: str | None) -> _Answer:
        """Return what the request says about the answer."""
        request, traits, notes = self.request, self.traits, self.notes
        answer = _Answer()
        config = answer.config
        set_sampling(config, request, self.extension, traits, notes)
        set_limits(config, request, traits)
        set_logprobs(config, request, traits, notes)
        words = set_format(
            config,
            request,
            traits,
            notes,
            with_tools=with_tools,
            form=self.relaxation.schemas,
            work=self.work,
        )
        if words is not None:
            answer.instructions.append(words)
        set_modalities(config, request, self.extension, traits, notes)
        set_media(config, self.extension, traits, notes, resolution=resolution)
        config.thinking_config = self._thinking()
        note_unmapped(request, notes)
        return answer

    def _thinking(self) -> ThinkingConfig | None:
        request, notes = self.request, self.notes
        show = self._show_thoughts
        config = thinking_config(request, self.extension, self.traits, notes, show_thoughts=show)
        if config is None or not self.relaxation.no_thinking:
            return config
        if (param := asked_with(request, self.extension)) is not None:
            notes.add(param)
        return None

    def safety(self) -> list[SafetySetting] | None:
        """Return the safety settings, from the first of the places where they may stand."""
        extension = self.extension
        for param, value in (
            ("safety_settings", self.request.safety_settings),
            ("safetySettings", self.request.safety_settings_camel),
            (f"{extension.param}.safety_settings", extension.safety_settings),
        ):
            if value is not None:
                return safety_settings(value, param, self.notes)
        return None

    def cached_content(self) -> str | None:
        """Return the name of the cache to start from."""
        request = self.request
        return (
            request.cached_content or request.cached_content_camel or self.extension.cached_content
        )


def _check_cache(body: GenerateRequest) -> None:
    beside = body.system_instruction or body.tools or body.tool_config
    if body.cached_content is not None and beside is not None:
        message = "cached_content holds the system instruction and tools; send none beside it."
        raise invalid("cached_content", message)


def _system_instruction(
    conversation: Conversation, traits: ModelTraits
) -> SystemInstruction | None:
    """Return the system's texts; models that know no system get them first of all instead."""
    parts = [Part(text=text) for text in conversation.system]
    if not parts:
        return None
    if traits.system_instruction:
        return SystemInstruction(parts)
    first = conversation.contents[0]
    if first.role == "user":
        first.parts[:0] = parts
    else:
        conversation.contents.insert(0, Content("user", parts))
    return None
