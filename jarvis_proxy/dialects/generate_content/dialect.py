"""Google's generateContent as a client API, for any upstream that does not speak it. Pure.

The token count of countTokens is an estimate: no upstream is asked.

Source: https://ai.google.dev/api/tokens (read 2026-11).
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.answer import Answer, AnswerContext
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.generate_content.answer import (
    GenerateContentBody,
    GenerateContentStream,
)
from jarvis_proxy.dialects.generate_content.request import canonical_request, read_request
from jarvis_proxy.dialects.generate_content.types import decode_object
from jarvis_proxy.wire.google_verbs import asks_for_events
from jarvis_proxy.wire.response_events import SequenceNumbers

_WHOLE: Final = "generateContentRequest"
_ANY_MODEL: Final = "this model"


class GenerateContentDialect:
    """Implements ``Dialect``. *new_id* returns 24 random letters and digits."""

    __slots__ = ("_new_id",)

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400 with the client's own param, the request is not valid.
        """
        request = read_request(call.body, model=call.model, strict=call.strict_params)
        context = AnswerContext(
            call_id=call.id, created=call.created, model=call.model, new_id=self._new_id
        )
        is_array = not asks_for_events(call.query)
        shows = request.show_thoughts
        return DialectCall(request, partial(_new_answer, context, is_array=is_array, shows=shows))


def _new_answer(
    context: AnswerContext,
    *,
    is_array: bool,
    shows: bool,
    stream: bool,
    numbers: SequenceNumbers | None = None,
) -> Answer:
    if stream:
        return GenerateContentStream(context, is_array=is_array, shows=shows)
    return GenerateContentBody(context, shows=shows)


def count_tokens(body: bytes) -> bytes:
    """Return the response to countTokens, ``{"totalTokens":N}``.

    The body has contents, or a whole request.

    Raises:
        ProxyError: 400, as for generateContent.
    """
    value = decode_object(body)
    whole = value.get(_WHOLE)
    request = canonical_request(whole if isinstance(whole, dict) else value, model=_ANY_MODEL)
    return msgspec.json.encode({"totalTokens": estimate_tokens(request)})
