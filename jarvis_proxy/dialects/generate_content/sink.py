"""Converts one choice of the canonical answer to the parts of Google's candidate. Pure.

Source: https://ai.google.dev/api/caching#Part (read 2026-11).
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.mime import from_name
from jarvis_proxy.canonical.sealed_state import (
    ANTHROPIC,
    SealedState,
    anthropic_blocks,
    to_google_signature,
)
from jarvis_proxy.dialects.generate_content.frames import (
    Blob,
    Candidate,
    Content,
    FileData,
    FunctionCall,
    Part,
    logprobs_of,
)
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.chat_types import ChatUsage, Image, TokenLogprob

_REASONS: Final = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_TOKEN_BYTES: Final = 512
_PIECE_BYTES: Final = 64


class CandidateSink:
    """Converts the events of a choice to parts; implements ``AnswerSink``.

    A call becomes one part when it has ended. *shows*: thoughts are shown. Subclasses write the
    parts.
    """

    __slots__ = (
        "_call",
        "_finish",
        "_index",
        "_logprobs",
        "_pieces",
        "_shows",
        "_state",
        "emitted",
        "held",
    )

    def __init__(self, index: int, *, shows: bool) -> None:
        self.emitted = False
        self.held = 0
        """About how many bytes wait for the end of a call, or of the answer."""
        self._index = index
        self._shows = shows
        self._call: CallStart | None = None
        self._pieces: list[str] = []
        self._state: SealedState | None = None
        self._logprobs: list[TokenLogprob] = []
        self._finish = Finish(reason="stop")

    def _say(self, text: str, *, thought: bool) -> None:
        """Write a piece of the text or of a thought."""
        raise NotImplementedError

    def _add(self, part: Part) -> None:
        """Write a part other than text."""
        raise NotImplementedError

    # -- events ------------------------------------------------------------------------------

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Do nothing: the proxy makes the answer's id, and reports tokens at the end."""

    def text(self, text: str, /) -> None:
        """Receive a piece of the visible text."""
        self._say(text, thought=False)

    def thought(self, text: str, /) -> None:
        """Receive a piece of the reasoning."""
        if self._shows:
            self._say(text, thought=True)

    def seal(self, state: SealedState, /) -> None:
        """Keep opaque state: the next part with a field for it carries it."""
        before = self._state
        if before is not None and before.owner == state.owner == ANTHROPIC:
            blocks = anthropic_blocks(before) + anthropic_blocks(state)
            state = SealedState(ANTHROPIC, compact(blocks))
        self._state = state
        self.held += len(state.payload)

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a tool call."""
        self._call = call

    def call_piece(self, piece: str, /) -> None:
        """Receive a piece of the open call's arguments."""
        self._pieces.append(piece)
        self.held += len(piece) + _PIECE_BYTES

    def call_end(self, /) -> None:
        """Write the call."""
        call, text = self._call, "".join(self._pieces)
        self._call = None
        self._pieces.clear()
        self.held = 0
        if call is not None:
            args = _custom(text) if call.kind == "custom" else arguments(text)
            part = Part(function_call=FunctionCall(call.name, args, call.id))
            self._add(self._signed(part))

    def sketch(self, image: Image, /) -> None:
        """Do nothing: a picture would look finished."""

    def image(self, image: Image, /) -> None:
        """Receive a picture as a data URL or a link."""
        url = image.image_url.url
        head, comma, data = url.partition(";base64,")
        if comma and head.startswith("data:"):
            self._add(Part(inline_data=Blob(head.removeprefix("data:"), data)))
        else:
            self._add(Part(file_data=FileData(from_name(url) or "image/jpeg", url)))

    def speech(self, mime_type: str, data: str, /) -> None:
        """Receive a piece of audio."""
        self._add(Part(inline_data=Blob(mime_type, data)))

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Keep log probabilities for the last frame."""
        self._logprobs += tokens
        self.held += _TOKEN_BYTES * len(tokens)

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Do nothing: Google's API does not report it."""

    def finish(self, finish: Finish, /) -> None:
        """Note how the choice ended."""
        self._finish = finish

    # -- the end -----------------------------------------------------------------------------

    def closing_part(self) -> Part:
        """Return the last frame's empty text part, with state that no call has carried."""
        return self._signed(Part(text=""))

    def last(self, parts: list[Part]) -> Candidate:
        """Return the last candidate, with *parts* and how the choice ended."""
        finish = self._finish
        return Candidate(
            Content(parts),
            _REASONS.get(finish.reason, "STOP"),
            self._index,
            (finish.reason == "content_filter" and finish.message) or UNSET,
            logprobs_of(self._logprobs) if self._logprobs else UNSET,
        )

    def _signed(self, part: Part) -> Part:
        state, self._state = self._state, None
        if state is not None:
            part.thought_signature = to_google_signature(state)
        return part


def arguments(text: str) -> Raw:
    """Return a call's arguments as a JSON object on one line.

    Any other value is wrapped under ``value``, and invalid JSON under ``_raw_arguments``.
    """
    if not text.strip():
        return Raw(b"{}")
    text = text.encode("utf-8", "replace").decode()
    try:
        data = surrogates.replace_lone_surrogates(text.encode())
        try:
            _OBJECT.decode(data)
        except msgspec.ValidationError:
            return Raw(b'{"value":%b}' % msgspec.json.format(data, indent=-1))
        return Raw(msgspec.json.format(data, indent=-1))
    except (ValueError, RecursionError):
        return Raw(msgspec.json.encode({"_raw_arguments": text}))


def _custom(text: str) -> Raw:
    return Raw(msgspec.json.encode({"input": text}))
