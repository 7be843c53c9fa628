"""Parts of messages: what a chat service takes stays; the rest becomes text, or is refused."""

import base64
import json
from typing import Any

import pytest
from msgspec import convert

from jarvis_proxy.canonical.chat_request import ContentPart
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.content import file_links
from tests.upstreams.chat.requests import GPT_4, USER, VLLM, Json, called, plan, result

NO_MEDIA: dict[str, Media | ProxyError] = {}
LINK = "https://example.com/files/a.pdf?x=1"

PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7 x").decode()
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}


def user(*parts: Any, target: Any = VLLM, media: Any = NO_MEDIA) -> Any:
    """Return what is sent as the content of a user's message with *parts*."""
    found = plan(target, media=media, messages=[{"role": "user", "content": list(parts)}])
    return json.loads(found.body)["messages"][0]["content"]


def refusal(part: Json, target: Any = VLLM) -> tuple[object, object]:
    """Return the code and the param of the error for a user's message with *part*."""
    with pytest.raises(ProxyError) as caught:
        user(text("a"), part, target=target)
    assert caught.value.status == 400
    return caught.value.code, caught.value.param


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
    assert refusal(part, target=GPT_4) == ("unsupported_value", "messages[0].content[1]")


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

    assert user(text("a"), part, target=GPT_4)[1] == part
    assert refusal(part) == ("invalid_file_id", "messages[0].content[1]")


@pytest.mark.parametrize(
    "file", [{"file_url": LINK}, {"file_data": LINK}, {"file_data": "***"}, {"file_data": ""}, {}]
)
def test_file_without_content_is_refused(file: Json) -> None:
    assert refusal({"type": "file", "file": file}) == ("invalid_file", "messages[0].content[1]")


@pytest.mark.parametrize(
    ("file", "sent"),
    [
        ({"file_url": LINK}, {"filename": "a.pdf", "file_data": PDF}),
        ({"file_data": f" {LINK} ", "filename": "b"}, {"filename": "b", "file_data": PDF}),
    ],
)
def test_file_behind_a_link_was_downloaded(file: Json, sent: Json) -> None:
    media = {LINK: Media("application/pdf", b"%PDF-1.7 x")}

    assert user({"type": "file", "file": file}, media=media) == [{"type": "file", "file": sent}]


def test_text_behind_a_link_is_text() -> None:
    media = {LINK: Media("text/plain", "Grüße".encode())}

    assert user({"type": "file", "file": {"file_url": LINK}}, media=media) == "a.pdf\nGrüße"


def test_link_that_leads_nowhere_is_refused_with_its_reason() -> None:
    media = {LINK: ProxyError(400, "The link gave 404.", code="invalid_file")}
    part = {"type": "file", "file": {"file_url": LINK}}

    with pytest.raises(ProxyError, match="gave 404") as caught:
        user(part, media=media)
    assert caught.value.param == "messages[0].content[0]"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_url": LINK}},
        {"type": "hologram"},
    ],
)
def test_what_cannot_be_sent_is_named_in_the_past(part: Json) -> None:
    content = [text("a"), part]
    past = [{"role": "user", "content": content}, {"role": "assistant", "content": "b"}]
    call = called("c")
    answered = [USER, call, {**result("c"), "content": content}]

    for messages, origin in (([*past, USER], 0), (answered, 2)):
        found = plan(messages=messages)

        assert found.ignored == (f"messages[{origin}].content[1]",)
        with pytest.raises(ProxyError):
            plan(messages=messages, strict=True)


def test_links_to_files_are_found() -> None:
    image = {"type": "image_url", "image_url": LINK}
    files: list[Json] = [{"file_url": LINK}, {"file_data": PDF}, {"file_id": "f", "file_url": LINK}]
    content = [image, "text", *({"type": "file", "file": file} for file in files)]
    parts = convert(content, list[ContentPart | str])

    assert list(file_links(["text", None, parts])) == [LINK]


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


def test_part_of_an_unknown_type_is_refused() -> None:
    assert refusal({"type": "hologram"}) == ("unsupported_value", "messages[0].content[1]")
