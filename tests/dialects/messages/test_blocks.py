"""Rows R6 to R10: content blocks become content parts."""

import pytest

from tests.dialects.messages.requests import (
    CACHED,
    PDF,
    PIXEL,
    PIXEL_PART,
    Json,
    call,
    fault,
    messages,
    model,
    result,
    text,
    user,
)


def test_an_unknown_block_is_named() -> None:
    error = fault(messages=[user("a"), model("b"), user({"type": "hologram"})])
    assert error.param == "messages.2.content.0"
    assert error.message == (
        "messages.2.content.0: Input tag 'hologram' found using 'type' does not match any of the "
        "expected tags: 'text', 'image', 'document', 'search_result', 'tool_result'"
    )
    assert fault(messages=[user("a"), model(PIXEL)]).param == "messages.1.content.0"
    assert fault(system=[PIXEL]).param == "system.0"


def test_text_without_citations_and_no_empty_text() -> None:
    found = messages(user(text("a", citations=[{"type": "char_location"}]), text("")))
    assert found == [{"role": "user", "content": "a"}]
    assert fault(messages=[user({"type": "text"})]).message == (
        "messages.0.content.0.text: Field required"
    )


@pytest.mark.parametrize("place", ["user", "tool_result"])
def test_images(place: str) -> None:
    link = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    given = [PIXEL, link | {"cache_control": CACHED}]
    expected = [
        PIXEL_PART,
        {
            "type": "image_url",
            "image_url": {"url": "https://a.example/b.png"},
            "cache_control": CACHED,
        },
    ]
    if place == "user":
        (found,) = messages(user(*given))
    else:
        *_, found = messages(user("a"), model(call("1")), user(result("1", given)))
    assert found["content"] == expected


@pytest.mark.parametrize("kind", ["image", "document"])
def test_stored_files_are_refused(kind: str) -> None:
    block = {"type": kind, "source": {"type": "file", "file_id": "file_1"}}
    error = fault(messages=[user(block)])
    assert (error.code, error.param) == ("invalid_file_id", "messages.0.content.0.source")


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image"}, "source"),
        ({"type": "image", "source": {"type": "base64", "data": "a"}}, "source.media_type"),
        ({"type": "image", "source": {"type": "url"}}, "source.url"),
        ({"type": "image", "source": {"type": "smoke"}}, "source"),
        ({"type": "document", "source": {"type": "smoke"}}, "source"),
        ({"type": "document", "source": {"type": "content"}}, "source.content"),
        ({"type": "document", "source": {"type": 1}}, "source.type"),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "tool_use"}]}},
            "source.content.0",
        ),
        ({"type": "image", "source": None}, "source"),
    ],
)
def test_a_source_lacks_something(block: Json, param: str) -> None:
    assert fault(messages=[user(block)]).param == f"messages.0.content.0.{param}"


PDF_URL = "data:application/pdf;base64,JVBERi0x"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"source": PDF},
            [{"type": "file", "file": {"file_data": PDF_URL, "filename": "document.pdf"}}],
        ),
        (
            {"source": PDF, "title": "Q3", "context": "Draft"},
            [
                text("Q3\nDraft"),
                {"type": "file", "file": {"file_data": PDF_URL, "filename": "Q3.pdf"}},
            ],
        ),
        (
            {"source": {"type": "url", "url": "https://a.example/b.pdf"}, "title": "b.pdf"},
            [
                text("b.pdf"),
                {
                    "type": "file",
                    "file": {"file_url": "https://a.example/b.pdf", "filename": "b.pdf"},
                },
            ],
        ),
        (
            {"source": {"type": "text", "media_type": "text/plain", "data": "abc"}, "title": "T"},
            [text("T"), text("abc")],
        ),
        (
            {
                "source": {"type": "content", "content": [text("a"), PIXEL]},
                "cache_control": CACHED,
            },
            [text("a"), PIXEL_PART | {"cache_control": CACHED}],
        ),
        ({"source": {"type": "content", "content": "abc"}, "title": "T"}, [text("T"), text("abc")]),
    ],
)
def test_documents(block: Json, expected: list[Json]) -> None:
    (found,) = messages(user({"type": "document", "citations": {"enabled": True}, **block}))
    assert found["content"] == expected


def test_search_results() -> None:
    block = {
        "type": "search_result",
        "source": "https://a.example",
        "title": "A",
        "content": [text("x"), text("y")],
        "citations": {"enabled": True},
        "cache_control": CACHED,
    }
    (found,) = messages(user(block))
    del block["citations"]
    assert found["content"] == [block]
    broken = block | {"source": {"type": "url"}}
    assert fault(messages=[user(broken)]).message == (
        "messages.0.content.0.source: Input should be a valid string"
    )
