"""The options of a request for pictures, in JSON or in a form. Pure.

Source: https://platform.openai.com/docs/api-reference/images/create and /createEdit (read
2026-11).
"""

from collections.abc import Collection
from typing import Final

import msgspec

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import check_range, invalid, missing
from jarvis_proxy.dialects.images.sizes import Shape, nearest
from jarvis_proxy.dialects.request_fields import check_choice, decode_body
from jarvis_proxy.wire.multipart_form import Form

GENERATIONS: Final = "images/generations"
EDITS: Final = "images/edits"

_MAX_PICTURES: Final = 10
_MAX_PARTIAL: Final = 3
_MAX_COMPRESSION: Final = 100
_KNOWN: Final[dict[str, Collection[str]]] = {
    "response_format": ("url", "b64_json"),
    "output_format": ("png", "jpeg", "webp"),
    "quality": ("auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"),
    "background": ("auto", "opaque", "transparent"),
    "moderation": ("auto", "low"),
    "style": ("vivid", "natural"),
    "input_fidelity": ("high", "low"),
    "complexity": ("low", "medium", "high"),
}
_USUAL: Final[dict[str, Collection[object]]] = {
    "background": ("auto", "opaque"),
    "quality": ("auto", "medium", "standard"),
    "moderation": ("auto",),
    "output_compression": (),
    "output_format": (),
    "style": (),
    "input_fidelity": (),
    "complexity": (),
}
"""Fields without an equivalent at Google, with the values that have no effect."""
_REFUSED: Final = ("mask", "markup", "svg", "frame_count")
_NUMBERS: Final = ("n", "partial_images", "output_compression")


class ImageLink(msgspec.Struct):
    """A picture to edit: a link, a ``data:`` URL, or a file that only OpenAI has."""

    image_url: str | None = None
    file_id: str | None = None


class ImageRequest(msgspec.Struct):
    """The relevant fields of the body."""

    prompt: str | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    response_format: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    partial_images: int | None = None
    background: str | None = None
    moderation: str | None = None
    style: str | None = None
    input_fidelity: str | None = None
    complexity: str | None = None
    mask: object = None
    markup: object = None
    svg: object = None
    frame_count: object = None
    images: list[ImageLink] | None = None

    @property
    def shape(self) -> Shape | None:
        """Google's shape that is nearest to the requested size."""
        return None if self.size in (None, "auto") else nearest(str(self.size))


_DECODER: Final = msgspec.json.Decoder(ImageRequest)


def decode_images(body: bytes) -> ImageRequest:
    """Return the request in a JSON *body*.

    Raises:
        ProxyError: 400, with the invalid param.
    """
    return decode_body(_DECODER, body)


def form_request(form: Form) -> ImageRequest:
    """Return the request in *form*, without its pictures.

    Raises:
        ProxyError: 400, with the invalid param.
    """
    request = ImageRequest()
    for name in ImageRequest.__struct_fields__:
        if name == "images":
            continue
        if name in _REFUSED:
            value: object = True if form.files(name) else None
        else:
            value = form.text(name) or None
        setattr(request, name, _whole(name, value) if name in _NUMBERS else value)
    return request


def check(request: ImageRequest, ignored: IgnoredParams) -> None:
    """Note unsupported options.

    Raises:
        ProxyError: 400, a value is unknown, or ignoring it would change the picture.
    """
    if not request.prompt:
        raise missing("prompt")
    check_range("n", 1 if request.n is None else request.n, 1, _MAX_PICTURES)
    check_range("partial_images", request.partial_images or 0, 0, _MAX_PARTIAL)
    check_range("output_compression", request.output_compression or 0, 0, _MAX_COMPRESSION)
    for name, known in _KNOWN.items():
        check_choice(name, getattr(request, name), known)
    for name in _REFUSED:
        if getattr(request, name) is not None:
            message = f"Unsupported parameter: '{name}' has no equivalent with this model."
            raise invalid(name, message, "unsupported_parameter")
    for name, usual in _USUAL.items():
        value = getattr(request, name)
        if value is not None and value not in usual:
            ignored.add_or_reject(name)
    if request.size not in (None, "auto"):
        shape = request.shape
        if shape is None:
            message = "Invalid value for 'size': expected 'auto' or WIDTHxHEIGHT, as 1024x1024."
            raise invalid("size", message)
        if not shape.is_near:
            ignored.add_or_reject("size")


def _whole(param: str, value: object) -> int | None:
    if value is None:
        return None
    text = str(value).strip()
    if not text.isdecimal() or len(text) > 9:
        message = f"Invalid type for '{param}': expected an integer."
        raise invalid(param, message, "invalid_type")
    return int(text)
