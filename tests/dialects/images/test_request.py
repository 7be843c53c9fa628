"""A request for pictures as a chat request; more is tried with the SDK."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.dialects.images.request import ImagesDialect
from jarvis_proxy.errors import ProxyError
from tests.support.forms import CONTENT_TYPE, form, part


def read(body: bytes, content_type: str, endpoint: str = "images/edits") -> CanonicalRequest:
    call = Call(
        endpoint=endpoint,
        model="m",
        target_model="m",
        stream=False,
        body=body,
        id="x" * 24,
        created=1,
        now=0.0,
        headers={"content-type": content_type},
    )
    return ImagesDialect().read(call, ModelFeatures(draws=True)).request


def test_links_are_left_to_be_fetched() -> None:
    body = {"prompt": "p", "images": [{"image_url": "https://a.example/b.png"}], "n": 2}
    request = read(json.dumps(body).encode(), "application/json")
    asked: dict[str, Any] = json.loads(request.body)

    assert asked["messages"][0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {"type": "text", "text": "p"},
    ]
    assert asked["n"] == 2
    params = request.params
    assert params.param("messages[0].content[0].image_url") == "image"
    assert params.param("google.image_config.image_size") == "size"


@pytest.mark.parametrize(
    ("data", "more", "mime"),
    [
        (b"\xff\xd8\xff", '; filename="a.png"', "image/jpeg"),
        (b"????", '; filename="a.webp"', "image/webp"),
        (b"????", "", "image/png"),
    ],
)
def test_types_of_pictures(data: bytes, more: str, mime: str) -> None:
    body = form(part("prompt", "p"), part("image[]", data, more=more))
    asked: dict[str, Any] = json.loads(read(body, CONTENT_TYPE).body)
    url = asked["messages"][0]["content"][0]["image_url"]["url"]

    assert url.startswith(f"data:{mime};base64,")


def test_pictures_of_a_generation_are_not_looked_at() -> None:
    body = b'{"prompt":"p","images":[{}]}'

    asked = json.loads(read(body, "application/json", "images/generations").body)
    assert len(asked["messages"][0]["content"]) == 1


def test_there_are_sixteen_pictures_at_the_most() -> None:
    parts = [part("prompt", "p"), *[part("image", "x")] * 17]
    with pytest.raises(ProxyError) as refused:
        read(form(*parts), CONTENT_TYPE)

    assert (refused.value.code, refused.value.param) == ("array_above_max_length", "image")


def test_models_that_do_not_draw_are_refused() -> None:
    call = Call(
        endpoint="images/generations",
        model="m",
        target_model="m",
        stream=False,
        body=b'{"prompt":"p"}',
        id="x" * 24,
        created=1,
        now=0.0,
    )
    with pytest.raises(ProxyError) as refused:
        ImagesDialect().read(call, ModelFeatures())

    assert (refused.value.status, refused.value.param) == (400, "model")
