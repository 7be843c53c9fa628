"""Pictures in OpenAI's form, as one body or as events. Pure.

Source: https://platform.openai.com/docs/api-reference/images/object and /images-streaming (read
2026-11), and a recorded answer. Whether ``[DONE]`` ends the events is not verified; none is sent.
"""

import base64
import binascii
from typing import Any, Final

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, DiscardingSink, Finish
from jarvis_proxy.dialects.images.sizes import pixels
from jarvis_proxy.dialects.speech.answer import moderation_blocked
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import ChatUsage, Image
from jarvis_proxy.wire.response_events import SequenceNumbers

Json = dict[str, Any]

_HEAD: Final = 256 * 1024
"""Letters of base64 that contain a JPEG's size, even after long metadata."""
_TOKEN: Final = 4
"""Letters per prompt token, for an estimate if Google does not count text separately."""
_USER_ERROR: Final = "image_generation_user_error"


class ImageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The requested form of pictures; *created* is epoch seconds, *prompt_size* is in letters."""

    created: int
    edits: bool = False
    as_url: bool = False
    partial_images: int = 0
    prompt_size: int = 0


class _Picture(msgspec.Struct):
    url: str

    @property
    def data(self) -> str:
        """The picture in base64."""
        return self.url.partition(";base64,")[2]

    @property
    def format(self) -> str:
        """The format in OpenAI's terms: png, jpeg or webp."""
        return self.url.partition(";")[0].partition("/")[2].lower() or "png"

    @property
    def size(self) -> str | None:
        """Width and height, None if they cannot be read."""
        try:
            return pixels(base64.b64decode(self.data[:_HEAD]))
        except (binascii.Error, ValueError):
            return None


class ImagesAnswer:
    """The pictures of one call; implements ``Answer``."""

    __slots__ = ("_options", "_out", "_sinks", "_stream", "_usage")

    def __init__(
        self, options: ImageOptions, *, stream: bool, numbers: SequenceNumbers | None = None
    ) -> None:
        self._options = options
        self._stream = stream
        self._out: list[bytes] = []
        self._sinks: dict[int, _PictureSink] = {}
        self._usage: ChatUsage | None = None

    @property
    def kept(self) -> int:
        """About how many bytes the answer keeps until its end."""
        return sum(sink.size for sink in self._sinks.values())

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of choice *index*, always the same one."""
        sink = self._sinks.get(index)
        if sink is None:
            sketch = self._sketch if self._stream else None
            sink = self._sinks[index] = _PictureSink(self._options, sketch)
        return sink

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the answer. If only some of several pictures exist, these are the answer.

        Raises:
            ProxyError: 400 `moderation_blocked`, 502 `empty_response`: no picture exists.
        """
        self._usage = usage
        pictures = self._pictures
        if not pictures:
            raise _no_picture(self._sinks)
        if self._stream:
            self._out += [self._completed(picture) for picture in pictures]

    def take(self) -> bytes:
        """Return the events since the last call."""
        events = b"".join(self._out)
        self._out.clear()
        return events

    def body(self) -> bytes:
        """Return all pictures."""
        pictures, as_url = self._pictures, self._options.as_url
        data = [{"url": one.url} if as_url else {"b64_json": one.data} for one in pictures]
        answer: Json = {"created": self._options.created, "background": "opaque", "data": data}
        answer["output_format"] = pictures[0].format
        if (size := pictures[0].size) is not None:
            answer["size"] = size
        if self._usage is not None:
            answer["usage"] = self._tokens(self._usage)
        return msgspec.json.encode(answer)

    @property
    def _pictures(self) -> list[_Picture]:
        sinks = (self._sinks[index] for index in sorted(self._sinks))
        return [picture for sink in sinks for picture in sink.pictures]

    def _sketch(self, picture: _Picture, index: int) -> None:
        self._out.append(self._event("partial_image", picture, {"partial_image_index": index}))

    def _completed(self, picture: _Picture) -> bytes:
        usage = {} if self._usage is None else {"usage": self._tokens(self._usage)}
        return self._event("completed", picture, usage)

    def _event(self, name: str, picture: _Picture, more: Json) -> bytes:
        kind = f"image_edit.{name}" if self._options.edits else f"image_generation.{name}"
        event = {
            "type": kind,
            "b64_json": picture.data,
            "created_at": self._options.created,
            "size": picture.size or "auto",
            "quality": "auto",
            "background": "opaque",
            "output_format": picture.format,
            **more,
        }
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(event))

    def _tokens(self, usage: ChatUsage) -> Json:
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        words = prompt
        if self._options.edits:
            words = min(prompt, -(-self._options.prompt_size // _TOKEN))
        thoughts = min(completion, usage.completion_tokens_details.reasoning_tokens)
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"image_tokens": prompt - words, "text_tokens": words},
            "output_tokens": completion,
            "output_tokens_details": {
                "image_tokens": completion - thoughts,
                "text_tokens": thoughts,
            },
            "total_tokens": usage.total_tokens,
        }


class _PictureSink(DiscardingSink):
    """Receives the pictures of a choice, and its text in case there is no picture."""

    def __init__(self, options: ImageOptions, sketch: Any) -> None:
        self._most = options.partial_images
        self._sketch = sketch
        self._sketches = 0
        self.emitted = False
        self.pictures: list[_Picture] = []
        self.words: list[str] = []
        self.end: Finish | None = None

    @property
    def size(self) -> int:
        """About how many bytes the pictures take."""
        return sum(len(picture.url) for picture in self.pictures)

    def text(self, text: str, /) -> None:
        """Receive text that accompanies the picture."""
        self.words.append(text)

    def sketch(self, image: Image, /) -> None:
        """Send an unfinished picture, up to the number that the client asked for."""
        if self._sketch is not None and self._sketches < self._most:
            self.emitted = True
            self._sketch(_Picture(image.image_url.url), self._sketches)
            self._sketches += 1

    def image(self, image: Image, /) -> None:
        """Receive a picture."""
        self.pictures.append(_Picture(image.image_url.url))

    def finish(self, finish: Finish, /) -> None:
        """Note how the choice ended."""
        self.end = finish


def _no_picture(sinks: dict[int, _PictureSink]) -> ProxyError:
    for sink in sinks.values():
        if sink.end is not None and sink.end.reason == "content_filter":
            return moderation_blocked(sink.end, _USER_ERROR)
    words = "".join(word for sink in sinks.values() for word in sink.words).strip()
    said = f" It said: {words[:500]}" if words else ""
    return ProxyError(502, f"The model drew no picture.{said}", code="empty_response")
