"""A generateContent request as typed values. Pure.

Google accepts field names in camelCase and in snake_case, and numbers as strings.

Source: https://ai.google.dev/api/generate-content (read 2026-11). Unknown fields are skipped.
The module that uses a field of type ``object`` checks it.
"""

import re
from typing import Any, Final, TypeAlias

import msgspec

from jarvis_proxy.canonical.bounds import check_values
from jarvis_proxy.canonical.validation_errors import (
    DECODE_ERRORS,
    from_decode_error,
    from_msgspec_error,
)
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire import text as surrogates

JsonObject: TypeAlias = dict[str, Any]

_FREE: Final = frozenset(
    (
        "args",
        "jsonSchema",
        "labels",
        "parameters",
        "parametersJsonSchema",
        "partMetadata",
        "response",
        "responseJsonSchema",
        "responseSchema",
        "schema",
    )
)
"""Fields whose keys are the client's own names."""
_SNAKE: Final = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")
_MAYBE_SNAKE: Final = re.compile(rb'[a-z0-9]_[a-z0-9_]*"\s*:')
_SILENT: Final = frozenset(("labels", "model", "serviceTier", "store", "stream"))
"""Fields that have no meaning for other upstreams, or that the URL already states."""


class Blob(msgspec.Struct, rename="camel"):
    """Data within the request, as base64 of either alphabet."""

    mime_type: str | None = None
    data: str | None = None
    display_name: str | None = None


class FileData(msgspec.Struct, rename="camel"):
    """A file that is stored elsewhere."""

    mime_type: str | None = None
    file_uri: str | None = None
    display_name: str | None = None


class FunctionCall(msgspec.Struct):
    """A call that the model made; *args* is an object."""

    id: str | None = None
    name: str | None = None
    args: object = None


class ResultPart(msgspec.Struct, rename="camel"):
    """Media in a function's result."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(msgspec.Struct):
    """The result of a function; *response* is an object."""

    id: str | None = None
    name: str | None = None
    response: object = None
    parts: list[ResultPart] | None = None


class ExecutableCode(msgspec.Struct):
    """Code that Google ran."""

    language: str | None = None
    code: str | None = None


class CodeExecutionResult(msgspec.Struct):
    """The output of that code."""

    outcome: str | None = None
    output: str | None = None


class Part(msgspec.Struct, rename="camel"):
    """One part, with at most one of its kinds set."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    tool_call: object = None
    tool_response: object = None


class Content(msgspec.Struct):
    """One role's content in one turn."""

    parts: list[Part | str] | Part | None = None
    role: str | None = None


class FunctionDeclaration(msgspec.Struct, rename="camel"):
    """A function: *parameters* is Google's Schema, *parameters_json_schema* a JSON Schema."""

    name: str | None = None
    description: str | None = None
    parameters: object = None
    parameters_json_schema: object = None


class CallingConfig(msgspec.Struct, rename="camel"):
    """How functions are to be called."""

    mode: str | None = None
    allowed_function_names: list[str] | None = None


class ToolConfig(msgspec.Struct, rename="camel"):
    """How tools are to be used."""

    function_calling_config: CallingConfig | None = None
    retrieval_config: object = None


class ThinkingConfig(msgspec.Struct, rename="camel"):
    """How much to think, and whether to show it."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class TextFormat(msgspec.Struct, rename="camel"):
    """The form of a text."""

    mime_type: str | None = None
    schema: object = None
    json_schema: object = None


class ResponseFormat(msgspec.Struct):
    """The form of the answer."""

    text: TextFormat | None = None


class GenerationConfig(msgspec.Struct, rename="camel"):
    """How to generate."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_schema: object = None
    response_json_schema: object = None
    response_format: ResponseFormat | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None
    speech_config: object = None
    image_config: object = None
    media_resolution: object = None


class SafetySetting(msgspec.Struct):
    """How strictly to filter one kind of harm."""

    threshold: str | None = None


class Request(msgspec.Struct, rename="camel"):
    """The body of generateContent."""

    contents: list[Content | str] | Content | str | None = None
    system_instruction: Content | list[Part | str] | str | None = None
    tools: list[JsonObject] | JsonObject | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig = msgspec.field(default_factory=GenerationConfig)
    safety_settings: list[SafetySetting] | None = None
    cached_content: str | None = None


def decode_object(body: bytes) -> JsonObject:
    """Return *body*, a JSON object, with Google's names in camelCase.

    Raises:
        ProxyError: 400 `invalid_json`, `array_above_max_length`.
    """
    check_values(body)
    try:
        value = msgspec.json.decode(surrogates.replace_lone_surrogates(body), type=dict[str, Any])
        return camel_keys(value) if _MAYBE_SNAKE.search(body) else value
    except msgspec.ValidationError:
        raise ProxyError(400, "The body must be a JSON object.", code="invalid_json") from None
    except DECODE_ERRORS as exc:
        raise from_decode_error(exc) from exc


def camel_keys(value: Any) -> Any:
    """Return a decoded *value* with field names in camelCase, except the client's own names."""
    if isinstance(value, list):
        return [camel_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = ((camel(name), item) for name, item in value.items())
    return {name: item if name in _FREE else camel_keys(item) for name, item in named}


def camel(name: str) -> str:
    """Return a name in camelCase."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def read_request(value: JsonObject) -> Request:
    """Return a decoded body as typed values. A null counts as absent.

    Raises:
        ProxyError: 400 `invalid_type` with the path.
    """
    given = {name: item for name, item in value.items() if item is not None}
    try:
        return msgspec.convert(given, Request, strict=False)
    except msgspec.ValidationError as exc:
        raise from_msgspec_error(exc) from exc


def unknown_fields(value: JsonObject) -> list[str]:
    """Return the paths of fields in a decoded body that Google's API does not have."""
    config = value.get("generationConfig")
    inner = config if isinstance(config, dict) else {}
    found = [name for name in value if name not in _KNOWN and name not in _SILENT]
    return found + [f"generationConfig.{name}" for name in inner if name not in _KNOWN_CONFIG]


_KNOWN: Final = frozenset(Request.__struct_encode_fields__)
_KNOWN_CONFIG: Final = frozenset(GenerationConfig.__struct_encode_fields__)
