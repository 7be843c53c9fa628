"""The proxy's answers next to those of Google's own OpenAI-compatible endpoint, as recorded.

Each recording is written again in Gemini's native frames, as far as it shows them, and the answer
is compared with Google's. Where the two differ on purpose, the test says so and why.
"""

import json
from collections.abc import Collection
from typing import Any

import pytest

from tests.support.recordings import WIRE, recordings
from tests.upstreams.gemini.replies import (
    DONE,
    JSON,
    a_frame,
    a_function_call,
    a_plan,
    a_usage,
    accumulate,
    chunks_of,
    sse,
    stream,
    whole,
)

FOLDER = "gemini_openai_compat"


def google(name: str) -> Any:
    """Return the recorded answer: a body, or the chunks of a stream."""
    found = [p.values[0] for p in recordings(FOLDER) if str(p.id).startswith(name)]
    if not found or found[0] is None:
        pytest.skip("the recorded exchanges are not next to this checkout")
    response: Any = found[0]["response"]
    if "body" in response:
        return response["body"]
    events = response["sse"].split("\n\n")
    return [json.loads(event[6:]) for event in events if event.startswith("data: {")]


def same_where_both_speak(ours: JSON, googles: JSON, *, but: Collection[str] = ()) -> None:
    """Each field of Google's is here too, of the same kind and, unless named, the same value."""
    for key, value in googles.items():
        if key in but:
            continue
        assert key in ours, key
        if isinstance(value, dict):
            same_where_both_speak(ours[key], value, but=but)
        else:
            assert ours[key] == value, key


# Ids, times and names belong to the answer, not to its form. Here they are OpenAI's in form: an id
# begins with "chatcmpl-", and the model is the name that the client asked for.
OWN = {"id", "created", "model"}


def test_a_whole_answer_has_all_that_googles_has() -> None:
    theirs = google("GOModel__chat_with_params")
    text = theirs["choices"][0]["message"]["content"]

    ours = whole(a_frame({"text": text}, finish="STOP", usage=a_usage(10, 5)))

    same_where_both_speak(ours, theirs, but=OWN | {"choices"})
    same_where_both_speak(ours["choices"][0], theirs["choices"][0])
    # Better: refusal, annotations and logprobs are there as null or empty, which strict clients
    # read without asking, and usage has its details.
    assert {"refusal", "annotations"} <= ours["choices"][0]["message"].keys()
    assert {"prompt_tokens_details", "completion_tokens_details"} <= ours["usage"].keys()
    assert ours["id"].startswith("chatcmpl-")


def test_a_stream_says_what_googles_says() -> None:
    (theirs,) = google("GOModel__chat_completion_stream")
    text = theirs["choices"][0]["delta"]["content"]

    data = stream(sse(a_frame({"text": text}, finish="STOP")))

    chunks = chunks_of(data)
    assert data.endswith(DONE)
    for chunk in chunks:
        same_where_both_speak(chunk, theirs, but=OWN | {"choices"})
    # Better: role, content and finish reason in chunks of their own, as OpenAI sends them. Google
    # puts all in one; accumulators come to the same message.
    ours = accumulate(chunks)[0]
    assert ours["message"] == {"role": "assistant", "content": text}
    assert ours["finish_reason"] == theirs["choices"][0]["finish_reason"] == "stop"


def test_streamed_calls_carry_what_googles_carry_and_an_index() -> None:
    theirs = google("ag-ui-rust")
    frames, calls = [], []
    for chunk in theirs:
        for call in chunk["choices"][0]["delta"].get("tool_calls", []):
            calls.append(call)
            function = call["function"]
            part = a_function_call(function["name"], json.loads(function["arguments"]))
            if "extra_content" in call:
                part["thoughtSignature"] = call["extra_content"]["google"]["thought_signature"]
            frames.append(a_frame(part))

    chunks = chunks_of(stream(sse(*frames, a_frame({"text": ""}, finish="STOP"))))

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    ours = [call for delta in deltas for call in delta.get("tool_calls", [])]
    assert len(ours) == len(calls) == 2
    for mine, googles in zip(ours, calls, strict=True):
        same_where_both_speak(mine, googles, but=OWN)
        assert "index" not in googles
    # Better: Google leaves the index out, which breaks every client that joins deltas by it.
    assert [call["index"] for call in ours] == [0, 1]
    # Better: Google repeats the role in every chunk; OpenAI sends it once.
    assert [("role" in delta) for delta in deltas] == [True, False, False, False]
    # Better: Google finishes with "stop" after calls; clients then do not execute them.
    assert theirs[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_call_has_an_id_and_its_signature_in_googles_place() -> None:
    theirs = google("pydantic-ai__test_compatible_api_with_tool_calls_without_id__0")
    message = theirs["choices"][0]["message"]
    signature = message["extra_content"]["google"]["thought_signature"]
    name = message["tool_calls"][0]["function"]["name"]

    part = {**a_function_call(name), "thoughtSignature": signature}
    ours = whole(
        a_frame(part, finish="STOP", usage=a_usage(35, 12, 62)), plan=a_plan(declared=[name])
    )

    (mine,) = ours["choices"][0]["message"]["tool_calls"]
    same_where_both_speak(mine, message["tool_calls"][0], but={"id"})
    assert ours["choices"][0]["finish_reason"] == theirs["choices"][0]["finish_reason"]
    # Better: Google's id is empty, so that a result can not name its call.
    assert message["tool_calls"][0]["id"] == ""
    assert len(mine["id"]) == 29
    # As Google does today (see the stream above): the signature of a call is on the call. This
    # recording is older and has it on the message, twice.
    assert mine["extra_content"]["google"]["thought_signature"] == signature
    # Better: Google's completion leaves the thoughts out and the sum does not come out.
    assert theirs["usage"] == {"completion_tokens": 12, "prompt_tokens": 35, "total_tokens": 109}
    usage = ours["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (35, 109)
    assert usage["completion_tokens"] == 109 - 35


def test_a_texts_signature_is_in_googles_place_on_the_message() -> None:
    theirs = google("pydantic-ai__test_compatible_api_with_tool_calls_without_id__1")
    message = theirs["choices"][0]["message"]
    signature = message["extra_content"]["google"]["thought_signature"]

    part = {"text": message["content"], "thoughtSignature": signature}
    ours = whole(a_frame(part, finish="STOP", usage=a_usage(66, 6, 28)))["choices"][0]["message"]

    # On purpose not: "thought": true, which says that the text is a thought, and it is not; and a
    # second copy of the signature next to extra_content, for which no client asks.
    same_where_both_speak(ours, message, but={"thought", "thought_signature"})
    assert ours["extra_content"] == {"google": {"thought_signature": signature}}


def test_every_recording_is_looked_at() -> None:
    if not WIRE.is_dir():
        pytest.skip("the recorded exchanges are not next to this checkout")

    assert len(recordings(FOLDER)) == 5
