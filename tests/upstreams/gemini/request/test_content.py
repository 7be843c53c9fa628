"""content: content parts become Gemini parts."""

import base64
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ContentPart, MessageContent
from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.content import ContentReader, ImageUrls, texts, web_links
from tests.upstreams.gemini.chat import JPEG_BYTES, NEWEST, OLD, PNG

PNG_URL = f"data:image/png;base64,{PNG}"
PNG_PART = {"inlineData": {"mimeType": "image/png", "data": PNG}}
FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc"
WEB = "https://example.com/pic.jpg"
PDF64 = base64.b64encode(b"%PDF-1.7").decode()
WAV64 = base64.b64encode(b"RIFF\0\0\0\0WAVEfmt ").decode()


def content_of(value: Any) -> MessageContent:
    content: MessageContent = msgspec.convert(value, str | list[ContentPart | str] | None)
    return content


def parts(
    value: Any,
    *,
    model: str = NEWEST,
    media: Mapping[str, Media | ProxyError] | None = None,
    image_urls: ImageUrls = "fetch",
) -> list[dict[str, Any]]:
    reader = ContentReader(traits_of(model), media or {}, image_urls)
    built = reader.parts(content_of(value), "messages[0].content")
    found: list[dict[str, Any]] = msgspec.to_builtins(built)
    return found


def image(url: str, **fields: object) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def file(**fields: object) -> dict[str, object]:
    return {"type": "file", "file": fields}


def audio(data: str, form: str | None = None) -> dict[str, object]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": form}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("hi", [{"text": "hi"}]),
        ("", []),
        (None, []),
        ([], []),
        ("  ", [{"text": "  "}]),
        ([{"type": "text", "text": ""}, {"type": "text", "text": "a"}], [{"text": "a"}]),
        (["a", {"type": "text", "text": "b"}], [{"text": "a"}, {"text": "b"}]),
        ([{"type": "refusal", "refusal": "No."}], [{"text": "No."}]),
    ],
    ids=str,
)
def test_texts_stay_apart_and_empty_ones_go(content: Any, expected: Any) -> None:
    assert expected == parts(content)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (image(PNG_URL), PNG_PART),
        ({"type": "image_url", "image_url": PNG_URL}, PNG_PART),
        (image(f"  {PNG_URL}\n"), PNG_PART),
        (image(PNG), PNG_PART),
        (image(FILE), {"fileData": {"fileUri": FILE}}),
        (
            image("https://youtu.be/abc"),
            {"fileData": {"fileUri": "https://youtu.be/abc", "mimeType": "video/mp4"}},
        ),
        (
            image("gs://b/x.webp"),
            {"fileData": {"fileUri": "gs://b/x.webp", "mimeType": "image/webp"}},
        ),
        (image("gs://b/x"), {"fileData": {"fileUri": "gs://b/x", "mimeType": "image/jpeg"}}),
        (
            image(f"data:application/pdf;base64,{PDF64}"),
            {"inlineData": {"mimeType": "application/pdf", "data": PDF64}},
        ),
        (image("data:image/svg+xml,<svg/>"), {"text": "<svg/>"}),
        (
            {"type": "video_url", "video_url": {"url": "gs://b/x"}},
            {"fileData": {"fileUri": "gs://b/x", "mimeType": "video/mp4"}},
        ),
        (
            {"type": "audio_url", "audio_url": f"data:audio/x-wav;base64,{WAV64}"},
            {"inlineData": {"mimeType": "audio/wav", "data": WAV64}},
        ),
    ],
    ids=str,
)
def test_links_and_data_urls(part: Any, expected: Any) -> None:
    assert [expected] == parts([part])


@pytest.mark.parametrize(
    ("form", "mime"),
    [
        ("wav", "audio/wav"),
        ("MP3", "audio/mpeg"),
        ("m4a", "audio/mp4"),
        ("mp4", "audio/mp4"),
        ("webm", "audio/webm"),
        ("audio/ogg", "audio/ogg"),
        ("g711", "audio/g711"),
        ("a b", "audio/wav"),
        (None, "audio/wav"),
    ],
)
def test_audio_formats(form: str | None, mime: str) -> None:
    assert [{"inlineData": {"mimeType": mime, "data": WAV64}}] == parts([audio(WAV64, form)])


