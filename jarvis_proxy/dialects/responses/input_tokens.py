"""``/v1/responses/input_tokens``, estimated: no upstream is asked. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/input-tokens (read 2026-11).
"""

from typing import Final

import msgspec

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.responses.request import read_request

INPUT_TOKENS: Final = "responses/input_tokens"


def count_tokens(body: bytes) -> bytes:
    """Return ``{"object":"response.input_tokens","input_tokens":N}``.

    Raises:
        ProxyError: 400, as for ``POST /v1/responses``.
    """
    request, _ = read_request(body, ModelFeatures())
    counted = {"object": "response.input_tokens", "input_tokens": estimate_tokens(request)}
    return msgspec.json.encode(counted)
