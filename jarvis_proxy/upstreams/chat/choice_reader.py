"""Sends the pieces of one choice of a chat answer in an order that all clients accept. Pure.

Thoughts, text and the first call are passed on as they arrive. Anything after the beginning of a
call waits for the end of the answer.

Source: https://platform.openai.com/docs/api-reference/chat-streaming, and for reasoning
https://api-docs.deepseek.com/guides/thinking_mode,
https://openrouter.ai/docs/use-cases/reasoning-tokens
(read 2026-11).
"""

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.upstreams.chat.call_gatherer import CallGatherer
from jarvis_proxy.upstreams.json_values import Fields, fields_of, items_of
from jarvis_proxy.wire.chat_types import (
    Annotation,
    FinishReason,
    Image,
    ImageURL,
    TokenLogprob,
)

_THOUGHTS: Final = ("reasoning_content", "reasoning", "reasoning_details")
_PLAIN: Final = frozenset(("content", "role"))
_PIECE_BYTES: Final = 60
_REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


class ReaderContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the reader needs besides the bytes.

    *tool* maps the upstream's name of a tool to the client's tool. *new_id* returns 24 letters and
    digits. *shows*: the client wants to see thoughts. *owner* is the owner of the upstream's sealed
    reasoning, None if it wants none back. *stops* are the request's stop sequences. *one_call*: the
    client wants one call at a time, and the upstream has no such option. *objects_only*: the
    client's API accepts only JSON objects as arguments.
    """

    tool: Callable[[str], CalledTool] = CalledTool
    new_id: Callable[[], str]
    shows: bool = True
    owner: str | None = None
    stops: tuple[str, ...] = ()
    one_call: bool = False
    objects_only: bool = False


class ChoiceReader:
    """Sends one choice to *sink*; ``end`` sends the pieces held back and the finish reason."""

    __slots__ = (
        "_annotations",
        "_calls",
        "_context",
        "_held",
        "_images",
        "_kept",
        "_matched",
        "_refused",
        "_sink",
        "_thoughts",
        "_thoughts_in",
        "reason",
    )

    def __init__(self, sink: AnswerSink, context: ReaderContext) -> None:
        self._sink = sink
        self._context = context
        self._calls = CallGatherer(
            self, context.tool, context.new_id, objects_only=context.objects_only
        )
        self._thoughts: list[str] = []
        """Thoughts that are not sealed yet."""
        self._thoughts_in = ""
        """The name of the field with thoughts."""
        self._held: list[tuple[Literal["text", "thought"], str]] = []
        self._annotations: list[Annotation] = []
        self._images = 0
        self._kept = 0
        self._matched: str | None = None
        self._refused: list[str] = []
        self.reason: str | None = None
        """The upstream's finish reason, None until it arrives."""

    @property
    def held(self) -> int:
        """About how many bytes the reader keeps."""
        return self._kept + self._calls.held

    def take(self, choice: Fields, message: Fields, *, is_whole: bool = False) -> None:
        """Read a piece of the choice: *message* is its ``delta``, or its whole ``message``."""
        content = message.get("content")
        if isinstance(content, str) and message.keys() <= _PLAIN and _is_plain(choice):
            if content:
                self._say("text", content)
            return
        for text in self._thoughts_of(message):
            self._say("thought", text)
        for kind, text in _texts(content):
            self._say(kind, text)
        if isinstance(refusal := message.get("refusal"), str) and refusal:
            self._refused.append(refusal)
            self._say("text", refusal)
        for position, entry in enumerate(map(fields_of, items_of(message.get("tool_calls")))):
            self._calls.take(entry, position if is_whole else None)
        if function := fields_of(message.get("function_call")):
            self._calls.take({"index": 0, "function": function})
        self._take_rest(choice, message)

    def end(self) -> None:
        """Send the rest, and ``finish``.

        Raises:
            ProxyError: 502 `upstream_bad_response`, a call has no name.
        """
        native = self.reason or ""
        reason = _REASONS.get(native, "stop")
        is_whole = reason not in ("length", "content_filter")
        most = 1 if self._context.one_call else None
        calls = self._calls.end(whole=is_whole, most=most)
        self._send_held(behind_calls=calls > 0)
        self._seal()
        if self._refused:
            reason = "content_filter"
        elif reason in ("stop", "tool_calls"):
            reason = "tool_calls" if calls else "stop"
        self._sink.finish(
            Finish(
                reason=reason,
                native="" if native in _REASONS else native,
                matched_stop=self._matched if reason == "stop" else None,
                message="".join(self._refused) or None,
                annotations=tuple(self._annotations),
            )
        )

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a call, after the thoughts for it."""
        self._seal()
        self._sink.call_begin(call)

    def call_piece(self, piece: str, /) -> None:
        """Pass a piece on."""
        self._sink.call_piece(piece)

    def call_end(self) -> None:
        """Pass the end on."""
        self._sink.call_end()

    def _say(self, kind: Literal["text", "thought"], text: str) -> None:
        if self._calls:
            self._held.append((kind, text))
            self._kept += len(text) + _PIECE_BYTES
            return
        self._send(kind, text)

    def _send(self, kind: Literal["text", "thought"], text: str) -> None:
        if kind == "thought":
            if self._context.owner is not None:
                self._thoughts.append(text)
                self._kept += len(text) + _PIECE_BYTES
            if self._context.shows:
                self._sink.thought(text)
        else:
            self._seal()
            self._sink.text(text)

    def _send_held(self, *, behind_calls: bool) -> None:
        """Send pieces that followed the beginning of a call; white space there is no text."""
        texts = "".join(text for kind, text in self._held if kind == "text")
        for kind, text in self._held:
            if kind == "thought" or texts.strip() or not behind_calls:
                self._send(kind, text)
        self._held.clear()

    def _seal(self) -> None:
        """Seal the thoughts since the last seal, so that the upstream gets them back."""
        if self._thoughts and self._context.owner is not None:
            thoughts = "".join(self._thoughts)
            self._kept -= len(thoughts) + _PIECE_BYTES * len(self._thoughts)
            self._thoughts.clear()
            self._sink.seal(SealedState(self._context.owner, thoughts))

    def _thoughts_of(self, message: Fields) -> Iterator[str]:
        """Yield the reasoning in the first field that has some, because others repeat it."""
        for name in (self._thoughts_in,) if self._thoughts_in else _THOUGHTS:
            value = message.get(name)
            found = [value] if isinstance(value, str) else _detail_texts(value)
            if any(found):
                self._thoughts_in = name
                yield from filter(None, found)
                return

    def _take_rest(self, choice: Fields, message: Fields) -> None:
        for image in map(fields_of, items_of(message.get("images"))):
            self._image(fields_of(image.get("image_url")).get("url"))
        self._annotations += _annotations(message.get("annotations"))
        if logprobs := items_of(fields_of(choice.get("logprobs")).get("content")):
            self._logprobs(logprobs)
        # This field is vLLM's.
        stop = choice.get("stop_reason")
        if isinstance(stop, str) and stop in self._context.stops:
            self._matched = stop
        if reason := choice.get("finish_reason"):
            self.reason = str(reason)

    def _image(self, url: object) -> None:
        if isinstance(url, str) and url.startswith("data:") and not self._calls:
            self._seal()
            self._sink.image(Image(image_url=ImageURL(url), index=self._images))
            self._images += 1

    def _logprobs(self, tokens: list[object]) -> None:
        if self._calls:
            return
        for token in map(fields_of, tokens):
            for one in (token, *map(fields_of, items_of(token.get("top_logprobs")))):
                if isinstance(one, dict) and one.get("bytes") is None:
                    one["bytes"] = list(str(one.get("token", "")).encode("utf-8", "replace"))
        try:
            found = msgspec.convert(tokens, list[TokenLogprob])
        except msgspec.ValidationError:
            return
        self._sink.logprobs(found)


def _is_plain(choice: Fields) -> bool:
    """Return whether a choice holds only its delta, which is nearly always so."""
    return not (choice.get("finish_reason") or choice.get("logprobs"))


def _texts(content: object) -> Iterator[tuple[Literal["text", "thought"], str]]:
    """Yield the texts of ``content``, which is a string or parts; parts may be thoughts."""
    if isinstance(content, str):
        if content:
            yield "text", content
        return
    for part in map(fields_of, items_of(content)):
        # This type is Mistral's.
        if part.get("type") == "thinking":
            yield from (("thought", text) for text in _detail_texts(part.get("thinking")))
        elif isinstance(text := part.get("text"), str) and text:
            yield "text", text


def _detail_texts(details: object) -> list[str]:
    found = (fields_of(detail).get("text") for detail in items_of(details))
    return [text for text in found if isinstance(text, str) and text]


def _annotations(given: object) -> list[Annotation]:
    found: list[Annotation] = []
    for value in items_of(given):
        if fields_of(value).get("type") == "url_citation":
            try:
                found.append(msgspec.convert(value, Annotation))
            except msgspec.ValidationError:
                continue
    return found
