"""OpenAI's Responses API objects, as this proxy writes them. Pure.

The response repeats fields of the request in their original bytes, so those fields are raw.

Source: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11) and recorded
answers.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from jarvis_proxy.wire.chat_types import TokenLogprob

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class InputTokensDetails(Struct):
    """Parts of ``input_tokens``, already counted in it."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Struct):
    """Parts of ``output_tokens``, already counted in it."""

    reasoning_tokens: int = 0


class ResponseUsage(Struct):
    """Tokens of one response."""

    input_tokens: int = 0
    input_tokens_details: InputTokensDetails = field(default_factory=InputTokensDetails)
    output_tokens: int = 0
    output_tokens_details: OutputTokensDetails = field(default_factory=OutputTokensDetails)
    total_tokens: int = 0


class ResponseURLCitation(Struct, tag_field="type", tag="url_citation"):
    """A source for the text's characters from *start_index* to before *end_index*."""

    end_index: int
    start_index: int
    title: str
    url: str


class OutputText(Struct, tag_field="type", tag="output_text"):
    """The text of a message."""

    annotations: list[ResponseURLCitation] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    text: str = ""


class MessageItem(Struct, tag_field="type", tag="message", kw_only=True):
    """What the model said."""

    id: str
    status: Status
    content: list[OutputText]
    role: Literal["assistant"] = "assistant"


class SummaryText(Struct, tag_field="type", tag="summary_text"):
    """A summary of the model's thoughts."""

    text: str


class ReasoningItem(Struct, tag_field="type", tag="reasoning", kw_only=True):
    """The model's thoughts; *encrypted_content* is set only if the client asked for it."""

    id: str
    summary: list[SummaryText] = field(default_factory=list)
    encrypted_content: str | UnsetType = UNSET


class FunctionCallItem(Struct, tag_field="type", tag="function_call", kw_only=True):
    """A function call; *arguments* are JSON text."""

    id: str
    status: Status
    arguments: str
    call_id: str
    name: str
    namespace: str | UnsetType = UNSET


class CustomCallItem(Struct, tag_field="type", tag="custom_tool_call", kw_only=True):
    """A custom tool's call; *input* is free text."""

    id: str
    status: Status
    call_id: str
    input: str
    name: str
    namespace: str | UnsetType = UNSET


class ToolSearchCallItem(Struct, tag_field="type", tag="tool_search_call", kw_only=True):
    """A call of the tool search, which the client runs; *arguments* is a JSON object."""

    id: str
    status: Status
    arguments: Raw
    call_id: str
    execution: Literal["client"] = "client"


class LocalShellCallItem(Struct, tag_field="type", tag="local_shell_call", kw_only=True):
    """A shell command for the client to run."""

    id: str
    status: Status
    action: dict[str, Any]
    call_id: str


class ShellCallItem(Struct, tag_field="type", tag="shell_call", kw_only=True):
    """Shell commands for the client to run."""

    id: str
    status: Status
    action: dict[str, Any]
    call_id: str
    environment: None = None


class ApplyPatchCallItem(Struct, tag_field="type", tag="apply_patch_call", kw_only=True):
    """A file change for the client to make."""

    id: str
    status: Status
    operation: dict[str, Any]
    call_id: str


class ImageItem(Struct, tag_field="type", tag="image_generation_call", kw_only=True):
    """A picture from the model as base64; *result* is None until it is ready."""

    id: str
    status: Literal["in_progress", "completed"]
    result: str | None
    output_format: str | UnsetType = UNSET


OutputItem: TypeAlias = (
    MessageItem
    | ReasoningItem
    | FunctionCallItem
    | CustomCallItem
    | ToolSearchCallItem
    | LocalShellCallItem
    | ShellCallItem
    | ApplyPatchCallItem
    | ImageItem
)


class ResponseError(Struct):
    """Why a response failed."""

    code: str
    message: str


class IncompleteDetails(Struct):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens", "content_filter"]


_REASONING: Final = Raw(b'{"effort":null,"summary":null}')
_TEXT: Final = Raw(b'{"format":{"type":"text"},"verbosity":"medium"}')
_NULL: Final = b"null"


class ResponseObject(Struct, kw_only=True):
    """A response, complete or in progress. *created_at* is in epoch seconds.

    Identifying fields come first, because the rest may be long. Raw fields repeat the request;
    their defaults are OpenAI's. *store* is false whatever the request asked for: nothing is stored
    here.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    background: bool = False
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: Raw = Raw(_NULL)
    max_output_tokens: Raw = Raw(_NULL)
    max_tool_calls: Raw = Raw(_NULL)
    model: str
    output: list[OutputItem]
    parallel_tool_calls: Raw = Raw(b"true")
    previous_response_id: None = None
    prompt_cache_key: Raw = Raw(_NULL)
    reasoning: Raw = _REASONING
    safety_identifier: Raw = Raw(_NULL)
    service_tier: str = "default"
    store: bool = False
    temperature: Raw = Raw(b"1.0")
    text: Raw = _TEXT
    tool_choice: Raw = Raw(b'"auto"')
    tools: Raw = Raw(b"[]")
    top_logprobs: Raw = Raw(b"0")
    top_p: Raw = Raw(b"1.0")
    truncation: Raw = Raw(b'"disabled"')
    usage: ResponseUsage | None = None
    user: Raw = Raw(_NULL)
    metadata: Raw = Raw(b"{}")
    # Not OpenAI's: further fields that Gemini returns with an answer.
    native_finish_reason: str | UnsetType = UNSET
    finish_message: str | UnsetType = UNSET
    grounding_metadata: dict[str, Any] | UnsetType = UNSET
    citations: list[dict[str, Any]] | UnsetType = UNSET


_ECHOED: Final = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
_OBJECTS: Final = {"reasoning": _REASONING, "text": _TEXT}
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw])
_TOOLS: Final = msgspec.json.Decoder(list[dict[str, Raw]])


def echo_of(fields: Mapping[str, Raw]) -> dict[str, Any]:
    """Return the request's fields that a response repeats, with OpenAI's defaults.

    Raises:
        msgspec.ValidationError: reasoning, text or tools have a wrong type.
    """
    echo: dict[str, Any] = {}
    for name in _ECHOED:
        given = fields.get(name)
        if given is None or bytes(given) == _NULL:
            continue
        if name in _OBJECTS:
            given = _filled(_FIELDS.decode(given), _FIELDS.decode(_OBJECTS[name]))
        elif name == "tools":
            given = Raw(msgspec.json.encode([_tool(tool) for tool in _TOOLS.decode(given)]))
        echo[name] = one_line(given)
    return echo


def one_line(value: Raw) -> Raw:
    """Return JSON without line breaks: one would end the event that repeats the value."""
    text = bytes(value)
    if b"\n" not in text and b"\r" not in text:
        return value
    return Raw(msgspec.json.format(text, indent=-1))


def _filled(given: dict[str, Raw], defaults: dict[str, Raw]) -> Raw:
    said = {name: value for name, value in given.items() if bytes(value) != _NULL}
    return Raw(msgspec.json.encode(defaults | said))


def _tool(tool: dict[str, Raw]) -> dict[str, Raw]:
    if bytes(tool.get("type", Raw())) != b'"function"':
        return tool
    return {"parameters": Raw(_NULL), "strict": Raw(b"false"), **tool}
