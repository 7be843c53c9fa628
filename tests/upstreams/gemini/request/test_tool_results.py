"""results: what tools returned."""

import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatMessage
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.content import ContentReader
from jarvis_proxy.upstreams.gemini.request.tool_results import MISSING, missing_result, read_result
from tests.upstreams.gemini.chat import NEWEST, OLD, PNG

PNG_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
BLOB = {"inlineData": {"mimeType": "image/png", "data": PNG}}
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc"


def read(
    content: Any, model: str = NEWEST, **fields: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    traits = traits_of(model)
    message = msgspec.convert({"role": "tool", "content": content, **fields}, ChatMessage)
    found = read_result(message, "messages[2]", ContentReader(traits, {}), traits, name="f")
    return msgspec.to_builtins(found.response), msgspec.to_builtins(found.extra_parts)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("content", "response"),
    [
        ('{"a": {"b": [1, 2.5, null]}}', {"a": {"b": [1, 2.5, None]}}),
        ('{"error": "boom"}', {"error": "boom"}),
        ("[1, 2]", {"output": [1, 2]}),
        ("42", {"output": 42}),
        ("true", {"output": True}),
        (" null\n", {"output": None}),
        ('"text"', {"output": "text"}),
        ("plain words", {"output": "plain words"}),
        ("1.10", {"output": "1.10"}),
        ("1e3", {"output": "1e3"}),
        ("12345678901234567890", {"output": "12345678901234567890"}),
        ('{"id": 9007199254740993}', {"output": '{"id": 9007199254740993}'}),
        ('{"id": 9007199254740992}', {"id": 9007199254740992}),
        ("", {"output": ""}),
        (None, {"output": ""}),
        ([], {"output": ""}),
        ('{"$ref": "#/x"}', {"output": '{"$ref": "#/x"}'}),
        ('[{"a": {"$ref": 1}}]', {"output": '[{"a": {"$ref": 1}}]'}),
        ('{"say": "$ref"}', {"say": "$ref"}),
        ('{"broken": ', {"output": '{"broken": '}),
        ("[" * 150 + "]" * 150, {"output": "[" * 150 + "]" * 150}),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], {"output": "a\nb"}),
        ([{"type": "text", "text": '{"a": 1}'}], {"a": 1}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_results_become_objects(content: Any, response: dict[str, Any]) -> None:
    found, following = read(content)

    assert {"name": "f", "response": response} == found
    assert following == []


@pytest.mark.parametrize(
    ("content", "response"),
    [
        ("no such file", {"error": "no such file"}),
        ("", {"error": ""}),
        ("[1, 2]", {"error": [1, 2]}),
        ('{"code": 7}', {"error": {"code": 7}}),
        ('{"error": "boom"}', {"error": "boom"}),
        ('{"output": "x", "code": 7}', {"error": {"output": "x", "code": 7}}),
        ([PNG_PART], {"error": {}}),
    ],
)
def test_a_failed_call_is_an_error_to_the_model(content: Any, response: dict[str, Any]) -> None:
    assert read(content, is_error=True)[0]["response"] == response
    assert read(content, is_error=False) == read(content)


def test_pictures_stand_inside_the_response_of_newer_models() -> None:
    found, following = read([{"type": "text", "text": "seen"}, PNG_PART])

    assert found == {"name": "f", "response": {"output": "seen"}, "parts": [BLOB]}
    assert following == []


def test_a_picture_alone_needs_no_words() -> None:
    assert read([PNG_PART])[0] == {"name": "f", "response": {}, "parts": [BLOB]}


def test_pictures_follow_the_response_of_older_models() -> None:
    found, following = read([{"type": "text", "text": "seen"}, PNG_PART], OLD)

    assert found == {"name": "f", "response": {"output": "seen"}}
    assert following == [{"text": "[image returned by f]"}, BLOB]


@pytest.mark.parametrize(
    ("part", "label"),
    [
        ({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}, "audio"),
        ({"type": "video_url", "video_url": {"url": "https://youtu.be/a"}}, "video"),
        ({"type": "image_url", "image_url": {"url": FILE}}, "file"),
        ({"type": "image_url", "image_url": {"url": "data:image/heic;base64,QUJD"}}, "image"),
    ],
    ids=str,
)
def test_what_a_response_cannot_hold_follows_it(part: dict[str, Any], label: str) -> None:
    found, following = read([part, PNG_PART])

    assert found["parts"] == [BLOB]
    assert following[0] == {"text": f"[{label} returned by f]"}
    assert len(following) == 2


def test_a_result_that_never_came_is_an_error_to_the_model() -> None:
    found = missing_result("f", "id1")

    assert msgspec.to_builtins(found.response) == {
        "name": "f",
        "response": {"error": MISSING},
        "id": "id1",
    }
    assert found.extra_parts == []


def test_numbers_keep_their_digits() -> None:
    """Google's Struct holds doubles: what would change there stays text."""
    exact, inexact = {"n": 2**53}, {"n": 2**53 + 1}

    assert read(json.dumps(exact))[0]["response"] == exact
    assert read(json.dumps(inexact))[0]["response"] == {"output": json.dumps(inexact)}
