"""Whole chat answers in tests."""

import json
from typing import Any

from jarvis_proxy.canonical.answer import AnswerContext, Finish
from jarvis_proxy.dialects.chat.answer import ChatAnswer
from jarvis_proxy.dialects.chat.options import ChatOptions
from jarvis_proxy.wire.chat_types import ChatUsage
from tests.upstreams.gemini.replies import CREATED, ids

Json = dict[str, Any]

STOP = Finish(reason="stop")


def an_answer(**options: Any) -> ChatAnswer:
    context = AnswerContext(call_id="req-1", created=CREATED, model="my-model", new_id=ids())
    return ChatAnswer(context, ChatOptions(**options), stream=False)


def ended(answer: ChatAnswer, tier: str | None = None) -> Json:
    answer.end(ChatUsage(1, 2, 3), tier)
    body: Json = json.loads(answer.body())
    return body


def message(answer: ChatAnswer) -> Json:
    (choice,) = ended(answer)["choices"]
    assert isinstance(choice["message"], dict)
    return choice["message"]
