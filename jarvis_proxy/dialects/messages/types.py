"""The fields of a Messages request that the proxy reads. Pure.

Unknown fields are skipped. A ``Raw`` field depends on the type, or is passed on unchanged.

Source: https://docs.claude.com/en/api/messages (read 2026-11) and the types of the official SDK.
"""

from typing import Final

import msgspec
from msgspec import Raw

_NULL: Final = Raw(b"null")


def is_given(raw: Raw) -> bool:
    """Return whether *raw* is present and not null."""
    return len(raw) > 0 and raw != _NULL


class Block(msgspec.Struct):
    """A content block of any type; *type* tells which fields are relevant."""

    type: str
    text: str | None = None
    source: Raw = Raw()
    title: str | None = None
    context: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Raw = Raw()
    tool_use_id: str | None = None
    content: Raw = Raw()
    is_error: bool | None = None
    tool_name: str | None = None
    cache_control: Raw = Raw()


Content = str | list[Block]


class Source(msgspec.Struct):
    """The location of an image's or a document's data."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: Content | None = None


class Message(msgspec.Struct):
    """One message; *role* is ``user``, ``assistant`` or ``system``."""

    role: str
    content: Content


class Tool(msgspec.Struct):
    """A tool. Without a *type*, or of type ``custom``, it is a function of the client."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Raw] | None = None
    strict: Raw = Raw()
    input_examples: Raw = Raw()
    defer_loading: bool | None = None
    eager_input_streaming: Raw = Raw()
    allowed_callers: Raw = Raw()
    cache_control: Raw = Raw()
    allowed_domains: Raw = Raw()
    blocked_domains: Raw = Raw()


class ToolChoice(msgspec.Struct):
    """Which tool the model may or must call."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct, omit_defaults=True):
    """How much to think, and whether to show it; *budget_tokens* only with ``enabled``."""

    type: str | None = None
    budget_tokens: int | None = None
    display: str | None = None


class Format(msgspec.Struct):
    """The form of the answer, always ``json_schema``."""

    type: str
    schema: Raw = Raw()


class OutputConfig(msgspec.Struct):
    """The effort level, and the form of the answer."""

    effort: str | None = None
    format: Format | None = None


class Request(msgspec.Struct):
    """The body of ``POST /v1/messages``, and of its ``count_tokens``."""

    messages: list[Message]
    model: str | None = None
    max_tokens: int | None = None
    system: Content | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    cache_control: Raw = Raw()
    container: Raw = Raw()
    mcp_servers: Raw = Raw()
