"""Relays Google's event stream byte for byte, and checks each frame. Pure.

Only whole frames pass, so that an error or a heartbeat can be inserted between any two reads. Only
what Google never sends and its SDKs fail at is left out: comments, ``event:`` lines, ``[DONE]``.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent (read
2026-11) and recorded streams.
"""

import re
from typing import Final

import msgspec

from jarvis_proxy.canonical.exchange import UpstreamRequest, bad_response, truncated
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.relay.answer_observer import AnswerObserver
from jarvis_proxy.upstreams.gemini.relay.errors import error_in_stream
from jarvis_proxy.wire.pieces import ByteBuffer
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES, too_large

_END: Final = re.compile(rb"\n\r?\n")
_MAX_END: Final = 3
_BLANK: Final = b"\r\n"
_STRAY: Final = (b"{", b"[", b"<")
_DONE: Final = b"[DONE]"
_FRAME: Final = b"data: %b\r\n\r\n"
_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])


class EventRelay:
    """A StreamTranslator that returns its input in whole frames.

    *model* is the client's name of the model. Other text is held until the end: Google ends a
    failed stream with a JSON error, and some gateways send the whole answer as JSON.
    """

    __slots__ = (
        "_is_stray",
        "_model",
        "_observer",
        "_pending",
        "_tail",
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
        self._tail = b""
        """The last pending bytes, because an end may be split."""
        self._is_stray = False

    @property
    def usage(self) -> TokenUsage | None:
        """The token counts that the upstream has reported so far."""
        return self._observer.usage

    @property
    def held(self) -> int:
        """About how many bytes wait for the end of their frame."""
        return self._pending.size

    @property
    def is_settled(self) -> bool:
        """Whether every candidate has ended, though the stream has not."""
        return self._observer.is_complete

    def feed(self, data: bytes) -> bytes:
        """Return the frames that *data* completes, unchanged; hold back a partial one.

        Raises:
            ProxyError: the error in a frame, or 502 `upstream_bad_frame`,
                `upstream_frame_too_large`; its ``completed_events`` are the frames before.
        """
        pending = self._pending
        # Nearly every read is one frame.
        if not pending.size and _is_one_frame(data):
            self._observer.note(data[6:].rstrip())
            return data
        pending.add(data)
        self._tail = (seen := self._tail + data)[-_MAX_END + 1 :]
        if self._is_stray or not _END.search(seen):
            if pending.size > MAX_EVENT_BYTES:
                raise too_large()
            return b""
        whole, self._pending = pending.join(), ByteBuffer()
        return self._take_frames(whole)

    def _take_frames(self, whole: bytes) -> bytes:
        """Return the frames of *whole*; keep what follows the last one."""
        passed: list[bytes] = []
        start = 0
        try:
            for end in _END.finditer(whole):
                frame = whole[start : end.end()]
                if frame.lstrip(_BLANK).startswith(_STRAY):
                    break
                start = end.end()
                passed.append(self._take(frame))
        except ProxyError as error:
            error.completed_events = b"".join(passed)
            raise
        rest = whole[start:]
        self._is_stray = rest.lstrip(_BLANK).startswith(_STRAY)
        self._pending.add(rest)
        self._tail = rest[-_MAX_END + 1 :]
        return b"".join(passed)

    def _take(self, frame: bytes) -> bytes:
        """Return *frame* in the form for the client."""
        text = frame.strip(_BLANK)
        if not text:
            return frame
        lines = [line.rstrip(b"\r") for line in text.split(b"\n")]
        data = [line for line in lines if line.startswith(b"data:")]
        payload = b"\n".join(line[5:] for line in data).strip()
        if not payload or payload == _DONE:
            return b""
        self._observer.note(payload)
        if len(data) == len(lines):
            return frame
        return b"".join(line + b"\r\n" for line in data) + b"\r\n"

    def feed_eof(self) -> bytes:
        """Return the rest that the end of the body completes.

        Raises:
            ProxyError: the error with which the upstream broke off, with its body as ``native``;
                502 `upstream_truncated`, `upstream_bad_frame`, `upstream_bad_response`.
        """
        rest, self._pending = self._pending.join(), ByteBuffer()
        is_stray = rest.lstrip(_BLANK).startswith(_STRAY)
        last = self._take_stray(rest.strip()) if is_stray else self._take_last(rest)
        if not self._observer.is_complete:
            error = truncated()
            error.completed_events = last
            raise error
        self.done = True
        return last

    def _take_last(self, rest: bytes) -> bytes:
        """Return a frame that only lacks its blank line; drop half a frame."""
        if not rest.strip(_BLANK):
            return rest
        try:
            frame = self._take(rest)
        except ProxyError as error:
            if error.code == "upstream_bad_frame":
                return b""
            raise
        if self._observer.is_complete or not frame:
            return frame
        return frame + (b"\r\n" if frame.endswith(b"\n") else b"\r\n\r\n")

    def _take_stray(self, text: bytes) -> bytes:
        """Return frames for *text*, a JSON body instead of events.

        Raises:
            ProxyError: the body is an error, or no JSON.
        """
        error = error_in_stream(text, model=self._model)
        if error is not None:
            raise error
        if text.startswith(b"<"):
            raise bad_response()
        try:
            frames = _RAW.decode(text if text.startswith(b"[") else b"[%b]" % text)
        except (ValueError, RecursionError):
            raise truncated() from None
        # Put each frame on one line, because SDKs read by lines.
        lines = (msgspec.json.format(bytes(frame), indent=-1) for frame in frames)
        return self._take_frames(b"".join(_FRAME % line for line in lines))


def _is_one_frame(data: bytes) -> bool:
    """Return whether *data* is exactly one frame in the common form."""
    if not data.startswith(b"data: {"):
        return False
    end = data.find(b"\n")
    return data[end:] in (b"\n\n", b"\n\r\n")
