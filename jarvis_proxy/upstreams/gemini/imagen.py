"""Imagen, which draws by ``:predict`` instead of generateContent. Pure.

Source: https://ai.google.dev/gemini-api/docs/imagen (read 2026-11). There is no recorded exchange,
so Imagen's answers to filtered prompts are only known from its documentation.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.answer import Answer, AnswerReader, Finish
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.chat_request import ChatMessage, ChatRequest, ContentPart
from jarvis_proxy.canonical.exchange import UpstreamRequest, bad_response, empty_reply, truncated
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.error_body import DECODE_ERRORS
from jarvis_proxy.upstreams.gemini.reply.errors import error_in_text, translate_error
from jarvis_proxy.upstreams.gemini.request.generation_config import choice_count
from jarvis_proxy.upstreams.gemini.request.google_options import read_google_options
from jarvis_proxy.wire.chat_types import ChatUsage, Image, ImageURL
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, too_large

PREFIX: Final = "imagen-"
_AT_ONCE: Final = 4
"""Most pictures of one request."""
_SHAPES: Final = frozenset(("1:1", "3:4", "4:3", "9:16", "16:9"))
_OTHERS: Final = {"2:3": "3:4", "4:5": "3:4", "3:2": "4:3", "5:4": "4:3", "21:9": "16:9"}
_SIZES: Final = frozenset(("1K", "2K"))
_STANDARD: Final = str.maketrans("-_", "+/")


class _Prediction(msgspec.Struct, rename="camel"):
    mime_type: str = "image/png"
    bytes_base64_encoded: str | None = msgspec.field(default=None, name="bytesBase64Encoded")
    rai_filtered_reason: str | None = None


class _Reply(msgspec.Struct):
    predictions: list[_Prediction] | None = None


_REPLY: Final = msgspec.json.Decoder(_Reply)


def is_imagen(model: str) -> bool:
    """Return whether *model*, in Google's spelling, is an Imagen model."""
    return model.lower().startswith(PREFIX)


