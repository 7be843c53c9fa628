"""A client API and an upstream API that are as simple as they can be.

The upstream's body is lines: ``text WORDS``, ``usage N``, ``error PARAM``, ``empty``, ``more``
(the answer goes on in a further request), ``end`` (its mark for the end). The client's events are
``data: CHOICE WORDS``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jarvis_proxy.canonical.adapters import AnswerFactory, DialectCall, ModelFeatures
from jarvis_proxy.canonical.answer import Answer, AnswerSink, DiscardingSink, Finish
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    EmptyAnswerError,
    Exchange,
    Media,
    Prerequisites,
    UpstreamRequest,
)
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.response_events import SequenceNumbers


class Sink(DiscardingSink):
    """Writes text and ends."""

    def __init__(self, index: int, out: list[str]) -> None:
        self._index = index
        self._out = out

    def text(self, text: str, /) -> None:
        self._out.append(f"data: {self._index} {text}\n")

    def finish(self, finish: Finish, /) -> None:
        self._out.append(f"data: {self._index} /{finish.reason}\n")


class FakeAnswer:
    """Writes events; as a body it is all of them."""

    def __init__(self, *, stream: bool, numbers: SequenceNumbers | None = None) -> None:
        self.stream = stream
        self.numbers = numbers
        self._out: list[str] = []
        self._sinks: dict[int, Sink] = {}

    @property
    def kept(self) -> int:
        return 7

    def choice(self, index: int, /) -> AnswerSink:
        if index not in self._sinks:
            self._sinks[index] = Sink(index, self._out)
        return self._sinks[index]

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        tokens = None if usage is None else usage.prompt_tokens
        self._out.append(f"data: end {tokens} {service_tier}\n")

    def take(self) -> bytes:
        events = "".join(self._out).encode()
        self._out.clear()
        return events

    body = take


class FakeReader:
    """Reads lines into one choice."""

    def __init__(self, answer: Answer, index: int) -> None:
        self._sink = answer.choice(index)
        self._line = b""
        self._tokens: int | None = None
        self.service_tier: str | None = "flex"
        self.next_request: UpstreamRequest | None = None
        self.done = self.is_settled = False

    @property
    def usage(self) -> ChatUsage | None:
        return None if self._tokens is None else ChatUsage(prompt_tokens=self._tokens)

    @property
    def held(self) -> int:
        return len(self._line)

    def feed(self, data: bytes, /) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def feed_eof(self) -> None:
        if self.next_request is None and not self.done and not self.is_settled:
            raise ProxyError(502, "It was cut off.", code="upstream_truncated")

    def read_whole(self, body: bytes, /) -> None:
        self.next_request = None
        self.feed(body)

    def _take(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        match verb:
            case "text":
                self.next_request = None
                self._sink.text(rest)
            case "usage":
                self._tokens = (self._tokens or 0) + int(rest)
            case "error":
                raise ProxyError(400, f"Bad '{rest}'.", param=rest)
            case "empty":
                raise EmptyAnswerError(502, "It said nothing.")
            case "more":
                self.next_request = UpstreamRequest("POST", "/more", {}, b"")
            case "stop":
                self._sink.finish(Finish(reason="stop"))
                self.is_settled = True
            case "end":
                self._sink.finish(Finish(reason="stop"))
                self.done = True


class Renamed:
    """Every param has another name at the client."""

    def param(self, chat_param: str, /) -> str:
        return f"my_{chat_param}"


@dataclass
class FakeUpstreamCall:
    """Sends the canonical body, once for each index."""

    body: bytes = b"ask"
    count: int = 1
    ignored: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    begun: int = 0
    remedies: list[bytes] = field(default_factory=list)

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        return (UpstreamRequest("POST", "/ask", {}, self.body),) * self.count

    def begin(self) -> None:
        self.begun += 1

    def reader(self, answer: Answer, index: int, /) -> FakeReader:
        return FakeReader(answer, index)

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        return ProxyError(status, f"Bad '{body.decode()}'.", param=body.decode()) if body else None

    def recover(self, status: int, body: bytes) -> "FakeUpstreamCall | None":
        return FakeUpstreamCall(self.remedies[0], count=self.count) if self.remedies else None


def client_call(request: CanonicalRequest | None = None) -> DialectCall:
    answers: AnswerFactory = FakeAnswer
    return DialectCall(request or CanonicalRequest(body=b"{}", params=Renamed()), answers)


class FakeDialect:
    """Reads any body as one in which each param has another name."""

    def __init__(self) -> None:
        self.reads = 0
        self.features: ModelFeatures | None = None

    def read(self, call: Call, features: ModelFeatures, /) -> DialectCall:
        self.reads += 1
        self.features = features
        body = b"canonical " + call.body
        return client_call(CanonicalRequest(body=body, params=Renamed(), ignored=("mine",)))


class FakeAdapter:
    """Takes any canonical request; its own endpoint is ``own``."""

    name = "fake"

    def __init__(self, *, decodes: bool = True) -> None:
        self.decodes = decodes
        self.bodies: list[bytes] = []
        self.read: Callable[[], CanonicalRequest] | None = None

    def features(self, call: Call, /) -> ModelFeatures:
        return ModelFeatures(draws=call.target_model == "painter")

    def canonical_needs(self, call: Call, request: CanonicalRequest, /) -> Prerequisites:
        if b"bad" in request.body:
            raise ProxyError(400, "Bad 'messages'.", param="messages")
        decoded = Decoded(request.body, 100) if self.decodes else None
        return Prerequisites(urls=("https://host/picture",), decoded=decoded)

    def translate(
        self,
        call: Call,
        read: Callable[[], CanonicalRequest],
        media: Mapping[str, Media | ProxyError],
        decoded: Decoded | None = None,
    ) -> FakeUpstreamCall:
        self.read = read
        request = read()
        self.bodies.append(request.body)
        body = request.body if decoded is None else decoded.take()
        assert isinstance(body, bytes)
        if b"odd" in body:
            raise ProxyError(400, "Bad 'n'.", param="n")
        return FakeUpstreamCall(body, ignored=("seed",))

    def needs(self, call: Call) -> Prerequisites:
        return NOTHING_NEEDED

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        raise ProxyError(400, "Not served.", code="unsupported_endpoint")


def a_call(body: bytes = b"x", *, endpoint: str = "chat/completions", model: str = "m") -> Call:
    return Call(
        endpoint=endpoint,
        model=model,
        target_model=model,
        stream=False,
        body=body,
        id="b" * 24,
        created=1,
        now=0.0,
    )
