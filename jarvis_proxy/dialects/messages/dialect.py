"""The Messages API as a ``Dialect``, and its token counts. Pure."""

from collections.abc import Callable

import msgspec

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.answer import AnswerContext
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.prompt_tokens import estimate_tokens
from jarvis_proxy.dialects.messages.answer import MessagesAnswer
from jarvis_proxy.dialects.messages.request import read_request
from jarvis_proxy.wire.response_events import SequenceNumbers


class MessagesDialect:
    """Reads Messages calls. *new_id* returns 24 random letters and digits."""

    __slots__ = ("_new_id",)

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400 in Anthropic's wording, the request is not valid.
        """
        request = read_request(call.body, strict=call.strict_params, most_stops=features.most_stops)
        context = AnswerContext(
            call_id=call.id, created=call.created, model=call.model, new_id=self._new_id
        )

        def new_answer(*, stream: bool, numbers: SequenceNumbers | None = None) -> MessagesAnswer:
            return MessagesAnswer(
                context,
                show_thoughts=request.show_thoughts,
                sealed=request.sealed,
                streamed=stream,
            )

        return DialectCall(request, new_answer)


def count_tokens(body: bytes) -> bytes:
    """Return the response to ``POST /v1/messages/count_tokens``, ``{"input_tokens":N}``.

    Raises:
        ProxyError: 400, as for ``POST /v1/messages``.
    """
    request = read_request(body, counts_only=True)
    return msgspec.json.encode({"input_tokens": estimate_tokens(request)})
