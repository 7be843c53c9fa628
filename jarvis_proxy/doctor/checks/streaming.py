"""What a stream of `jarvis-echo`, as it arrived, says about the way it took. Pure."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from jarvis_proxy.doctor.checks.intermediaries import (
    UNNAMED,
    Intermediary,
    find_intermediaries,
    names,
)
from jarvis_proxy.doctor.checks.stream_timing import StreamTiming, evaluate
from jarvis_proxy.doctor.findings import Finding, ok, problem, warning
from jarvis_proxy.doctor.net.http_answer import HttpAnswer, error_codes
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.registry import ECHO_MODEL
from jarvis_proxy.sse import SSEDecoder

CHECK: Final = "stream"

WORDS: Final = 40
"""1.2 seconds at the pace of `jarvis-echo`, and more bytes than one buffer of a proxy holds."""

TEXT: Final = " ".join(f"word{number:02d}" for number in range(WORDS))
_DONE: Final = b"[DONE]"


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)


def request_body(*, stream: bool, padding: int = 0) -> bytes:
    """Return a chat request to `jarvis-echo`, *padding* bytes longer than it needs to be."""
    body: dict[str, object] = {
        "model": ECHO_MODEL,
        "stream": stream,
        "messages": [{"role": "user", "content": TEXT if stream else "Hello"}],
    }
    if padding:
        body["metadata"] = {"padding": "x" * padding}
    return msgspec.json.encode(body)


class StreamTimeline:
    """Reads a stream piece by piece: when each word came, and whether the stream is whole."""

    def __init__(self) -> None:
        self._decoder = SSEDecoder()
        self.times: list[float] = []
        self.text = ""
        self.done = False
        self.failed = False
        """An error came as an event, or something that is no event of a chat stream."""

    def take(self, at: float, data: bytes) -> None:
        """Take what arrived at the time *at*, in seconds."""
        try:
            events = self._decoder.feed(data)
        except ProxyError:
            self.failed = True
            return
        for event in events:
            if event.data == _DONE:
                self.done = True
            else:
                self._take_chunk(at, event.data)

    def _take_chunk(self, at: float, data: bytes) -> None:
        try:
            chunk = _CHUNK.decode(data)
        except (ValueError, RecursionError):
            self.failed = True
            return
        self.failed = self.failed or chunk.error is not None
        for choice in chunk.choices:
            if choice.delta.content:
                self.times.append(at)
                self.text += choice.delta.content

    @property
    def pacing(self) -> StreamTiming:
        """How the words came, at least two of them."""
        return evaluate(self.times)

    @property
    def whole(self) -> bool:
        """Whether every word came, and then the end."""
        return self.done and not self.failed and self.text == TEXT


def evaluate_refusal(answer: HttpAnswer, body: bytes) -> Finding:
    """Return the finding for an answer that is no event stream at all."""
    codes = error_codes(body)
    said = f"{answer.status} {codes[0]}" if codes else f"{answer.status} ({answer.content_type})"
    hops = find_intermediaries(answer.headers)
    advice = "Look into the log of the proxy, and of what stands in front of it."
    if answer.status in (404, 405):
        advice = (
            f"Does {names(hops)} pass on POST to every path, and not only some of them?"
            if hops
            else "Does the address lead to the proxy with every path below it?"
        )
    return problem(CHECK, f"no stream, but {said}", advice)


def evaluate_stream(answer: HttpAnswer, arrivals: StreamTimeline, *, here: bool) -> Finding:
    """Return the finding for a stream as it arrived; *here*: nobody can be in between."""
    hops = find_intermediaries(answer.headers)
    if not arrivals.whole:
        return _damaged(arrivals, hops)
    found = arrivals.pacing
    if found.kind == "paced":
        return _paced(answer, found, hops)
    if here:
        return warning(
            CHECK,
            f"{found.events} events came in {found.bursts} bursts, with nobody in between",
            "Is this machine very busy? Run the doctor again.",
        )
    return _buffered(found, hops, arrivals.times[0])


def _paced(answer: HttpAnswer, found: StreamTiming, hops: tuple[Intermediary, ...]) -> Finding:
    through = f", through {names(hops)}" if hops else ""
    detail = f"{found.events} events came one by one over {found.span:.1f} s{through}"
    if coding := answer.header("content-encoding"):
        return warning(
            CHECK,
            f"{detail}; {names(hops)} compresses them ({coding[:20]})",
            "Turn compression off for text/event-stream: with longer events it may hold some back.",
        )
    return ok(CHECK, detail)


def _buffered(found: StreamTiming, hops: tuple[Intermediary, ...], first: float) -> Finding:
    who = names(hops)
    if found.kind == "held":
        detail = f"{found.events} events came all at once after {first:.1f} s"
    else:
        detail = f"{found.events} events came in {found.bursts} bursts"
    hops = hops or (UNNAMED,)
    advice = " ".join(
        f"{hop.name}: {hop.streaming}" if len(hops) > 1 else hop.streaming for hop in hops
    )
    examples: Iterable[str] = (hop.example for hop in hops if hop.example)
    return problem(
        CHECK,
        f"{detail}: {who} holds streams back, so clients see nothing for long and may give up",
        advice,
        "\n\n".join(examples),
    )


def _damaged(arrivals: StreamTimeline, hops: tuple[Intermediary, ...]) -> Finding:
    if arrivals.failed:
        detail = "an error, or something that is no event of a chat stream, came in the middle"
    elif arrivals.done:
        detail = "the words that came are not those that were sent"
    else:
        detail = f"it broke off after {len(arrivals.times)} of {WORDS} words"
    return problem(
        CHECK,
        detail,
        f"Does {names(hops)} cut or rewrite answers? Its timeouts must be above those of the"
        " proxy, and text/event-stream must pass as it is.",
    )
