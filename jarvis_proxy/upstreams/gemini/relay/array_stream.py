"""Relays Google's JSON array stream byte for byte in whole elements. Pure.

Google streams like this unless asked for events. White space or an error can be inserted between
two elements.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read
2026-11) and recorded streams.
"""

import re
from typing import Final

from jarvis_proxy.canonical.exchange import UpstreamRequest, bad_response, truncated
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.relay.answer_observer import AnswerObserver
from jarvis_proxy.upstreams.gemini.relay.errors import error_in_stream
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, too_large

_MARK: Final = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_BLANK: Final = b" \t\r\n"
_BEFORE_ELEMENT: Final = b"[, \t\r\n"


class ArrayRelay:
    """A StreamTranslator that returns its input up to the end of an element.

    *model* is the client's name of the model.
    """

    __slots__ = (
        "_backslash",
        "_depth",
        "_has_begun",
        "_is_array",
        "_is_in_string",
        "_is_whole",
        "_model",
        "_observer",
        "_pending",
        "done",
        "failure",
        "next_request",
    )

    def __init__(self, model: str) -> None:
        self.done = False
        self.failure: ProxyError | None = None
        self.next_request: UpstreamRequest | None = None
        self._model = model
        self._observer = AnswerObserver(model)
        self._pending = ByteBuffer()
        self._has_begun = False
        self._is_array = False
        self._is_whole = False
        self._depth = 0
        self._is_in_string = False
        self._backslash = b""
        """A backslash at the end of the last piece, which escapes the next character."""

    @property
    def usage(self) -> TokenUsage | None:
        """The token counts that the upstream has reported so far."""
        return self._observer.usage

    @property
    def held(self) -> int:
        """About how many bytes wait for the end of their element."""
        return self._pending.size

    @property
    def is_settled(self) -> bool:
        """Whether the whole array has arrived."""
        return self._is_whole

    def feed(self, data: bytes) -> bytes:
        """Return the bytes up to the last element that *data* completes.

        Raises:
            ProxyError: the error in an element, or 502 `upstream_bad_frame`,
                `upstream_frame_too_large`; its ``completed_events`` are the elements before.
        """
        if not self._has_begun and (text := data.lstrip(_BLANK)):
            self._has_begun, self._is_array = True, text.startswith(b"[")
        if not self._is_array:
            self._hold(data)
            return b""
        passed: list[bytes] = []
        start = 0
        try:
            for end, depth in self._ends(data):
                passed.append(self._take(data[start:end], is_last=depth == 0))
                start = end
        except ProxyError as error:
            error.completed_events = b"".join(passed)
            raise
        self._hold(data[start:])
        return b"".join(passed)

    def _hold(self, data: bytes) -> None:
        self._pending.add(data)
        if self._pending.size > MAX_EVENT_BYTES:
            raise too_large()

    def _ends(self, data: bytes) -> list[tuple[int, int]]:
        """Return the positions in *data* where elements end (depth 1), or the array (depth 0)."""
        ends: list[tuple[int, int]] = []
        shift = len(self._backslash)
        data = self._backslash + data
        size = len(data) - (len(data) - len(data.rstrip(b"\\"))) % 2
        self._backslash = data[size:]
        for found in _MARK.finditer(data, 0, size):
            mark = found[0]
            if mark == b'"':
                self._is_in_string = not self._is_in_string
            elif self._is_in_string:
                continue
            elif mark in b"[{":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 1:
                    ends.append((found.end() - shift, self._depth))
        return ends

    def _take(self, piece: bytes, *, is_last: bool) -> bytes:
        """Return the data held back and *piece*: an element with what precedes it, or the end."""
        self._pending.add(piece)
        whole, self._pending = self._pending.join(), ByteBuffer()
        if is_last:
            self._is_whole = self._observer.has_frames
            return whole if self._is_whole else b""
        self._observer.note(whole.lstrip(_BEFORE_ELEMENT))
        return whole

    def feed_eof(self) -> bytes:
        """Return the rest that the end of the body completes.

        Raises:
            ProxyError: an error that arrived instead of an array, with its body as ``native``;
                502 `upstream_truncated`, `upstream_bad_response`.
        """
        rest, self._pending = self._pending.join(), ByteBuffer()
        if self._has_begun and not self._is_array:
            raise error_in_stream(rest, model=self._model) or bad_response()
        if not self._is_whole:
            raise truncated()
        self.done = True
        return b"" if rest.strip(_BLANK) else rest
