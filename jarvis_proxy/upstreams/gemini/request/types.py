"""Wire types of requests to Gemini. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11). Google answers 400 to unknown
fields, so only these are ever written.
"""

from typing import Literal

import msgspec


class Blob(msgspec.Struct, rename="camel"):
    """Media inline; *data* is base64."""

    mime_type: str
    data: str


class FileData(msgspec.Struct, rename="camel", omit_defaults=True):
    """Media that Google downloads, or already has."""

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
    """The result of a function."""

    name: str
    response: dict[str, object]
    id: str | None = None
    parts: list[FunctionResponsePart] | None = None


class MediaResolution(msgspec.Struct, rename="camel"):
    """``MEDIA_RESOLUTION_LOW`` and so on, for one part."""

    level: str


class SpeechMetadata(msgspec.Struct):
    """How a text is spoken."""

    style: str


class Part(msgspec.Struct, rename="camel", omit_defaults=True):
    """Exactly one of the first five fields is set."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str | None = None
    media_resolution: MediaResolution | None = None
    speech_metadata: SpeechMetadata | None = None


class Content(msgspec.Struct, rename="camel"):
    """One turn."""

    role: Literal["user", "model"]
    parts: list[Part]


class SystemInstruction(msgspec.Struct, rename="camel"):
    """The system instruction, in text parts only."""

    parts: list[Part]


class FunctionDeclaration(msgspec.Struct, rename="camel", omit_defaults=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters_json_schema: dict[str, object] | None = None


class Tool(msgspec.Struct, rename="camel", omit_defaults=True):
    """Functions, or one of Google's own tools, each enabled by an empty object."""

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
    """How much the model thinks, and whether it shows its thoughts."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class ImageConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """Shape and size of generated pictures."""

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
    """The probability of harm from which on a category is blocked."""

    category: str
    threshold: str


class GenerationConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    """The options of the answer."""

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
