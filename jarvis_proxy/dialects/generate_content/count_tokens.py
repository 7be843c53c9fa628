"""countTokens for models that are not Google's, estimated: no upstream is asked. Pure.

Source: https://ai.google.dev/api/tokens (read 2026-11).
"""

from typing import Final

import msgspec

from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.generate_content.request import canonical_request
from jarvis_proxy.dialects.generate_content.types import decode_object

_WHOLE: Final = "generateContentRequest"
_ANY_MODEL: Final = "this model"


def count_tokens(body: bytes) -> bytes:
    """Return the answer to countTokens, ``{"totalTokens":N}``.

    The body has contents, or a whole request.

    Raises:
        ProxyError: 400, as for generateContent.
    """
    value = decode_object(body)
    whole = value.get(_WHOLE)
    request = canonical_request(whole if isinstance(whole, dict) else value, model=_ANY_MODEL)
    return msgspec.json.encode({"totalTokens": estimate_tokens(request)})
