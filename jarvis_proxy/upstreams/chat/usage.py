"""Usage of a chat completions upstream, in OpenAI's form. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/object (read 2026-11).
"""

from jarvis_proxy.upstreams.json_values import Fields, fields_of
from jarvis_proxy.upstreams.openai_usage import usage_in
from jarvis_proxy.wire.chat_types import CompletionTokensDetails, PromptTokensDetails, Usage


def chat_usage(fields: Fields) -> Usage | None:
    """Return the tokens that an answer or an event tells, None where it tells none.

    Tokens that wrote or read a cache are part of the prompt; reasoning is part of the completion.
    """
    counted = usage_in(fields)
    if counted is None:
        return None
    prompt, completion, cached, reasoning = counted.bounded()
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=cached, cache_write_tokens=_written(fields)
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning),
    )


def _written(fields: Fields) -> int:
    """Return the tokens written to a cache, as OpenAI and OpenRouter tell them."""
    details = fields_of(fields_of(fields.get("usage")).get("prompt_tokens_details"))
    written = details.get("cache_write_tokens")
    return max(0, written) if isinstance(written, int) and not isinstance(written, bool) else 0
