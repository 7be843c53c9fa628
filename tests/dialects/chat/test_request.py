"""Chat requests: they are canonical already, and say how their answer should look."""

import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.answer import Finish
from jarvis_proxy.canonical.chat_decoder import chat_in
from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.request import SameParams
from jarvis_proxy.dialects.chat.options import ChatOptions
from jarvis_proxy.dialects.chat.request import ChatDialect, read_options
from jarvis_proxy.errors import ProxyError
from tests.canonical.fakes import a_call
from tests.upstreams.gemini.chat import asking, function


def options(**fields: Any) -> ChatOptions:
    return read_options(msgspec.convert(asking(**fields), ChatRequest))


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {}),
        ({"stream_options": {}}, {}),
        ({"google": {"thought_tag_marker": "think"}}, {"think_tag": "think"}),
        ({"google": {"thoughtTagMarker": "t"}}, {"think_tag": "t"}),
        ({"extra_body": {"google": {"thought_tag_marker": "t"}}}, {"think_tag": "t"}),
        ({"extra_body": {"extra_body": {"google": {"thought_tag_marker": "t"}}}},
         {"think_tag": "t"}),
        ({"google": {"thought_tag_marker": None}, "extra_body": 3}, {}),
        ({"google": 3}, {}),
        ({"extra_body": {"extra_body": {"extra_body": {"google": {"thoughtTagMarker": "t"}}}}}, {}),
        ({"service_tier": "auto"}, {"service_tier": True}),
        ({"service_tier": None}, {}),
        ({"audio": {"format": "pcm16"}}, {"audio_format": "pcm16"}),
        ({"audio": {}}, {}),
        ({"functions": [{"name": "f"}]}, {"legacy_functions": True}),
        ({"function_call": "auto"}, {"legacy_functions": True}),
        ({"functions": [{"name": "f"}], "tools": [function()]}, {}),
        ({"functions": [{"name": "f"}], "tools": [{"function": {"name": "g"}}]}, {}),
        ({"functions": [{"name": "f"}], "tools": [{"type": "web_search"}]},
         {"legacy_functions": True}),
    ],
    ids=str,
)  # fmt: skip
def test_the_form_of_the_answer(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert options(**fields) == ChatOptions(**expected)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"google": {"thought_tag_marker": "<b>"}}, "google.thought_tag_marker"),
        ({"google": {"thought_tag_marker": ""}}, "google.thought_tag_marker"),
        ({"google": {"thought_tag_marker": 3}}, "google.thought_tag_marker"),
        ({"extra_body": {"google": {"thought_tag_marker": "1"}}},
         "extra_body.google.thought_tag_marker"),
    ],
    ids=str,
)  # fmt: skip
def test_a_tag_that_cannot_be_one_is_a_400(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ProxyError) as refused:
        options(**fields)

    assert (refused.value.status, refused.value.param) == (400, param)


def test_the_request_is_the_body_itself_decoded_once() -> None:
    call = a_call(json.dumps(asking()).encode())

    request, *_ = ChatDialect(lambda: "x" * 24).read(call, ModelFeatures())

    assert request.body is call.body
    assert isinstance(request.params, SameParams)
    assert request.ignored == ()
    assert request.decoded is not None
    assert chat_in(request.decoded).messages[0].content == "hi"


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"messages":[]}', b'{"messages":3}', b"\xff"])
def test_a_body_that_is_no_chat_request_is_a_400(body: bytes) -> None:
    with pytest.raises(ProxyError) as refused:
        ChatDialect(lambda: "x" * 24).read(a_call(body), ModelFeatures())

    assert refused.value.status == 400


def test_the_answer_is_the_calls() -> None:
    call = a_call(json.dumps(asking(stream_options={"include_usage": True})).encode())
    _, new_answer, _ = ChatDialect(lambda: "x" * 24).read(call, ModelFeatures())

    answer = new_answer(stream=True)
    answer.choice(0).finish(Finish(reason="stop"))
    answer.end(None)

    *_, usage, done, _ = answer.take().split(b"\n\n")
    assert json.loads(usage.removeprefix(b"data: "))["usage"]["total_tokens"] == 0
    assert done == b"data: [DONE]"
    assert answer.take() == b""
