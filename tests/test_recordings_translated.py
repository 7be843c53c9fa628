"""Recorded answers for clients of other APIs, and recorded requests to other upstreams.

Answers are valid for the types of the official SDKs, and say the same to clients of every API.
Requests pass services that are as strict as the real ones, or the proxy says why they cannot.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai import types
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from jarvis_proxy.errors import ProxyError
from tests.matrix import client_readers as readers
from tests.support import plain_readings
from tests.support.crossings import (
    CHAT,
    GOOGLE,
    MESSAGES,
    RESPONSES,
    SOURCES,
    answer_for,
    answered,
    refusal,
    upstream,
)
from tests.support.recordings import MISSING, WIRE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.no_cover,
    pytest.mark.skipif(not WIRE.is_dir(), reason=MISSING),
]

Json = dict[str, Any]
Form = tuple[str, bool]

VALIDATORS: dict[Form, Callable[[Any], object]] = {
    (CHAT, False): ChatCompletion.model_validate,
    (CHAT, True): ChatCompletionChunk.model_validate,
    (RESPONSES, False): Response.model_validate,
    (RESPONSES, True): TypeAdapter(ResponseStreamEvent).validate_python,
    (MESSAGES, False): Message.model_validate,
    (MESSAGES, True): TypeAdapter(RawMessageStreamEvent).validate_python,
    (GOOGLE, False): types.GenerateContentResponse.model_validate,
    (GOOGLE, True): types.GenerateContentResponse.model_validate,
}
READERS: dict[Form, Callable[[bytes], readers.Seen]] = {
    (CHAT, False): readers.chat_whole,
    (CHAT, True): readers.chat_stream,
    (RESPONSES, False): readers.responses_whole,
    (RESPONSES, True): readers.responses_stream,
    (MESSAGES, False): readers.messages_whole,
    (MESSAGES, True): readers.messages_stream,
    (GOOGLE, False): readers.generate_content_whole,
    (GOOGLE, True): readers.generate_content_stream,
}


def validate(form: Form, answer: bytes) -> None:
    """Fail unless each event of a stream, or the whole answer, is valid for the official SDK."""
    if not form[1]:
        VALIDATORS[form](json.loads(answer))
        return
    events = [event for _, event in readers.sse(answer) if event != b"[DONE]"]
    assert events
    for event in events:
        assert not event.get("error"), event
        VALIDATORS[form](event)


def said(form: Form, answer: bytes) -> tuple[object, ...]:
    """Return text, thoughts, calls and tokens of an answer, read without the proxy."""
    seen = READERS[form](answer)
    words = ["".join(str(e[1]) for e in seen.events if e[0] == k) for k in ("text", "thought")]
    return *words, [list(event[1:]) for event in seen.events if event[0] == "call"], seen.usage


@pytest.mark.parametrize(
    ("folder", "kind", "source", "apis", "count"),
    SOURCES,
    ids=[row[2] for row in SOURCES],
)
def test_every_answer_is_valid_for_the_sdks_of_the_other_apis(
    folder: str, kind: str, source: str, apis: tuple[str, ...], count: int
) -> None:
    """Of Gemini's 302, six are errors or no whole answers for clients of every API."""
    passed: Counter[str] = Counter()
    wrong: list[str] = []
    service = upstream(source)
    for recording in answered(folder, kind):
        for api in apis:
            try:
                answer = answer_for(api, recording, service)
                validate((api, "sse" in recording["response"]), answer)
            except ProxyError:
                continue
            except (AssertionError, ValueError) as error:
                wrong.append(f"{recording['id']} for {api}: {error}"[:500])
            passed[api] += 1

    assert wrong == []
    assert passed == dict.fromkeys(apis, count)


def test_clients_of_all_apis_read_the_same_of_every_answer_of_claudes() -> None:
    service = upstream("anthropic")
    differing = []
    for recording in answered("anthropic", "messages"):
        stream = "sse" in recording["response"]
        heard = [
            said((api, stream), answer_for(api, recording, service))
            for api in (CHAT, RESPONSES, GOOGLE)
        ]
        if any(one != plain_readings.read(recording)[:4] for one in heard):
            differing.append(recording["id"])

    assert differing == []


OUR_REFUSALS = re.compile(
    r"proxy: .*(?:Stored files|stores n|is stored here|stored at OpenAI|cannot run tools of type"
    r"|file_id|does not resolve|decimal below minimum|is not served for m\."
    r"|known to Google's models"
    r"|Only Google's models can read|answers in text only|contents are required"
    r"|do not take (?:audio|video)|give one choice|does not give the modality)"
)
"""What only the recorded upstream could do: it holds state of the client, runs tools, hears, sees
or draws, or takes what is not valid elsewhere."""
SERVICES_REFUSAL = "service: Invalid n value (currently only n = 1 is supported)"
"""Two candidates are asked for, which only the service can refuse: many give as many as wanted."""


@pytest.mark.parametrize(
    ("folder", "kind", "target", "passed", "count"),
    [
        ("anthropic", "messages", "gemini", 235, 244),
        ("anthropic", "messages", "chat", 237, 244),
        ("openai_responses", "responses", "gemini", 135, 161),
        ("openai_responses", "responses", "chat", 148, 161),
        ("openai_responses", "responses", "anthropic", 148, 161),
        ("gemini", "generate", "chat", 226, 275),
        ("gemini", "generate", "anthropic", 213, 275),
        ("openai", "chat", "gemini", 131, 133),
        ("openai", "chat", "anthropic", 121, 133),
    ],
)
def test_every_request_passes_the_strict_services_of_other_apis(
    folder: str, kind: str, target: str, passed: int, count: int
) -> None:
    asked = {
        recording["id"]: recording["request"]
        for recording in answered(folder, kind)
        if isinstance(recording["request"].get("body"), dict)
    }
    refusals = {name: refusal(api_of(one), one["body"], target) for name, one in asked.items()}

    unexplained = {
        name: why
        for name, why in refusals.items()
        if why and why != SERVICES_REFUSAL and not OUR_REFUSALS.match(why)
    }
    assert unexplained == {}
    assert (sum(not why for why in refusals.values()), len(refusals)) == (passed, count)


def api_of(request: Json) -> str:
    """Return the client API of a recorded request, as ``Call.endpoint``."""
    path = request["path"].partition("?")[0]
    if ":" in path:
        return str(path.rpartition(":")[2])
    return next(api for api in (CHAT, RESPONSES, MESSAGES) if path.endswith(api))