def test_audio_may_be_a_data_url_itself() -> None:
    found = parts([audio(f"data:audio/mp3;base64,{WAV64}", "wav")])

    assert found == [{"inlineData": {"mimeType": "audio/mpeg", "data": WAV64}}]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"file_data": f"data:application/pdf;base64,{PDF64}"},
            {"inlineData": {"mimeType": "application/pdf", "data": PDF64}},
        ),
        ({"file_data": PDF64}, {"inlineData": {"mimeType": "application/pdf", "data": PDF64}}),
        (
            {"file_data": "QUJD", "filename": "a.png"},
            {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
        ),
        ({"file_data": "YSxi", "filename": "t.csv"}, {"text": "a,b"}),
        ({"file_data": "data:text/plain;base64,aGk="}, {"text": "hi"}),
        ({"file_id": "files/abc"}, {"fileData": {"fileUri": FILE}}),
        ({"file_id": FILE}, {"fileData": {"fileUri": FILE}}),
        ({"file_url": FILE}, {"fileData": {"fileUri": FILE}}),
        (
            {"file_data": "gs://b/x", "filename": "x.mp4"},
            {"fileData": {"fileUri": "gs://b/x", "mimeType": "video/mp4"}},
        ),
    ],
    ids=str,
)
def test_files(fields: dict[str, object], expected: Any) -> None:
    assert [expected] == parts([file(**fields)])


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        ({"text": "x"}, ".type", "missing_required_parameter"),
        ({"type": "text"}, ".text", "missing_required_parameter"),
        ({"type": "refusal"}, ".refusal", "missing_required_parameter"),
        ({"type": "image_url"}, ".image_url", "missing_required_parameter"),
        ({"type": "video_url"}, ".video_url", "missing_required_parameter"),
        ({"type": "audio_url"}, ".audio_url", "missing_required_parameter"),
        ({"type": "input_audio"}, ".input_audio", "missing_required_parameter"),
        ({"type": "file"}, ".file", "missing_required_parameter"),
        (file(filename="a.pdf"), ".file.file_data", "missing_required_parameter"),
        ({"type": "tool_use"}, ".type", "invalid_value"),
        (image("data:image/png;base64,???"), "", "invalid_image_url"),
        (image("ftp://example.com/a.png"), "", "invalid_image_url"),
        (image("QUJD"), "", "invalid_image_url"),
        (image("data:image/gif;base64,R0lGODlh"), "", "invalid_image_format"),
        (audio("%%%"), "", "invalid_audio"),
        (audio("QUJD"), "", "invalid_audio"),
        (file(file_id="file-7qh8AjzrjyRGiQ7kaFybfG"), ".file.file_id", "invalid_file_id"),
        (file(file_data="%%%"), "", "invalid_file"),
    ],
    ids=str,
)
def test_parts_that_cannot_be_read_are_a_400_with_their_place(
    part: Any, param: str, code: str
) -> None:
    with pytest.raises(ProxyError) as caught:
        parts(["first", part])

    assert (400, f"messages[0].content[1]{param}", code) == (
        caught.value.status,
        caught.value.param,
        caught.value.code,
    )


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (
            Media("image/jpeg; charset=x", JPEG_BYTES),
            {
                "inlineData": {
                    "mimeType": "image/jpeg",
                    "data": base64.b64encode(JPEG_BYTES).decode(),
                }
            },
        ),
        (
            Media("application/octet-stream", b"%PDF-1"),
            {"inlineData": {"mimeType": "image/jpeg", "data": "JVBERi0x"}},
        ),
        (Media("image/svg+xml", b"<svg/>"), {"text": "<svg/>"}),
    ],
    ids=["type of the header", "type of the name", "svg"],
)
def test_downloaded_media_go_inline(media: Media, expected: Any) -> None:
    assert [expected] == parts([image(WEB)], media={WEB: media})


def test_a_link_to_a_text_is_fine_as_a_file_but_no_picture() -> None:
    media = {WEB: Media("text/html", b"<p>hi</p>")}

    assert parts([file(file_data=WEB)], media=media) == [{"text": "<p>hi</p>"}]
    with pytest.raises(ProxyError, match="leads to text/html") as caught:
        parts([image(WEB)], media=media)
    assert caught.value.code == "invalid_image_url"


def test_why_a_download_failed_is_reported_with_the_place() -> None:
    failure = ProxyError(400, "Error while downloading.", code="invalid_image_url", retry_after=3)
    with pytest.raises(ProxyError) as caught:
        parts(["see", image(WEB)], media={WEB: failure})

    assert (
        caught.value.param,
        caught.value.code,
        caught.value.retry_after,
        caught.value.message,
    ) == ("messages[0].content[1]", "invalid_image_url", 3, "Error while downloading.")


@pytest.mark.parametrize(
    ("media", "image_urls", "why"),
    [
        ({}, "fetch", "could not be downloaded"),
        ({WEB: Media("image/png", b"")}, "fetch", "no data"),
        ({}, "refuse", "data URL"),
    ],
)
def test_links_that_give_nothing_are_a_400(
    media: dict[str, Media], image_urls: ImageUrls, why: str
) -> None:
    with pytest.raises(ProxyError, match=why) as caught:
        parts([image(WEB)], media=media, image_urls=image_urls)

    assert (
        caught.value.code,
        caught.value.param,
    ) == ("invalid_image_url", "messages[0].content[0]")


