"""Usage of a chat completions upstream, in OpenAI's form. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11).
"""

from jarvis_proxy.upstreams.json_values import Fields, fields_of, items_of
from jarvis_proxy.upstreams.openai_usage import usage_in
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails


def chat_usage(fields: Fields) -> ChatUsage | None:
    """Return the tokens that an answer or an event tells, None where it tells none.

    Tokens that wrote or read a cache are part of the prompt; reasoning is part of the completion.
    """
    counted = usage_in(fields) if _may_tell(fields) else None
    if counted is None:
        return None
    prompt, completion, cached, reasoning, written = counted.bounded()
    return ChatUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached, cache_write_tokens=written),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning),
    )


def _may_tell(fields: Fields) -> bool:
    """Return whether to look closer: nearly no event of a stream tells anything."""
    if fields.get("usage") is not None or "x_groq" in fields:
        return True
    choices = map(fields_of, items_of(fields.get("choices")))
    return any(choice.get("usage") is not None for choice in choices)
