"""Puts thoughts into the content of a chat answer, between tags. Pure.

Some clients show reasoning only if it is in the content, as ``<think>…</think>``.
"""

from typing import Literal

from msgspec.structs import replace

from jarvis_proxy.canonical.answer import AnswerSink, CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.wire.chat_types import Annotation, ChatUsage, Image, TokenLogprob


class ThinkTagSink:
    """Converts thoughts to text between tags; passes everything else on to *inner*.

    Annotations refer to positions in the visible text, so they are shifted by the inserted
    thoughts. Implements ``AnswerSink``.
    """

    __slots__ = ("_inner", "_inserted", "_tag", "_thinking", "_visible")

    def __init__(self, inner: AnswerSink, tag: str) -> None:
        self._inner = inner
        self._tag = tag
        self._thinking = False
        self._visible = 0
        """Length of the visible text so far, in characters."""
        self._inserted: list[tuple[int, int]] = []
        """For each inserted text: its position in the visible text, and its length."""

    @property
    def emitted(self) -> bool:
        """Whether any of it was sent to the client."""
        return self._inner.emitted

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Pass on."""
        self._inner.begin(upstream_id, usage)

    def text(self, text: str, /) -> None:
        """Receive visible text; a pending closing tag precedes it."""
        self._close()
        self._visible += len(text)
        self._inner.text(text)

    def thought(self, text: str, /) -> None:
        """Receive a thought; an opening tag precedes the first one."""
        if not self._thinking:
            self._thinking = True
            text = f"<{self._tag}>{text}"
        self._insert(text)

    def seal(self, state: SealedState, /) -> None:
        """Pass on."""
        self._inner.seal(state)

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a call; a pending closing tag precedes it."""
        self._close()
        self._inner.call_begin(call)

    def call_piece(self, piece: str, /) -> None:
        """Pass on."""
        self._inner.call_piece(piece)

    def call_end(self, /) -> None:
        """Pass on."""
        self._inner.call_end()

    def sketch(self, image: Image, /) -> None:
        """Do nothing: the chat API has no field for it."""

    def image(self, image: Image, /) -> None:
        """Receive a picture; a pending closing tag precedes it."""
        self._close()
        self._inner.image(image)

    def speech(self, mime_type: str, data: str, /) -> None:
        """Pass on."""
        self._inner.speech(mime_type, data)

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Pass on."""
        self._inner.logprobs(tokens)

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Pass on."""
        self._inner.server_tool(kind, count)

    def finish(self, finish: Finish, /) -> str | None:
        """End the choice; a pending closing tag precedes the end."""
        self._close()
        moved = tuple(map(self._moved, finish.annotations))
        return self._inner.finish(replace(finish, annotations=moved))

    def _close(self) -> None:
        if self._thinking:
            self._thinking = False
            self._insert(f"</{self._tag}>")

    def _insert(self, text: str) -> None:
        self._inserted.append((self._visible, len(text)))
        self._inner.text(text)

    def _moved(self, annotation: Annotation) -> Annotation:
        place = annotation.url_citation
        start, end = place.start_index, place.end_index
        before = sum(size for at, size in self._inserted if at <= start)
        within = sum(size for at, size in self._inserted if start < at < end)
        return replace(
            annotation,
            url_citation=replace(
                place, start_index=start + before, end_index=end + before + within
            ),
        )
