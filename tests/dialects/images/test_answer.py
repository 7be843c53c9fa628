"""Pictures as answers; the events are tried with the SDK."""

import json

import pytest

from jarvis_proxy.canonical.answer import Finish
from jarvis_proxy.dialects.images.answer import ImageOptions, ImagesAnswer
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import Image, ImageURL


def image(data: str = "AAAA", mime_type: str = "image/webp") -> Image:
    return Image(image_url=ImageURL(f"data:{mime_type};base64,{data}"), index=0)


def test_pictures_come_in_the_order_of_their_choices() -> None:
    answer = ImagesAnswer(ImageOptions(created=7), stream=False)
    answer.choice(1).image(image("BBBB"))
    answer.choice(0).image(image("AAAA"))
    answer.choice(0).image(image("!"))
    assert answer.kept == len(image().image_url.url) * 3 - 3
    answer.end(None)

    assert json.loads(answer.body()) == {
        "created": 7,
        "background": "opaque",
        "data": [{"b64_json": "AAAA"}, {"b64_json": "!"}, {"b64_json": "BBBB"}],
        "output_format": "webp",
    }


def test_a_picture_that_is_no_base64_has_no_size() -> None:
    answer = ImagesAnswer(ImageOptions(created=7), stream=True)
    answer.choice(0).image(image("A"))
    answer.end(None)

    assert b'"size":"auto"' in answer.take()


def test_some_pictures_are_better_than_none() -> None:
    answer = ImagesAnswer(ImageOptions(created=7), stream=False)
    answer.choice(0).finish(Finish(reason="content_filter", native="IMAGE_SAFETY"))
    with pytest.raises(ProxyError) as error:
        answer.end(None)
    assert (error.value.status, error.value.code) == (400, "moderation_blocked")
    answer.choice(1).image(image())
    answer.end(None)

    assert len(json.loads(answer.body())["data"]) == 1


def test_words_instead_of_a_picture_are_reported() -> None:
    answer = ImagesAnswer(ImageOptions(created=7), stream=False)
    answer.choice(0).text("Which ")
    answer.choice(0).text("otter?")
    with pytest.raises(ProxyError, match=r"It said: Which otter\?") as error:
        answer.end(None)

    assert (error.value.status, error.value.code) == (502, "empty_response")


def test_no_more_sketches_than_asked_for() -> None:
    answer = ImagesAnswer(ImageOptions(created=7, edits=True, partial_images=1), stream=True)
    sink = answer.choice(0)
    sink.sketch(image())
    sink.sketch(image())

    assert answer.take().count(b"event: image_edit.partial_image\n") == 1
    assert sink.emitted
