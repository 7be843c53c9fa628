"""The canonical request as typed values, for writers that inspect it. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/create (read 2026-11). Unknown fields
are skipped. The module that uses a field of type ``object`` checks it.
"""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec


class ImageUrl(msgspec.Struct):
    """``image_url`` and similar; *detail* is low, high, auto, or one of Google's levels."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct):
    """``input_audio``: base64, or a data URL from some SDKs."""

    data: str
    format: str | None = None


class InputFile(msgspec.Struct):
    """``file``: inline data or a reference. *title* and *context* are Anthropic's."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    title: object = None
    context: object = None
    citations: object = None


class ContentPart(msgspec.Struct):
    """One part of a message's content; *type* tells which field is relevant.

    A ``search_result`` has *source*, *title* and *content*; a ``tool_reference`` has *tool_name*.
    """

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    video_url: ImageUrl | str | None = None
    audio_url: ImageUrl | str | None = None
    input_audio: InputAudio | None = None
    file: InputFile | None = None
    source: object = None
    title: object = None
    content: object = None
    tool_name: object = None
    citations: object = None
    cache_control: object = None


MessageContent: TypeAlias = str | list[ContentPart | str] | None


def each_part(content: MessageContent, param: str) -> Iterator[tuple[ContentPart, str]]:
    """Yield the parts of a message's content with their params; a bare string is one part."""
    if isinstance(content, str):
        yield ContentPart(type="text", text=content), param
        return
    for index, part in enumerate(content or ()):
        where = f"{param}[{index}]"
        yield (ContentPart(type="text", text=part) if isinstance(part, str) else part), where


class CalledFunction(msgspec.Struct):
    """``function`` of a tool call; *arguments* should be JSON text."""

    name: str | None = None
    arguments: object = None
    namespace: str | None = None


class CalledCustom(msgspec.Struct):
    """``custom`` of a tool call."""

    name: str | None = None
    input: str | None = None
    namespace: str | None = None


class ToolCall(msgspec.Struct):
    """One tool call of an assistant message, with the fields that carry signatures back."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None
    custom: CalledCustom | None = None
    namespace: str | None = None
    extra_content: object = None
    provider_specific_fields: object = None
    cache_control: object = None


class AudioAnswer(msgspec.Struct):
    """``audio`` of an assistant message: a reference to audio that only OpenAI stores."""

    id: str | None = None
    transcript: str | None = None


class ChatMessage(msgspec.Struct):
    """One message of any role.

    *thinking_blocks* hold sealed state, see ``sealed_state``. *is_error* means that the tool
    failed.
    """

    role: str
    content: MessageContent = None
    id: object = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None
    audio: AudioAnswer | None = None
    images: object = None
    extra_content: object = None
    reasoning_details: object = None
    provider_specific_fields: object = None
    thinking_blocks: object = None
    is_error: object = None
    reasoning_content: object = None
    cache_control: object = None


class FunctionSpec(msgspec.Struct):
    """A function as declared in ``tools`` or ``functions``."""

    name: str
    description: str | None = None
    parameters: dict[str, object] | bool | None = None
    strict: bool | None = None
    namespace: str | None = None
    defer_loading: bool | None = None


class CustomSpec(msgspec.Struct):
    """A custom tool as declared: its input is free text, optionally with a grammar."""

    name: str
    description: str | None = None
    format: dict[str, object] | None = None
    namespace: str | None = None
    defer_loading: bool | None = None


class StreamOptions(msgspec.Struct):
    """``stream_options``."""

    include_usage: bool | None = None


class JsonSchemaFormat(msgspec.Struct):
    """``response_format.json_schema``."""

    schema: dict[str, object] | bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct):
    """``response_format``; some servers accept *schema* next to ``json_object``."""

    type: str | None = None
    json_schema: JsonSchemaFormat | None = None
    schema: dict[str, object] | bool | None = None


class AudioOptions(msgspec.Struct):
    """``audio``: the voice and format of a spoken answer."""

    voice: object = None
    format: str | None = None


class Reasoning(msgspec.Struct):
    """``reasoning``, OpenRouter's field for thinking."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class Thinking(msgspec.Struct):
    """``thinking``, Anthropic's field for it."""

    type: str | None = None
    budget_tokens: int | None = None
    display: object = None


class ChatRequest(msgspec.Struct):
    """A chat request with its extension fields."""

    messages: list[ChatMessage]
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | int | None = None
    top_logprobs: int | None = None
    logit_bias: object = None
    response_format: ResponseFormat | None = None
    tools: list[dict[str, object]] | None = None
    tool_choice: str | dict[str, object] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionSpec] | None = None
    function_call: str | dict[str, object] | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    thinking: Thinking | None = None
    include_thoughts: bool | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    audio: AudioOptions | None = None
    moderation: object = None
    service_tier: str | None = None
    web_search_options: dict[str, object] | None = None
    safety_settings: object = None
    safety_settings_camel: object = msgspec.field(default=None, name="safetySettings")
    cached_content: str | None = None
    cached_content_camel: str | None = msgspec.field(default=None, name="cachedContent")
    cache_control: object = None
    google: object = None
    extra_body: object = None


def part_as_text(part: ContentPart) -> str | None:
    """Return a ``search_result`` or ``tool_reference`` as text, None for other parts."""
    if part.type == "search_result":
        blocks = part.content if isinstance(part.content, list) else ()
        inner = (block.get("text") for block in blocks if isinstance(block, dict))
        lines = (part.title, part.source, *inner)
        return "\n".join(line for line in lines if isinstance(line, str) and line)
    if part.type == "tool_reference":
        return f"Tool {part.tool_name} is available now."
    return None


def about_file(file: InputFile) -> str:
    """Return a file's title and context as lines, for models that accept only the file."""
    return "\n".join(str(line) for line in (file.title, file.context) if line)
