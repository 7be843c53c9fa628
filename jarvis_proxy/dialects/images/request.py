"""Converts a request for pictures to the equivalent chat request. Pure.

Source: https://platform.openai.com/docs/api-reference/images (read 2026-11) and
https://ai.google.dev/gemini-api/docs/image-generation (read 2026-11).
"""

import base64
from functools import partial
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.bounds import check_length
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.mime import SNIFF_BYTES, from_name, normalise, sniff
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.canonical.validation_errors import invalid, missing
from jarvis_proxy.dialects.images.answer import ImageOptions, ImagesAnswer
from jarvis_proxy.dialects.images.options import (
    EDITS,
    ImageLink,
    ImageRequest,
    check,
    decode_images,
    form_request,
)
from jarvis_proxy.dialects.request_fields import FixedParams, unsuitable_model
from jarvis_proxy.wire.multipart_form import Form, FormPart, is_form, read_form

_MAX_PICTURES: Final = 16
_PARAMS: Final = FixedParams(
    {
        "messages": "prompt",
        "messages[0].content[": "image",
        "modalities": "model",
        "google.image_config": "size",
    }
)


class ImagesDialect:
    """OpenAI's image generation and editing; implements ``Dialect``."""

    __slots__ = ()

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        """Return *call* as a canonical request.

        Raises:
            ProxyError: 400, the request is not valid, or the model does not draw.
        """
        content_type = call.headers.get("content-type", "")
        form = read_form(call.body, content_type) if is_form(content_type) else None
        request = decode_images(call.body) if form is None else form_request(form)
        if not features.draws:
            rest = "does not draw. Use one that does, such as gemini-2.5-flash-image."
            raise unsuitable_model(call.model, rest)
        ignored = IgnoredParams(strict=call.strict_params)
        check(request, ignored)
        edits = call.endpoint == EDITS
        links = (_form_links(form) if form else _json_links(request)) if edits else []
        if edits and not links:
            raise missing("image" if form else "images")
        canonical = CanonicalRequest(
            body=_chat(request, links), params=_PARAMS, ignored=ignored.names, sealed=False
        )
        options = ImageOptions(
            created=call.created,
            edits=edits,
            as_url=request.response_format == "url",
            partial_images=request.partial_images or 0,
            prompt_size=len(request.prompt or ""),
        )
        return DialectCall(canonical, partial(ImagesAnswer, options))


def _chat(request: ImageRequest, links: list[str]) -> bytes:
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": link}} for link in links
    ]
    content.append({"type": "text", "text": request.prompt})
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        "modalities": ["image"],
    }
    if request.n is not None:
        asked["n"] = request.n
    if (shape := request.shape) is not None:
        config = {"aspect_ratio": shape.aspect_ratio, "image_size": shape.image_size}
        asked["google"] = {"image_config": config}
    return msgspec.json.encode(asked)


def _json_links(request: ImageRequest) -> list[str]:
    images = request.images or []
    check_length("images", len(images), _MAX_PICTURES)
    return [_link(image, f"images[{index}]") for index, image in enumerate(images)]


def _link(image: ImageLink, param: str) -> str:
    if image.image_url:
        return image.image_url
    if image.file_id is not None:
        message = "file_id from OpenAI cannot be used with a Gemini model; send an image_url."
        raise invalid(f"{param}.file_id", message, "invalid_file_id")
    raise missing(f"{param}.image_url")


def _form_links(form: Form) -> list[str]:
    files = form.files("image", "image[]")
    check_length("image", len(files), _MAX_PICTURES)
    return [_data_url(form, part) for part in files]


def _data_url(form: Form, part: FormPart) -> str:
    data = form.data(part)
    if not data:
        raise invalid("image", "Invalid 'image': it is empty.", "invalid_image_format")
    named = from_name(part.filename or "") or normalise(part.content_type)
    mime = sniff(data[:SNIFF_BYTES]) or named or "image/png"
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
