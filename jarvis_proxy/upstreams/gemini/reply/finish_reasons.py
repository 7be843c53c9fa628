"""Why an answer ended: Gemini's finish reasons as OpenAI's five. Pure.

Source: https://ai.google.dev/api/generate-content#FinishReason (read 2026-11).
"""

from typing import Final

from jarvis_proxy.wire.chat_types import FinishReason

CONTINUATION: Final = "CONTINUATION"
"""Not an end: the answer goes on in a further request."""

BLOCKED: Final = "PROMPT_BLOCKED:"
"""What stands before the reason for which a prompt was refused."""

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
# It accompanies STOP in nine of ten answers with calls, and says nothing.
_IDLE_MESSAGES: Final = frozenset(
    ("Model generated function call(s).", "Model generated function call(s)")
)


def translate_finish(native: str, *, has_tool_call: bool, has_content: bool) -> FinishReason:
    """Return OpenAI's finish reason for Gemini's; ``""`` is an absent one.

    *has_tool_call*: Gemini's calls are always complete, so they can be executed even where the
    answer was cut. *has_content*: it has text, a picture or sound. A reason that nobody knows yet
    becomes ``stop``: clients fail on any sixth word.
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
    """Return whether the model tried to call a tool and the upstream could not make it out."""
    return native.upper() in _MALFORMED


def is_plain_end(native: str) -> bool:
    """Return whether the model ended by itself, and nothing cut or filtered its answer."""
    return native.upper() in _PLAIN


def meaningful_message(message: str | None) -> str | None:
    """Return Google's finish message where it says something."""
    return None if not message or message in _IDLE_MESSAGES else message
