"""Every recorded answer of Gemini as a response, whole and streamed, against the chat answer.

That one is held against a plain reading of the recording in ``test_reply_wire``.
"""

import json

import pytest

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from tests.dialects.responses.events import (
    JSON,
    a_request,
    outcome,
    read,
    rebuild,
    whole,
)
from tests.support.recordings import recordings, request_of
from tests.support.translated import gemini
from tests.upstreams.gemini.chat import JPEG_BYTES, DictSignatureStore
from tests.upstreams.gemini.google_types import assert_conversation_rules, assert_google_accepts
from tests.upstreams.gemini.replies import a_plan, accumulate, an_exchange, chunks_of, ids, sse
from tests.upstreams.gemini.replies import stream_outcome as chat_outcome
from tests.upstreams.gemini.test_reply_wire import frames_of
from tests.upstreams.gemini.test_request_wire import MODELS

pytestmark = pytest.mark.slow

ANSWERS = [
    param
    for param in recordings("gemini")
    if param.values[0] is None
    or (param.values[0]["kind"] == "generate" and param.values[0]["response"]["status"] == 200)
]
ASKED = a_plan(include_usage=True)


def text_of(response: JSON) -> str:
    parts = (item["content"][0]["text"] for item in response["output"] if "content" in item)
    return "".join(parts)


def thoughts_of(response: JSON) -> str:
    items = (item["summary"] for item in response["output"] if item["type"] == "reasoning")
    return "".join(part["text"] for summary in items for part in summary)


def calls_of(response: JSON) -> list[tuple[str, str]]:
    calls = (item for item in response["output"] if item["type"] == "function_call")
    return [(call["name"], call["arguments"]) for call in calls]


def pictures_of(response: JSON) -> list[str]:
    items = (item for item in response["output"] if item["type"] == "image_generation_call")
    return [item["result"] for item in items]


def check(response: JSON, chat: JSON, usage: JSON) -> None:
    """Compare a response with a chat answer's first choice."""
    message = chat["message"]
    assert text_of(response) == (message["content"] or "")
    assert thoughts_of(response) == message.get("reasoning_content", "")
    calls = [call["function"] for call in message.get("tool_calls", [])]
    assert calls_of(response) == [(call["name"], call["arguments"]) for call in calls]
    pictures = [image["image_url"]["url"] for image in message.get("images", [])]
    assert pictures_of(response) == [url.partition("base64,")[2] for url in pictures]
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = reasons.get(chat["finish_reason"])
    assert response["incomplete_details"] == (reason and {"reason": reason})
    assert response["status"] == ("incomplete" if reason else "completed")
    reported = response["usage"]
    assert (reported["input_tokens"], reported["output_tokens"], reported["total_tokens"]) == (
        usage["prompt_tokens"],
        usage["completion_tokens"],
        usage["total_tokens"],
    )
    annotations = [
        (note["url"], text_of(response)[note["start_index"] : note["end_index"]])
        for item in response["output"]
        for note in (item["content"][0]["annotations"] if "content" in item else [])
    ]
    spots = [note["url_citation"] for note in message.get("annotations", [])]
    content = message["content"] or ""
    assert annotations == [
        (spot["url"], content[spot["start_index"] : spot["end_index"]]) for spot in spots
    ]


@pytest.mark.parametrize("recording", ANSWERS)
def test_recorded_answer_is_a_response(recording: JSON) -> None:
    frames = frames_of(recording)
    data = sse(*frames)
    chat, error = chat_outcome(an_exchange(ASKED, stream=True), [data])
    out, same = outcome([data])
    assert getattr(error, "code", None) == getattr(same, "code", None)
    if error is not None:
        return

    chunks = chunks_of(chat)
    events = read(out)
    final = events[-1]["response"]
    first = accumulate(chunks)[min(accumulate(chunks))]
    check(final, first, chunks[-1]["usage"])
    assert rebuild(events) == final["output"]
    at_once = whole(*frames)
    for response in (final, at_once):
        for item in response["output"]:
            del item["id"]
            item.pop("call_id", None)
    assert at_once == final


@pytest.mark.no_cover
@pytest.mark.parametrize("recording", ANSWERS[:1] if ANSWERS[0].values[0] is None else ANSWERS[::6])
def test_recorded_stream_may_be_cut_anywhere(recording: JSON) -> None:
    data = sse(*frames_of(recording))
    expected, error = outcome([data])

    for size in (1, 7, 1400):
        pieces = (data[at : at + size] for at in range(0, len(data), size))
        actual, other = outcome(pieces)
        assert (actual, getattr(other, "code", None)) == (expected, getattr(error, "code", None))


ASKING = [
    param
    for param in recordings("openai")
    if param.values[0] is None
    or (param.values[0]["kind"] == "responses" and param.values[0]["request"].get("body"))
]
# What cannot be said to Gemini: OpenAI's answer was a 400 as well.
REFUSED = {"pydantic-ai__test_openai_responses_model_http_error__0_1e0b6c": "temperature"}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("recording", ASKING)
def test_recorded_request_is_one_that_google_accepts(recording: JSON, model: str) -> None:
    body, _ = request_of(recording)
    upstream = gemini(DictSignatureStore(), ids())
    call = a_request(json.loads(body), target=model)
    media = {url: Media("image/jpeg", JPEG_BYTES) for url in upstream.needs(call).urls}
    if (param := REFUSED.get(recording["id"])) is not None:
        with pytest.raises(ProxyError) as caught:
            upstream.exchange(call, media)
        assert caught.value.param == param
        return

    built = json.loads(upstream.exchange(call, media).requests[0].body)

    traits = traits_of(model)
    assert_google_accepts(built)
    assert_conversation_rules(built, signed=traits.signatures == "required", ids=traits.sends_ids)
