"""``count_tokens``, estimated: no upstream is asked. Pure.

Source: https://docs.claude.com/en/api/messages-count-tokens (read 2026-11).
"""

import msgspec

from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.messages.request import read_request


def count_tokens(body: bytes) -> bytes:
    """Return the answer to ``POST /v1/messages/count_tokens``, ``{"input_tokens":N}``.

    Raises:
        ProxyError: 400, as for ``POST /v1/messages``.
    """
    request = read_request(body, counts_only=True)
    return msgspec.json.encode({"input_tokens": estimate_tokens(request)})
