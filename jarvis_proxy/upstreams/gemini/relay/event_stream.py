"""A stream of Google's events, relayed byte for byte, but never blindly. Pure.

Whole frames pass, so that an error or a heartbeat is in place between any two reads. Left out is
only what Google never sends and its SDKs fail at: comments, ``event:`` lines, ``[DONE]``.

Source: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
(read 2026-11) and recorded streams.
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
_LONGEST_END: Final = 3
_BLANK: Final = b"\r\n"
_STRAY: Final = (b"{", b"[", b"<")
_DONE: Final = b"[DONE]"
_FRAME: Final = b"data: %b\r\n\r\n"
_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])


class EventRelay:
    """A StreamTranslator that returns its input, whole frames at a time.

    *model* is the client's name for the model. Text that is no frame is held to the end: Google
    breaks a stream off with an error in JSON, and some gateways send all of the answer so.
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
        self._tail = b""  # the last bytes of what is pending: an end may be cut in two
        self._is_stray = False

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens, as far as the upstream has counted them."""
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
        """Return the frames that *data* completes, as they came; a partial one is held back.

        Raises:
            ProxyError: the error that a frame is, or 502 `upstream_bad_frame`,
                `upstream_frame_too_large`; its ``completed_events`` came before.
        """
        pending = self._pending
        if not pending.size and _is_one_frame(data):  # as nearly every read is
            self._observer.note(data[6:].rstrip())
            return data
        pending.add(data)
        self._tail = (seen := self._tail + data)[-_LONGEST_END + 1 :]
        if self._is_stray or not _END.search(seen):
            if pending.size > MAX_EVENT_BYTES:
                raise too_large()
            return b""
        whole, self._pending = pending.join(), ByteBuffer()
        return self._take_frames(whole)

    def _take_frames(self, whole: bytes) -> bytes:
        """Return the frames of *whole*; keep what follows the last."""
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
        self._tail = rest[-_LONGEST_END + 1 :]
        return b"".join(passed)

    def _take(self, frame: bytes) -> bytes:
        """Return *frame* as the client may see it."""
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
        """Return what the end of the body completes.

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
        """Return a frame that lacks its blank line only; drop half of one."""
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
        """Return frames for *text*, a body of JSON instead of events.

        Raises:
            ProxyError: it is an error, or no JSON.
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
        # In one line: SDKs read line by line.
        lines = (msgspec.json.format(bytes(frame), indent=-1) for frame in frames)
        return self._take_frames(b"".join(_FRAME % line for line in lines))


def _is_one_frame(data: bytes) -> bool:
    """Return whether *data* is one frame in the common form, and nothing else."""
    if not data.startswith(b"data: {"):
        return False
    end = data.find(b"\n")
    return data[end:] in (b"\n\n", b"\n\r\n")
