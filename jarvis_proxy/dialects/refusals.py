"""An answer that the upstream's filter withheld, on endpoints that have no place for it. Pure."""

from jarvis_proxy.canonical.answer import Finish
from jarvis_proxy.errors import ProxyError


def blocked(finish: Finish, error_type: str = "invalid_request_error") -> ProxyError:
    """Return OpenAI's error for an answer that *finish* says was filtered.

    Source: https://platform.openai.com/docs/guides/image-generation (read 2026-11), for pictures;
    for speech and transcripts it is not verified.
    """
    reason = finish.message or finish.native.rpartition(":")[2] or "no reason given"
    message = f"Your request was rejected by the safety system: {reason[:500]}"
    return ProxyError(
        400,
        message,
        error_type=error_type,
        code="moderation_blocked",
        should_retry=False,
    )
