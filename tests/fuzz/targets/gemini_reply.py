"""The translator of Gemini's whole answers.

Oracle: any bytes give a ChatCompletion that OpenAI's own type takes, or a ProxyError.
"""

import json
from typing import Final

from openai.types.chat import ChatCompletion

from tests.fuzz.outcomes import attempt
from tests.fuzz.targets import gemini_stream
from tests.upstreams.gemini.replies import an_exchange

TOKENS: Final = gemini_stream.TOKENS
_REASONS: Final = {"stop", "length", "tool_calls", "content_filter"}


def check(data: bytes) -> None:
    """Translate the answer."""
    exchange = an_exchange()
    following, error = attempt(lambda: exchange.translate_reply(data))
    answer = None
    if error is None and following is None:
        answer, error = attempt(exchange.answer)
    if error is not None:
        assert 400 <= error.status < 600
        json.loads(error.body())
        return
    if answer is None:
        assert following is not None
        json.loads(following.body)
        return
    completion = ChatCompletion.model_validate_json(answer)
    assert completion.choices
    assert {choice.finish_reason for choice in completion.choices} <= _REASONS
    for choice in completion.choices:
        calls = choice.message.tool_calls or ()
        assert (choice.finish_reason == "tool_calls") <= bool(calls)
        assert len({call.id for call in calls}) == len(calls)
