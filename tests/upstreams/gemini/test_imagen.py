"""Imagen's requests and answers; more is tried with the SDK."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.chat_decoder import chat_in, decode_chat
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.imagen import ImagenCall, ImagenReader, is_imagen
from jarvis_proxy.wire.chat_types import Image
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES
from tests.support.recorded_answer import RecordedAnswer

CALL = Call(
    endpoint="chat/completions",
    model="imagen-4",
    target_model="imagen-4",
    stream=False,
    body=b"",
    id="x" * 24,
    created=1,
    now=0.0,
)


def asking(content: object = "An otter", **more: object) -> ImagenCall:
    messages = [
        {"role": "system", "content": "Draw well."},
        {"role": "assistant", "content": "What?"},
        {"role": "user", "content": content},
    ]
    body = json.dumps({"messages": messages, **more}).encode()
    return ImagenCall(CALL, chat_in(decode_chat(body)))


def parameters(**config: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    call = asking(google={"image_config": config})
    sent = json.loads(call.requests[0].body)["parameters"]
    del sent["sampleCount"]
    return sent, call.ignored


def test_all_words_but_the_models_are_the_prompt() -> None:
    content = [{"type": "text", "text": "An otter"}, "at sea"]

    sent = json.loads(asking(content).requests[0].body)
    assert sent["instances"] == [{"prompt": "Draw well.\nAn otter\nat sea"}]


def test_shapes_and_sizes() -> None:
    assert parameters() == ({}, ())
    assert parameters(aspect_ratio="16:9", image_size="2K") == (
        {"aspectRatio": "16:9", "imageSize": "2K"},
        (),
    )
    assert parameters(aspect_ratio="3:2", image_size="1K") == (
        {"aspectRatio": "4:3"},
        ("google.image_config.aspect_ratio",),
    )
    assert parameters(aspect_ratio="1:8", image_size="4K") == (
        {},
        ("google.image_config.aspect_ratio", "google.image_config.image_size"),
    )


def test_without_words_there_is_nothing_to_draw() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": ""}]}).encode()
    with pytest.raises(ProxyError, match="draws from words"):
        ImagenCall(CALL, chat_in(decode_chat(body)))


def test_pictures_are_refused() -> None:
    with pytest.raises(ProxyError) as refused:
        asking([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])

    assert refused.value.param == "messages[2].content[0]"


def test_a_refusal_is_not_asked_about_again() -> None:
    call = asking(n=5)
    call.begin()
    error = call.translate_error(400, {}, b'{"error":{"code":400,"message":"No."}}')

    assert (error.status, error.message) == (400, "No.")
    assert call.recover(400, b"{}") is None  # type: ignore[func-returns-value]
    assert [json.loads(r.body)["parameters"]["sampleCount"] for r in call.requests] == [4, 1]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b" ", "empty_response"),
        (b"[]", "upstream_bad_response"),
        (b"<html>", "upstream_bad_response"),
        (b'{"predictions":3}', "upstream_bad_response"),
        (b'{"error":{"code":429,"message":"Slow.","status":"RESOURCE_EXHAUSTED"}}', None),
    ],
)
def test_other_bodies_are_errors(body: bytes, code: str | None) -> None:
    with pytest.raises(ProxyError) as error:
        ImagenReader(RecordedAnswer(), 0, "m").read_whole(body)

    assert error.value.code == (code or "rate_limit_exceeded")


@pytest.mark.parametrize("cut", range(1, 30, 7))
def test_a_body_that_comes_in_pieces(cut: int) -> None:
    body = b'{"predictions":[{"bytesBase64Encoded":"AA-_"},{"raiFilteredReason":"No."}]}\n'
    answer = RecordedAnswer()
    reader = ImagenReader(answer, 4, "m")
    reader.feed(body[:cut])
    reader.feed(body[cut:])
    assert reader.held == len(body)
    reader.feed_eof()

    assert (reader.usage, reader.next_request) == (None, None)
    image = answer.choices[4].events[0][1]
    assert isinstance(image, Image)
    assert image.image_url.url == "data:image/png;base64,AA+/"
    finish = answer.choices[5].finished
    assert finish is not None
    assert (finish.reason, finish.message) == ("content_filter", "No.")


def test_a_body_without_its_end_is_an_error() -> None:
    reader = ImagenReader(RecordedAnswer(), 0, "m")
    reader.feed(b'{"predictions":[')
    with pytest.raises(ProxyError) as error:
        reader.feed_eof()

    assert error.value.code == "upstream_truncated"


def test_a_body_without_bounds_is_an_error() -> None:
    reader = ImagenReader(RecordedAnswer(), 0, "m")
    reader.feed(bytes(MAX_EVENT_BYTES))
    with pytest.raises(ProxyError) as error:
        reader.feed(b"x")

    assert error.value.code == "upstream_frame_too_large"


def test_names() -> None:
    assert is_imagen("imagen-4.0-generate-001")
    assert not is_imagen("gemini-3-pro-image")
