"""What clients ask for of pictures; the usual cases are tried with the SDK."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.dialects.images.options import check, decode_images, form_request
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.multipart_form import read_form
from tests.support.forms import CONTENT_TYPE, form, part


def ignored(*, strict: bool = False, **asked: Any) -> tuple[str, ...]:
    found = IgnoredParams(strict=strict)
    check(decode_images(json.dumps({"prompt": "An otter", **asked}).encode()), found)
    return found.names


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"size": "auto", "quality": "auto", "background": "opaque", "moderation": "auto"},
        {"size": None, "quality": "standard", "n": 10, "partial_images": 3, "user": "me"},
        {"response_format": "url", "stream": True, "safety_identifier": "x"},
    ],
)
def test_what_is_usual_is_not_named(asked: dict[str, Any]) -> None:
    assert ignored(**asked) == ()


def test_in_strict_mode_it_is_an_error() -> None:
    with pytest.raises(ProxyError) as refused:
        ignored(strict=True, quality="high")

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "quality")


@pytest.mark.parametrize("name", ["mask", "markup", "svg", "frame_count"])
def test_what_would_change_the_picture_is_refused(name: str) -> None:
    with pytest.raises(ProxyError) as refused:
        check(decode_images(json.dumps({"prompt": "p", name: 3}).encode()), IgnoredParams())

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", name)


def test_a_form_says_the_same() -> None:
    fields = part("prompt", "p"), part("n", " 2 "), part("size", ""), part("mask", "x")
    request = form_request(read_form(form(*fields), CONTENT_TYPE))

    assert (request.prompt, request.n, request.size, request.mask) == ("p", 2, None, True)


@pytest.mark.parametrize("value", ["two", "-1", "1.5", "1" * 10])
def test_a_number_in_a_form_is_whole(value: str) -> None:
    with pytest.raises(ProxyError) as refused:
        form_request(read_form(form(part("n", value)), CONTENT_TYPE))

    assert (refused.value.code, refused.value.param) == ("invalid_type", "n")
