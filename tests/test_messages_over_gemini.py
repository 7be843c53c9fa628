"""Messages clients on a Gemini model, at the socket."""

import json
from typing import Any

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.google_media import GoogleMedia, frame
from tests.support.raw_client import RawResponse, fetch

pytestmark = pytest.mark.slow

Json = dict[str, Any]
ASK: Json = {"model": "gemini-3.5-flash", "max_tokens": 100}
QUESTION: Json = {"role": "user", "content": "?"}


async def ask(**fields: Any) -> tuple[RawResponse, Json]:
    """Return the answer, and what Google is asked."""
    google = GoogleMedia(frame([{"text": "Hello!"}], "STOP"))
    async with (
        google.upstream.running(),
        running_proxy(gemini=google.upstream.base_url) as proxy,
    ):
        body = {**ASK, "messages": [QUESTION], **fields}
        response = await fetch(proxy.port, "/v1/messages", body, BEARER)
    return response, google.sent[0] if google.sent else {}


async def test_a_tool_that_failed_is_an_error_to_gemini() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no", "is_error": True}
    turns = [
        QUESTION,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    _, sent = await ask(messages=turns, tools=[{"name": "f", "input_schema": {"type": "object"}}])

    (part,) = sent["contents"][2]["parts"]
    assert part["functionResponse"]["response"] == {"error": "no"}


async def test_more_stop_sequences_than_gemini_takes_are_no_error() -> None:
    response, sent = await ask(stop_sequences=list("abcdefg"))

    assert response.status == 200
    assert json.loads(response.body)["content"] == [{"type": "text", "text": "Hello!"}]
    assert sent["generationConfig"]["stopSequences"] == list("abcde")
    assert response.headers["x-jarvis-ignored"] == "stop_sequences"
