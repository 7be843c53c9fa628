"""Finds buffering intermediaries by the timing of a `jarvis-echo` stream. Pure.

`jarvis-echo` sends a word every 30 ms. A buffering intermediary turns that into one or a few
bursts. A slow network only delays some events.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final, Literal

import msgspec

from jarvis_proxy.doctor.checks.intermediaries import describe_intermediaries
from jarvis_proxy.doctor.findings import Check, Finding
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, TimedBytes
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.routing.models import ECHO_MODEL
from jarvis_proxy.wire.sse import SSEDecoder

WORDS: Final = 40
"""1.2 seconds at the pace of `jarvis-echo`, and more bytes than a proxy's buffer holds."""

TEXT: Final = " ".join(f"word{number:02d}" for number in range(WORDS))
PACE: Final = 0.03
"""Seconds between two words of `jarvis-echo`."""

_SAME_BURST: Final = PACE / 3
"""Events with a smaller gap left a buffer together."""

_BUNCHED: Final = 4.0
"""Mean events per burst (120 ms of delay) from which on an intermediary buffers."""

_BUFFERED_BURSTS: Final = 2
_BUFFERED_SHARE: Final = 0.25


def request_body(*, stream: bool, padding: int = 0) -> bytes:
    """Return a chat request to `jarvis-echo`, *padding* bytes longer than necessary."""
    messages = [{"role": "user", "content": TEXT if stream else "Hello"}]
    body = {"model": ECHO_MODEL, "stream": stream, "messages": messages}
    return msgspec.json.encode({**body, "metadata": {"padding": "x" * padding}})


class StreamTiming:
    """Reads a stream in pieces: *times* are the arrivals of words, *text* joins the words."""

    def __init__(self, pieces: Iterable[TimedBytes]) -> None:
        self.times: list[float] = []
        self.text = ""
        self._is_done = self._has_error = False
        decoder = SSEDecoder()
        for piece in pieces:
            try:
                for event in decoder.feed(piece.data):
                    self._take(piece.at, event.data)
            except (ProxyError, ValueError, TypeError, AttributeError, LookupError, RecursionError):
                # This is no event of a chat stream.
                self._has_error = True

    def _take(self, at: float, data: bytes) -> None:
        if data == b"[DONE]":
            self._is_done = True
            return
        chunk = msgspec.json.decode(data)
        self._has_error = self._has_error or chunk.get("error") is not None
        for choice in chunk.get("choices", ()):
            if content := choice["delta"].get("content"):
                self.times.append(at)
                self.text += content

    @property
    def fault(self) -> Literal["", "error", "truncated", "altered"]:
        """Why the stream is incomplete; "" if every word and the end arrived."""
        if self._has_error:
            return "error"
        if not self._is_done:
            return "truncated"
        return "" if self.text == TEXT else "altered"

    @property
    def span(self) -> float:
        """The seconds from the first word to the last."""
        return self.times[-1] - self.times[0]

    @property
    def bursts(self) -> int:
        """The number of bursts in which words arrived."""
        return 1 + sum(late - early >= _SAME_BURST for early, late in pairwise(self.times))

    @property
    def kind(self) -> Literal["paced", "bunched", "buffered"]:
        """How the words arrived: as sent, in pieces of a buffer's size, or all at once."""
        count = len(self.times)
        if self.bursts <= _BUFFERED_BURSTS or self.span < _BUFFERED_SHARE * PACE * (count - 1):
            return "buffered"
        return "bunched" if count / self.bursts >= _BUNCHED else "paced"


def evaluate_stream(answer: HttpAnswer, *, is_local: bool) -> Finding:
    """Return the finding for a received stream; *is_local*: there is no intermediary."""
    between = describe_intermediaries(answer)
    if answer.status != 200 or answer.content_type != "text/event-stream":
        return Check("checks/streaming", "refusal", title="stream").evaluate(answer, **between)
    check = Check("checks/streaming", "stream")
    timing = StreamTiming(answer.pieces)
    if timing.fault:
        return check.finding(timing.fault, words=len(timing.times), total=WORDS, **between)
    coding = answer.header("content-encoding")[:20]
    if timing.kind == "paced":
        result = "compressed" if coding else "paced"
    else:
        result = "busy" if is_local else timing.kind
    return check.finding(
        result,
        events=len(timing.times),
        bursts=timing.bursts,
        span=f"{timing.span:.1f} s",
        first=f"{timing.times[0]:.1f} s",
        coding=coding,
        **between,
    )


def seems_bunched(answer: HttpAnswer) -> bool:
    """Return whether a complete stream arrived in bursts, which jitter can also cause."""
    timing = StreamTiming(answer.pieces)
    return not timing.fault and timing.kind == "bunched"
