"""Wire types of the request side: what we read of a chat request, what we build for Gemini. Pure.

Sources: https://platform.openai.com/docs/api-reference/chat/create and
https://ai.google.dev/api/generate-content (read 2026-11). Unknown fields are skipped when reading
and, since Google answers 400 to a field that it does not know, only these are ever written.
Fields of type ``object`` are looked at by the module that uses them.
"""

from typing import Literal, TypeAlias

import msgspec

# --- read: OpenAI chat completions ------------------------------------------------------------


class ImageUrl(msgspec.Struct):
    """``image_url`` and its relatives; *detail* is low, high, auto, or Google's further levels."""

    url: str
    detail: str | None = None


class InputAudio(msgspec.Struct):
    """``input_audio``: base64, or a data URL from some SDKs."""

    data: str
    format: str | None = None


class InputFile(msgspec.Struct):
    """``file``: inline data or a reference."""

    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class ContentPart(msgspec.Struct):
    """One part of a message's content; *type* says which field counts."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    video_url: ImageUrl | str | None = None
    audio_url: ImageUrl | str | None = None
    input_audio: InputAudio | None = None
    file: InputFile | None = None


MessageContent: TypeAlias = str | list[ContentPart | str] | None


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
    """One tool call of an assistant message, with the places that carry signatures back."""

    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None
    custom: CalledCustom | None = None
    namespace: str | None = None
    extra_content: object = None
    provider_specific_fields: object = None


class AudioAnswer(msgspec.Struct):
    """``audio`` of an assistant message: a reference to what only OpenAI keeps."""

    id: str | None = None
    transcript: str | None = None


class Message(msgspec.Struct):
    """One message of any role."""

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


class FunctionSpec(msgspec.Struct):
    """A function as declared in ``tools`` or ``functions``."""

    name: str
    description: str | None = None
    parameters: dict[str, object] | bool | None = None
    strict: bool | None = None
    namespace: str | None = None
    defer_loading: bool | None = None


class CustomSpec(msgspec.Struct):
    """A custom tool as declared: free text in, with a grammar perhaps."""

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
    """``response_format``; *schema* is what some servers take next to ``json_object``."""

    type: str | None = None
    json_schema: JsonSchemaFormat | None = None
    schema: dict[str, object] | bool | None = None


class AudioOptions(msgspec.Struct):
    """``audio``: how a spoken answer should sound."""

    voice: object = None
    format: str | None = None


class Reasoning(msgspec.Struct):
    """``reasoning``, OpenRouter's way to ask for thinking."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class Thinking(msgspec.Struct):
    """``thinking``, Anthropic's way to ask for it."""

    type: str | None = None
    budget_tokens: int | None = None


class ChatRequest(msgspec.Struct):
    """A chat request, as far as it matters to Gemini."""

    messages: list[Message]
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
    google: object = None
    extra_body: object = None


# --- written: Gemini generateContent ----------------------------------------------------------


class Blob(msgspec.Struct, rename="camel"):
    """Media inline; *data* is base64."""

    mime_type: str
    data: str


class FileData(msgspec.Struct, rename="camel", omit_defaults=True):
    """Media that Google fetches, or has."""

    file_uri: str
    mime_type: str | None = None


class FunctionCall(msgspec.Struct, rename="camel", omit_defaults=True):
    """A call that the model made."""

    name: str
    args: dict[str, object]
    id: str | None = None


class FunctionResponsePart(msgspec.Struct, rename="camel", omit_defaults=True):
    """Media that a function returned."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(msgspec.Struct, rename="camel", omit_defaults=True):
    """What a function returned."""

    name: str
    response: dict[str, object]
    id: str | None = None
    parts: list[FunctionResponsePart] | None = None


class MediaResolution(msgspec.Struct, rename="camel"):
    """``MEDIA_RESOLUTION_LOW`` and so on, for one part."""

    level: str


class Part(msgspec.Struct, rename="camel", omit_defaults=True):
    """Exactly one of the first five fields is set."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str | None = None
    media_resolution: MediaResolution | None = None


class Content(msgspec.Struct, rename="camel"):
    """One turn."""

    role: Literal["user", "model"]
    parts: list[Part]


class SystemInstruction(msgspec.Struct, rename="camel"):
    """The system's words; text parts only."""

    parts: list[Part]


class FunctionDeclaration(msgspec.Struct, rename="camel", omit_defaults=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters_json_schema: dict[str, object] | None = None


class Tool(msgspec.Struct, rename="camel", omit_defaults=True):
    """Functions, or one of Google's own tools, each switched on by an empty object."""

    function_declarations: list[FunctionDeclaration] | None = None
    google_search: dict[str, object] | None = None
    code_execution: dict[str, object] | None = None
    url_context: dict[str, object] | None = None


class FunctionCallingConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """Whether functions may, must or must not be called."""

    mode: Literal["AUTO", "ANY", "NONE", "VALIDATED"]
    allowed_function_names: list[str] | None = None


class ToolConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """How tools are used."""

    function_calling_config: FunctionCallingConfig | None = None
    include_server_side_tool_invocations: bool | None = None


class ThinkingConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """How much the model thinks, and whether it shows it."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class ImageConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """Shape and size of pictures that the model makes."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class PrebuiltVoice(msgspec.Struct, rename="camel"):
    """One of Google's voices."""

    voice_name: str


class VoiceConfig(msgspec.Struct, rename="camel"):
    """Which kind of voice."""

    prebuilt_voice_config: PrebuiltVoice


class SpeechConfig(msgspec.Struct, rename="camel"):
    """How speech sounds."""

    voice_config: VoiceConfig


class SafetySetting(msgspec.Struct, rename="camel"):
    """From which probability of harm on a category is blocked."""

    category: str
    threshold: str


class GenerationConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """Everything about the answer."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, object] | None = None
    response_modalities: list[str] | None = None
    media_resolution: str | None = None
    speech_config: SpeechConfig | None = None
    thinking_config: ThinkingConfig | None = None
    image_config: ImageConfig | None = None


class GenerateRequest(msgspec.Struct, rename="camel", omit_defaults=True):
    """The body of ``:generateContent`` and ``:streamGenerateContent``."""

    contents: list[Content]
    system_instruction: SystemInstruction | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    safety_settings: list[SafetySetting] | None = None
    generation_config: GenerationConfig | None = None
    cached_content: str | None = None
    service_tier: str | None = None
