"""Parts of messages: what a chat service takes stays, the rest becomes text or is named."""

import base64
from typing import Any

import pytest

from tests.upstreams.chat.requests import GPT_4, VLLM, messages, plan

PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7 x").decode()
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}


def user(*parts: Any, target: Any = VLLM) -> Any:
    """Return what is sent as the content of a user's message with *parts*."""
    return messages({"role": "user", "content": list(parts)}, target=target)[0]["content"]


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def file_of(data: str, **more: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": data, **more}}


def data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def test_texts_alone_become_one_string() -> None:
    assert user(text("a"), "b", text("")) == "a\nb"


def test_text_and_pictures_stay_parts() -> None:
    found = user({**text("a"), "cache_control": {"type": "ephemeral"}}, PICTURE)

    assert found == [text("a"), PICTURE]


@pytest.mark.parametrize(
    "link", ["https://example.com/a.png", {"url": "https://example.com/a.png"}]
)
def test_link_of_a_picture_is_passed(link: Any) -> None:
    found = user({"type": "image_url", "image_url": link})

    assert found == [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]


def test_sound_is_passed() -> None:
    found = user({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}})

    assert found == [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}}]


@pytest.mark.parametrize("kind", ["video_url", "audio_url"])
def test_video_goes_to_compatible_services_only(kind: str) -> None:
    part = {"type": kind, kind: {"url": "https://example.com/a.mp4"}}

    assert user(part) == [part]
    content = [text("a"), part]
    assert plan(GPT_4, messages=[{"role": "user", "content": content}]).ignored == (
        "messages[0].content[1]",
    )


@pytest.mark.parametrize("mime", ["text/plain", "text/markdown", "application/json"])
def test_text_file_becomes_text(mime: str) -> None:
    assert user(file_of(data_url(mime, "Grüße".encode()), filename="a.txt")) == "a.txt\nGrüße"


def test_pdf_stays_a_file() -> None:
    found = user(file_of(PDF, filename="a.pdf"), file_of(PDF))

    assert [part["file"] for part in found] == [
        {"filename": "a.pdf", "file_data": PDF},
        {"filename": "file", "file_data": PDF},
    ]


def test_title_and_context_of_a_file_stand_before_it() -> None:
    found = user(file_of(PDF, title="Report", context="From 2025."))

    assert found[0] == text("Report\nFrom 2025.")
    assert found[1]["type"] == "file"


def test_file_by_id_is_openais() -> None:
    part = {"type": "file", "file": {"file_id": "file-1"}}
    content = [text("a"), part]

    assert user(*content, target=GPT_4)[1] == part
    assert plan(messages=[{"role": "user", "content": content}]).ignored == (
        "messages[0].content[1]",
    )


@pytest.mark.parametrize("file", [{"file_url": "https://example.com/a"}, {"file_data": "***"}, {}])
def test_file_without_data_is_named(file: dict[str, Any]) -> None:
    content = [text("a"), {"type": "file", "file": file}]
    found = plan(messages=[{"role": "user", "content": content}])

    assert found.ignored == ("messages[0].content[1]",)


def test_search_result_becomes_text() -> None:
    part = {
        "type": "search_result",
        "title": "Title",
        "source": "https://example.com",
        "content": [text("One."), text("Two.")],
    }

    assert user(part) == "Title\nhttps://example.com\nOne.\nTwo."


def test_tool_reference_becomes_text() -> None:
    assert user({"type": "tool_reference", "tool_name": "f"}) == "Tool f is available now."


def test_part_of_an_unknown_type_is_named() -> None:
    found = plan(messages=[{"role": "user", "content": [text("a"), {"type": "hologram"}]}])

    assert found.ignored == ("messages[0].content[1]",)