@pytest.mark.parametrize(
    ("part", "mime"),
    [
        (image("https://x.test/a.webp?s=1"), "image/webp"),
        (image("https://x.test/a"), "image/jpeg"),
        ({"type": "video_url", "video_url": {"url": "https://x.test/a"}}, "video/mp4"),
        (file(file_data="https://x.test/a"), "application/pdf"),
    ],
    ids=str,
)
def test_links_can_be_passed_with_a_type_by_their_name(part: Any, mime: str) -> None:
    assert parts([part], image_urls="pass")[0]["fileData"]["mimeType"] == mime


@pytest.mark.parametrize(
    ("detail", "level"),
    [("low", "LOW"), ("High", "HIGH"), ("medium", "MEDIUM"), ("ultra_high", "ULTRA_HIGH")],
)
def test_detail_is_a_resolution_of_the_part(detail: str, level: str) -> None:
    assert parts([image(PNG_URL, detail=detail)])[0]["mediaResolution"] == {
        "level": f"MEDIA_RESOLUTION_{level}"
    }


@pytest.mark.parametrize("detail", ["auto", None, "original"])
def test_other_details_are_left_to_the_model(detail: str | None) -> None:
    assert parts([image(PNG_URL, detail=detail)]) == [PNG_PART]


@pytest.mark.parametrize(
    ("model", "details", "resolution"),
    [
        (OLD, ["low", "high"], "MEDIA_RESOLUTION_HIGH"),
        (OLD, ["ultra_high"], "MEDIA_RESOLUTION_HIGH"),
        (OLD, ["low", "auto"], "MEDIA_RESOLUTION_LOW"),
        (OLD, [None], None),
        (NEWEST, ["high"], None),
        ("gemini-2.0-flash", ["high"], None),
    ],
)
def test_older_models_have_one_resolution_for_the_request(
    model: str, details: list[str | None], resolution: str | None
) -> None:
    reader = ContentReader(traits_of(model), {})
    content = content_of([image(PNG_URL, detail=detail) for detail in details])
    built = reader.parts(content, "messages[0].content")

    assert resolution == reader.resolution
    assert all(part.media_resolution is None for part in built) or model == NEWEST


def test_a_system_message_is_text() -> None:
    assert texts(content_of([{"type": "text", "text": "a"}, "", "b"]), "p") == ["a", "b"]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        (image(PNG_URL), "invalid_value"),
        ({"text": "x"}, "missing_required_parameter"),
        ({"type": "text"}, "missing_required_parameter"),
    ],
)
def test_a_system_message_is_nothing_but_text(part: Any, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        texts(content_of([part]), "messages[0].content")

    assert code == caught.value.code
    assert str(caught.value.param).startswith("messages[0].content[0].")


def test_links_to_download_are_found_in_order() -> None:
    other, third = "http://x.test/b", "https://x.test/c.pdf"
    contents = [
        content_of([image(WEB), image(PNG_URL), image(FILE), image("https://youtu.be/a")]),
        content_of("https://x.test/not-a-part"),
        content_of([{"type": "video_url", "video_url": other}, image(f" {WEB} ")]),
        content_of([file(file_data=third), file(file_id="files/abc"), file(filename="x")]),
        content_of([{"type": "image_url"}, {"type": "audio_url", "audio_url": {"url": "gs://b"}}]),
        None,
    ]

    assert web_links(contents) == [WEB, other, WEB, third]


def test_what_only_others_have_a_place_for_is_said_in_words() -> None:
    found = {
        "type": "search_result",
        "title": "Weather",
        "source": "https://x.test",
        "content": [{"type": "text", "text": "Sunny."}, {"type": "text", "text": "Dry."}],
    }
    described = file(file_data=f"data:application/pdf;base64,{PDF64}", title="A", context="Old.")

    assert parts([found, {"type": "tool_reference", "tool_name": "f"}]) == [
        {"text": "Weather\nhttps://x.test\nSunny.\nDry."},
        {"text": "Tool f is available now."},
    ]
    about, document = parts([described])
    assert about == {"text": "A\nOld."}
    assert document["inlineData"]["mimeType"] == "application/pdf"


def test_media_behind_links_is_75_mib_together_at_most() -> None:
    media = {WEB: Media("image/png", bytes(75 * 1024 * 1024 + 1))}
    with pytest.raises(ProxyError, match="75 MiB") as caught:
        parts([image(WEB)], media=media)

    assert caught.value.param == "messages[0].content[0]"
