"""OpenAI's chat completion objects, as this proxy writes them. Pure.

Keys are in OpenAI's order. An ``UNSET`` field is left out, a None field is sent as null: clients
distinguish the two. Fields that OpenAI does not have are marked.

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11).
"""

from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType, field

INFERENCE: Final = (
    "chat/completions",
    "completions",
    "responses",
    "responses/compact",
    "responses/input_tokens",
    "embeddings",
    "images/generations",
    "images/edits",
    "images/variations",
    "audio/speech",
    "audio/transcriptions",
    "audio/translations",
    "moderations",
)
"""Endpoints that call a model: what PASSTHROUGH=inference relays."""


FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
"""OpenAI's five finish reasons; strict clients fail on any other."""

ExtraContent = dict[str, dict[str, str]]
"""``{"google": {"thought_signature": ...}}``, the field of Google's own OpenAI layer."""


class PromptTokensDetails(Struct):
    """Parts of ``prompt_tokens``, already counted in it.

    *cache_write_1h_tokens* is part of *cache_write_tokens*: Anthropic caches these for an hour.
    """

    cached_tokens: int = 0
    audio_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int | UnsetType = UNSET


class CompletionTokensDetails(Struct):
    """Parts of ``completion_tokens``, already counted in it."""

    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class ChatUsage(Struct):
    """The tokens of one answer, summed over all of its choices."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails = field(default_factory=PromptTokensDetails)
    completion_tokens_details: CompletionTokensDetails = field(
        default_factory=CompletionTokensDetails
    )


class FunctionPayload(Struct):
    """A function's name and its arguments as JSON text; *namespace* if it belongs to one."""

    name: str
    arguments: str
    # OpenAI has this field only in its Responses API.
    namespace: str | UnsetType = UNSET


class CustomPayload(Struct):
    """A custom tool's name and its free-form input; *namespace* as above."""

    name: str
    input: str
    namespace: str | UnsetType = UNSET


class MessageToolCall(Struct):
    """One tool call; *index* only in streams, and exactly one of *function* and *custom*."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: Literal["function", "custom"] = "function"
    function: FunctionPayload | UnsetType = UNSET
    custom: CustomPayload | UnsetType = UNSET
    extra_content: ExtraContent | UnsetType = UNSET  # not OpenAI's


class ArgumentsPiece(Struct):
    """A further piece of a function's arguments."""

    arguments: str


class InputPiece(Struct):
    """A further piece of a custom tool's input."""

    input: str


class ToolCallPiece(Struct):
    """What a later chunk adds to the tool call *index*: exactly one of *function* and *custom*."""

    index: int
    function: ArgumentsPiece | UnsetType = UNSET
    custom: InputPiece | UnsetType = UNSET


class ImageURL(Struct):
    """The URL of a picture, here always a ``data:`` URL."""

    url: str


class Image(Struct, kw_only=True):
    """A picture in an answer. Not OpenAI's: OpenRouter's clients read this form."""

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL
    index: int


class Audio(Struct):
    """Speech as base64; in a stream, all *data* pieces form one text. Times are epoch seconds."""

    id: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    expires_at: int | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class URLCitation(Struct):
    """A source for the content's characters from *start_index* to before *end_index*."""

    end_index: int
    start_index: int
    title: str
    url: str


class Annotation(Struct, kw_only=True):
    """An annotation of the content."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: URLCitation


class TopLogprob(Struct):
    """One alternative token at a position."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct):
    """One token of the content with its alternatives."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class Logprobs(Struct):
    """Log probabilities of a choice's tokens."""

    content: list[TokenLogprob]
    refusal: None = None


class AssistantMessage(Struct):
    """A whole assistant message."""

    role: Literal["assistant"] = "assistant"
    content: str | None = ""
    reasoning_content: str | UnsetType = UNSET  # not OpenAI's
    function_call: FunctionPayload | UnsetType = UNSET
    tool_calls: list[MessageToolCall] | UnsetType = UNSET
    refusal: None = None
    annotations: list[Annotation] = field(default_factory=list)
    audio: Audio | UnsetType = UNSET
    images: list[Image] | UnsetType = UNSET  # not OpenAI's
    extra_content: ExtraContent | UnsetType = UNSET  # not OpenAI's
    # Not OpenAI's: LiteLLM's field.
    thinking_blocks: list[dict[str, Any]] | UnsetType = UNSET


class Delta(Struct):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET  # not OpenAI's
    function_call: FunctionPayload | ArgumentsPiece | UnsetType = UNSET
    tool_calls: list[MessageToolCall | ToolCallPiece] | UnsetType = UNSET
    annotations: list[Annotation] | UnsetType = UNSET
    audio: Audio | UnsetType = UNSET
    images: list[Image] | UnsetType = UNSET  # not OpenAI's
    extra_content: ExtraContent | UnsetType = UNSET  # not OpenAI's
    thinking_blocks: list[dict[str, Any]] | UnsetType = UNSET  # not OpenAI's


class ChoiceExtras(Struct, kw_only=True):
    """What Gemini says about a choice beyond OpenAI's fields.

    These fields are on the choice, not on the message: clients send a message back in the next
    request, where OpenAI rejects unknown fields.
    """

    native_finish_reason: str | UnsetType = UNSET
    finish_message: str | UnsetType = UNSET
    grounding_metadata: dict[str, object] | UnsetType = UNSET
    citations: list[dict[str, object]] | UnsetType = UNSET


class CompletionChoice(ChoiceExtras):
    """One choice of a whole answer."""

    index: int
    message: AssistantMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason


class ChatCompletion(Struct, kw_only=True):
    """A whole answer; *created* is in epoch seconds."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: ChatUsage
    service_tier: str | UnsetType = UNSET
    system_fingerprint: None = None
    model_version: str | UnsetType = UNSET  # not OpenAI's


class ChunkChoice(ChoiceExtras):
    """One choice's part of a chunk."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None


class Chunk(Struct, kw_only=True):
    """One event of a stream; *usage* is UNSET unless the client asked for it."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    service_tier: str | UnsetType = UNSET
    system_fingerprint: None = None
    choices: list[ChunkChoice]
    usage: ChatUsage | UnsetType | None = UNSET
