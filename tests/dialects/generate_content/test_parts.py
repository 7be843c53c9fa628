"""Parts become content parts."""

import base64
import json
from typing import Any

import pytest

from tests.dialects.generate_content.requests import (
    called,
    messages,
    model,
    refusal,
    returned,
    user,
)

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\xff\xfe").decode()


def part(given: Any) -> Any:
    """Return what becomes of a part that stands behind a text."""
    content = messages(user({"text": "a"}, given))[0]["content"]
    return content[1]


def inline(mime: str, data: str, **more: Any) -> Any:
    return {"inlineData": {"mimeType": mime, "data": data, **more}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            inline("image/png", PNG),
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ),
        (
            inline("audio/x-wav", "UklG"),
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        ),
        (
            inline("audio/mp3", "SUQz"),
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (
            inline("audio/flac", "ZkxhQw=="),
            {
                "type": "file",
                "file": {"file_data": "data:audio/flac;base64,ZkxhQw==", "filename": "file"},
            },
        ),
        (
            inline("video/mp4", "AAAA"),
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        ),
        (
            inline("application/pdf", "JVBERg=="),
            {
                "type": "file",
                "file": {
                    "file_data": "data:application/pdf;base64,JVBERg==",
                    "filename": "document.pdf",
                },
            },
        ),
        (
            inline("application/pdf", "JVBERg==", displayName="a.pdf"),
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
            },
        ),
        (inline("text/csv", "YSxi"), {"type": "text", "text": "a,b"}),
        (
            inline("", "AAEC"),
            {
                "type": "file",
                "file": {
                    "file_data": "data:application/octet-stream;base64,AAEC",
                    "filename": "document.pdf",
                },
            },
        ),
    ],
)
def test_data_within_the_request(given: Any, expected: Any) -> None:
    assert part(given) == expected


def test_the_alphabet_of_googles_python_sdk_is_read() -> None:
    raw = base64.b64decode(PNG)
    safe = base64.urlsafe_b64encode(raw).decode()
    assert "_" in safe or "-" in safe

    assert part(inline("image/png", safe)) == part(inline("image/png", PNG))
    snake = {"inline_data": {"mime_type": "image/png", "data": safe}}
    assert part(snake) == part(inline("image/png", PNG))


@pytest.mark.parametrize("data", ["", "?!", None])
def test_data_that_is_none_is_refused_with_its_path(data: Any) -> None:
    error = refusal(contents=[user({"text": "a"}, inline("image/png", data))])

    assert (error.status, error.param) == (400, "contents[0].parts[1].inlineData")


def linked(uri: Any, mime: str = "", **more: Any) -> Any:
    return {"fileData": {"fileUri": uri, "mimeType": mime, **more}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            linked("https://x.example/a", "image/png"),
            {"type": "image_url", "image_url": {"url": "https://x.example/a"}},
        ),
        (
            linked("https://x.example/a.mp4"),
            {"type": "video_url", "video_url": {"url": "https://x.example/a.mp4"}},
        ),
        (
            linked("https://x.example/a.mp3"),
            {"type": "audio_url", "audio_url": {"url": "https://x.example/a.mp3"}},
        ),
        (
            linked("https://x.example/a.pdf", displayName="b.pdf"),
            {
                "type": "file",
                "file": {"file_url": "https://x.example/a.pdf", "filename": "b.pdf"},
            },
        ),
        (
            linked(f"data:image/png;base64,{PNG}"),
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        ),
    ],
)
def test_links_that_anybody_can_fetch(given: Any, expected: Any) -> None:
    assert part(given) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "https://www.youtube.com/watch?v=abc",
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "files/abc",
        "gs://bucket/a.png",
        "data:image/png;base64,?",
        None,
    ],
)
def test_what_only_google_can_fetch_is_refused_with_its_path(uri: Any) -> None:
    error = refusal(contents=[user({"text": "a"}, linked(uri, "image/png"))])

    assert error.status == 400
    assert (error.param or "").startswith("contents[0].parts[1].fileData")


def result(response: Any, **more: Any) -> Any:
    found = messages(
        user({"text": "a"}),
        model(called("f", id="1")),
        user({"functionResponse": {"id": "1", "name": "f", "response": response, **more}}),
    )
    return found[2]


@pytest.mark.parametrize("name", ["output", "result", "content"])
def test_a_result_that_is_one_text_is_that_text(name: str) -> None:
    assert result({name: "sunny"}) == {"role": "tool", "tool_call_id": "1", "content": "sunny"}


@pytest.mark.parametrize(
    "response", [{"output": {"a": 1.5}}, {"output": "a", "b": 1}, {"other": "a"}, {}, [1], "x"]
)
def test_any_other_result_is_json(response: Any) -> None:
    assert json.loads(result(response)["content"]) == response


def test_no_result_is_an_empty_object() -> None:
    assert result(None)["content"] == "{}"


def test_an_error_is_one() -> None:
    assert result({"error": "no such city"}) == {
        "role": "tool",
        "tool_call_id": "1",
        "content": "no such city",
        "is_error": True,
    }
    assert json.loads(result({"error": {"code": 4}})["content"]) == {"error": {"code": 4}}
    assert "is_error" not in result({"error": "a", "output": "b"})


def test_media_of_a_result() -> None:
    found = result({"output": "a picture"}, parts=[inline("image/png", PNG)])

    assert [one["type"] for one in found["content"]] == ["text", "image_url"]


def test_media_that_cannot_be_read_are_refused_with_their_path() -> None:
    bad = returned("f", parts=[{"fileData": {"fileUri": "gs://b/a"}}])

    error = refusal(contents=[user({"text": "a"}), model(called("f")), user(bad)])

    assert error.param == "contents[2].parts[0].functionResponse.parts[0].fileData"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            "\n```python\nprint(1)\n```\n",
        ),
        ({"executableCode": {"language": "LANGUAGE_UNSPECIFIED"}}, "\n```\n\n```\n"),
        (
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
            "\n```output\n1\n```\n",
        ),
        (
            {"codeExecutionResult": {"outcome": "outcome_failed"}},
            "\n```output\nOUTCOME_FAILED\n\n```\n",
        ),
    ],
)
def test_code_that_google_ran_is_a_text(given: Any, expected: str) -> None:
    assert messages(user({"text": "a"}), model(given))[1]["content"] == expected


def test_part_of_unknown_kind_is_empty() -> None:
    assert messages(user({"text": "a"}, {"partMetadata": {"x_y": 1}}))[0]["content"] == "a"
