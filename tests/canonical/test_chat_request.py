"""The canonical request as typed values."""

import json

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import (
    ChatRequest,
    ContentPart,
    InputFile,
    about_file,
    each_part,
    part_as_text,
)


def decoded(**fields: object) -> ChatRequest:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return msgspec.json.decode(json.dumps(body), type=ChatRequest)


def test_unknown_fields_are_skipped() -> None:
    request = decoded(unknown={"a": [1]}, temperature=0.5)

    assert (request.temperature, request.messages[0].content) == (0.5, "hi")


def test_googles_fields_are_read_in_both_spellings() -> None:
    snake, camel = decoded(cached_content="c"), decoded(cachedContent="c", safetySettings=[1])

    assert (snake.cached_content, snake.cached_content_camel) == ("c", None)
    assert (camel.cached_content, camel.cached_content_camel) == (None, "c")
    assert camel.safety_settings_camel == [1]


def test_content_is_text_or_parts() -> None:
    parts = [{"type": "text", "text": "a"}, "b"]
    (message,) = decoded(messages=[{"role": "user", "content": parts}]).messages

    assert message.content == [ContentPart(type="text", text="a"), "b"]


def test_each_part_has_its_param() -> None:
    text = ContentPart(type="text", text="b")

    assert list(each_part(["a", text], "content")) == [
        (ContentPart(type="text", text="a"), "content[0]"),
        (text, "content[1]"),
    ]
    assert list(each_part("b", "content")) == [(text, "content")]
    assert list(each_part(None, "content")) == []


@pytest.mark.parametrize(
    "fields", [{"messages": [{"content": "hi"}]}, {"n": "one"}, {"tools": {}}, {"messages": "hi"}]
)
def test_a_field_of_another_type_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(**fields)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (ContentPart(type="text", text="a"), None),
        (ContentPart(type="tool_reference", tool_name="f"), "Tool f is available now."),
        (ContentPart(type="search_result", title="A", source=7, content="odd"), "A"),
        (ContentPart(type="search_result", content=[{"text": "b"}, "odd", {"text": 1}]), "b"),
    ],
)
def test_parts_of_one_api_only_have_words(part: ContentPart, words: str | None) -> None:
    assert part_as_text(part) == words


def test_what_is_said_about_a_file_is_in_lines() -> None:
    assert about_file(InputFile(title="A", context="b")) == "A\nb"
    assert about_file(InputFile(file_data="x")) == ""