class ImagenCall:
    """A request for pictures, four at a time; implements ``UpstreamCall``."""

    __slots__ = ("_call", "_counts", "ignored", "requests")

    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, call: Call, request: ChatRequest) -> None:
        """Prepare the requests.

        Raises:
            ProxyError: 400, there is no text prompt, or there are pictures to edit.
        """
        ignored = IgnoredParams(strict=call.strict_params)
        self._call = call
        count = choice_count(request)
        self._counts = [min(_AT_ONCE, count - at) for at in range(0, count, _AT_ONCE)]
        prompt, parameters = _prompt(request.messages), _parameters(request, ignored)
        self.requests = tuple(self._request(prompt, parameters, n) for n in self._counts)
        self.ignored = ignored.names

    def begin(self) -> None:
        """Do nothing: readers share no state."""

    def reader(self, answer: Answer, index: int, /) -> AnswerReader:
        """Return a new reader for the body that answers ``requests[index]``."""
        return ImagenReader(answer, _AT_ONCE * index, self._call.model)

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the downstream error for an upstream status ≥ 400."""
        return translate_error(status, body, model=self._call.model, headers=headers)

    def recover(self, status: int, body: bytes) -> None:
        """Return None: there is nothing to leave out."""

    def _request(self, prompt: str, parameters: dict[str, Any], count: int) -> UpstreamRequest:
        body = {
            "instances": [{"prompt": prompt}],
            "parameters": {"sampleCount": count, **parameters},
        }
        path = f"/models/{self._call.target_model}:predict"
        headers = {"Content-Type": "application/json"}
        return UpstreamRequest("POST", path, headers, msgspec.json.encode(body))


class ImagenReader:
    """Reads one request's pictures into choices from *first* on; implements ``AnswerReader``.

    Imagen has no streams: a body read in pieces is also one answer. Imagen counts no tokens.
    """

    __slots__ = ("_answer", "_body", "_first", "_model")

    usage: ChatUsage | None = None
    done: bool = False
    is_settled: bool = False
    service_tier: str | None = None
    next_request: UpstreamRequest | None = None

    def __init__(self, answer: Answer, first: int, model: str) -> None:
        self._answer = answer
        self._first = first
        self._model = model
        self._body = ByteBuffer()

    @property
    def held(self) -> int:
        """How many bytes the reader keeps."""
        return self._body.size

    def feed(self, data: bytes, /) -> None:
        """Keep a piece of the body.

        Raises:
            ProxyError: 502 `upstream_frame_too_large`.
        """
        self._body.add(data)
        if self._body.size > MAX_EVENT_BYTES:
            raise too_large()

    def feed_eof(self) -> None:
        """Read the body that was kept.

        Raises:
            ProxyError: as ``read_whole``; 502 `upstream_truncated`, the body is incomplete.
        """
        body = self._body.join()
        if not body.rstrip().endswith(b"}"):
            raise truncated()
        self.read_whole(body)

    def read_whole(self, body: bytes, /) -> None:
        """Read the pictures.

        Raises:
            ProxyError: the body is an error; or 502 `empty_response`, `upstream_bad_response`.
        """
        if not body.strip():
            raise empty_reply()
        if (error := error_in_text(body, model=self._model)) is not None:
            raise error
        try:
            reply = _REPLY.decode(body)
        except DECODE_ERRORS:
            raise bad_response() from None
        # As documented, filtered pictures are left out, possibly all of them.
        predictions = reply.predictions or [_Prediction()]
        for index, one in enumerate(predictions[:_AT_ONCE]):
            self._take(self._first + index, one)

    def _take(self, index: int, one: _Prediction) -> None:
        sink = self._answer.choice(index)
        sink.begin(None, None)
        if one.bytes_base64_encoded:
            data = one.bytes_base64_encoded.translate(_STANDARD)
            sink.image(Image(image_url=ImageURL(f"data:{one.mime_type};base64,{data}"), index=0))
            sink.finish(Finish(reason="stop"))
        else:
            sink.finish(
                Finish(
                    reason="content_filter",
                    native="IMAGE_SAFETY",
                    message=one.rai_filtered_reason or None,
                )
            )


def _prompt(messages: list[ChatMessage]) -> str:
    words = [_words(message, index) for index, message in enumerate(messages)]
    prompt = "\n".join(word for word in words if word)
    if not prompt:
        message = "Imagen draws from words: send some."
        raise invalid("messages", message)
    return prompt


def _words(message: ChatMessage, index: int) -> str:
    if message.role not in ("system", "developer", "user"):
        return ""
    content = message.content
    parts = content if isinstance(content, list) else [content or ""]
    return "\n".join(
        _text(part, f"messages[{index}].content[{at}]") for at, part in enumerate(parts)
    )


def _text(part: ContentPart | str, param: str) -> str:
    if isinstance(part, str):
        return part
    if part.text is None:
        message = "Imagen draws from words only. To edit pictures, use gemini-2.5-flash-image."
        raise invalid(param, message, "unsupported_value")
    return part.text


def _parameters(request: ChatRequest, ignored: IgnoredParams) -> dict[str, Any]:
    options = read_google_options(request, ignored)
    wish, parameters = options.image_config, dict[str, Any]()
    if wish is None:
        return parameters
    param = f"{options.param}.image_config"
    if (shape := wish.aspect_ratio) is not None:
        if shape not in _SHAPES:
            ignored.add_or_reject(f"{param}.aspect_ratio")
            shape = _OTHERS.get(shape)
        if shape is not None:
            parameters["aspectRatio"] = shape
    if wish.image_size is not None:
        if wish.image_size not in _SIZES:
            ignored.add_or_reject(f"{param}.image_size")
        # Some Imagen models have no sizes, so the default size is not sent.
        elif wish.image_size != "1K":
            parameters["imageSize"] = wish.image_size
    return parameters
