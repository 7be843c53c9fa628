"""Maps Gemini's finish reasons to OpenAI's five. Pure.

Source: https://ai.google.dev/api/generate-content#FinishReason (read 2026-11).
"""

from typing import Final

from jarvis_proxy.wire.chat_types import FinishReason

CONTINUATION: Final = "CONTINUATION"
"""Not an end: the answer continues in another request."""

BLOCKED: Final = "PROMPT_BLOCKED:"
"""The prefix of the reason for which a prompt was refused."""

_FILTERED: Final = frozenset(
    (
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "LANGUAGE",
        "ESCALATION",
        "PUP_LIMITED_DISABLED",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
    )
)
_MALFORMED: Final = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
    )
)
_PLAIN: Final = frozenset(("STOP", "", "FINISH_REASON_UNSPECIFIED"))
# These accompany STOP in nine of ten answers with calls, and carry no information.
_IDLE_MESSAGES: Final = frozenset(
    ("Model generated function call(s).", "Model generated function call(s)")
)


def translate_finish(native: str, *, has_tool_call: bool, has_content: bool) -> FinishReason:
    """Return OpenAI's finish reason for Gemini's, which is ``""`` if absent.

    *has_tool_call*: Gemini's calls are always complete, so they can be executed even if the answer
    was cut. *has_content*: there is text, a picture or audio. An unknown reason becomes ``stop``,
    because clients fail on any sixth value.
    """
    native = native.upper()
    if native in _FILTERED or native.startswith(BLOCKED):
        return "content_filter"
    if has_tool_call:
        return "tool_calls"
    if native in ("MAX_TOKENS", CONTINUATION):
        return "length"
    if native == "OTHER" and not has_content:
        return "content_filter"
    return "stop"


def is_malformed(native: str) -> bool:
    """Return whether the model tried to call a tool but the upstream could not parse the call."""
    return native.upper() in _MALFORMED


def is_plain_end(native: str) -> bool:
    """Return whether the model ended on its own, without being cut or filtered."""
    return native.upper() in _PLAIN


def meaningful_message(message: str | None) -> str | None:
    """Return Google's finish message if it carries information."""
    return None if not message or message in _IDLE_MESSAGES else message
