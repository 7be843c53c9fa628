"""Translates a call of any client API to any upstream API, and the answer back. Pure.

The dialect reads the request and writes the answer; the upstream's call writes the upstream's
request, and its reader reads the upstream's answer. They meet only here.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Final, NamedTuple

import msgspec

from jarvis_proxy.canonical.adapters import Dialect, DialectCall, UpstreamAdapter, UpstreamCall
from jarvis_proxy.canonical.answer import Answer, AnswerReader
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import (
    Exchange,
    Media,
    Prerequisites,
    RetryableError,
    StreamTranslator,
    UpstreamRequest,
)
from jarvis_proxy.canonical.request import CanonicalRequest, ParamMap, relabel
from jarvis_proxy.canonical.usage import TokenUsage, add_usage, to_token_usage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.response_events import SequenceNumbers

_MAX_IGNORED: Final = 40
"""The header stays below 4 KiB."""


class _Attempt:
    """One answer in progress: the state that the readers of all its requests share."""

    __slots__ = ("abandoned", "answer", "count", "ended", "readers")

    def __init__(self, answer: Answer, count: int) -> None:
        self.answer = answer
        self.count = count
        self.readers: dict[int, AnswerReader] = {}
        self.ended: list[int] = []
        """The requests whose answers are complete, in the order of completion."""
        self.abandoned = False
        """Whether the request will be repeated, so that nothing more of this answer may be sent."""

    @property
    def complete(self) -> bool:
        """Whether every request is answered."""
        return len(self.ended) == self.count

    @property
    def usage(self) -> ChatUsage | None:
        """The tokens of all requests that the upstream has reported so far."""
        found = [usage for reader in self.readers.values() if (usage := reader.usage) is not None]
        return reduce(add_usage, found) if found else None

    def end(self, index: int) -> None:
        """Note that request *index* is answered; after the last one, end the answer."""
        self.ended.append(index)
        if self.complete:
            self.answer.end(self.usage, self.readers[index].service_tier)

    def fail(self, error: ProxyError) -> None:
        """Note that *error* ends the attempt."""
        if isinstance(error, RetryableError):
            self.abandoned = True


class Translation:
    """A client's call and an upstream's call as one ``Exchange``."""

    __slots__ = ("_attempt", "_client", "_params", "_upstream")

    raw: bool = False

    def __init__(self, client: DialectCall, upstream: UpstreamCall) -> None:
        self._client = client
        self._params = client.request.params
        self._upstream = upstream
        self._attempt: _Attempt | None = None

    @property
    def weight(self) -> int:
        """Return the total size of all request bodies."""
        return sum(len(request.body) for request in self._upstream.requests)

    @property
    def requests(self) -> tuple[UpstreamRequest, ...]:
        """Return the requests to send.

        Reading this starts a new attempt, to which later answers belong.
        """
        self._attempt = None
        self._upstream.begin()
        return self._upstream.requests

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the upstream's own headers, and the ignored params under the client's names."""
        rest = (*self._client.headers, *self._upstream.headers)
        theirs = map(self._params.param, self._upstream.ignored)
        ignored = list(dict.fromkeys((*self._client.request.ignored, *theirs)))[:_MAX_IGNORED]
        return (("x-jarvis-ignored", ", ".join(ignored)), *rest) if ignored else rest

    @property
    def usage(self) -> TokenUsage | None:
        """Return the tokens of a whole answer, once it is complete."""
        attempt = self._attempt
        if attempt is None or not attempt.complete:
            return None
        return to_token_usage(attempt.usage or ChatUsage())

    @property
    def partial_usage(self) -> TokenUsage | None:
        """Return the known token counts of this attempt."""
        usage = None if self._attempt is None else self._attempt.usage
        return None if usage is None else to_token_usage(usage)

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return the client's error for an upstream status ≥ 400."""
        error = self._upstream.translate_error(status, headers, body)
        return None if error is None else relabel(error, self._params)

    def recover(self, status: int, body: bytes) -> "Translation | None":
        """Return a changed exchange worth one more attempt after this refusal, or None."""
        better = self._upstream.recover(status, body)
        return None if better is None else Translation(self._client, better)

    def translate_reply(self, body: bytes, index: int = 0) -> UpstreamRequest | None:
        """Read a whole 200 body; return the request that continues it, None if it is complete.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """
        attempt = self._attempt or self._begin(stream=False)
        reader = attempt.readers.get(index)
        if reader is None:
            reader = attempt.readers[index] = self._upstream.reader(attempt.answer, index)
        try:
            reader.read_whole(body)
        except ProxyError as error:
            attempt.fail(error)
            relabel(error, self._params)
            raise
        if reader.next_request is None:
            attempt.end(index)
        return reader.next_request

    def answer(self) -> bytes:
        """Return the client's JSON body, after ``translate_reply`` for every request."""
        assert self._attempt is not None  # noqa: S101 - set by translate_reply()
        return self._attempt.answer.body()

    def stream_translator(
        self, index: int = 0, numbers: SequenceNumbers | None = None
    ) -> StreamTranslator:
        """Return a new translator for the stream of request *index*."""
        attempt = self._attempt
        if attempt is None or index in attempt.readers:
            attempt = self._begin(stream=True, numbers=numbers)
        reader = attempt.readers[index] = self._upstream.reader(attempt.answer, index)
        return TranslatedStream(attempt, reader, index, self._params)

    def _begin(self, *, stream: bool, numbers: SequenceNumbers | None = None) -> _Attempt:
        if self._attempt is not None:
            self._upstream.begin()
        answer = self._client.new_answer(stream=stream, numbers=numbers)
        self._attempt = _Attempt(answer, len(self._upstream.requests))
        return self._attempt


class TranslatedStream:
    """Translates the bytes of one upstream answer to events; implements ``StreamTranslator``."""

    __slots__ = (
        "_answer",
        "_attempt",
        "_has_failed",
        "_index",
        "_params",
        "_reader",
        "done",
        "failure",
        "next_request",
    )

    def __init__(
        self, attempt: _Attempt, reader: AnswerReader, index: int, params: ParamMap
    ) -> None:
        self.done = False
        self.failure: ProxyError | None = None
        self.next_request: UpstreamRequest | None = None
        self._attempt = attempt
        self._has_failed = False
        self._answer = attempt.answer
        self._reader = reader
        self._index = index
        self._params = params

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens of this request that the upstream has reported so far."""
        usage = self._reader.usage
        return None if usage is None else to_token_usage(usage)

    @property
    def held(self) -> int:
        """About how many bytes are kept."""
        return self._reader.held + self._answer.kept

    @property
    def is_settled(self) -> bool:
        """Whether the answer lacks only its end, which ``feed_eof`` then supplies."""
        return self._attempt.count == 1 and not self._has_failed and self._reader.is_settled

    def feed(self, data: bytes) -> bytes:
        """Return the events that *data* completes, or ``b""``.

        Raises:
            ProxyError: the upstream reported an error or broke its protocol; its
                ``completed_events`` are the events completed before that.
        """
        reader = self._reader
        try:
            reader.feed(data)
            if reader.done:
                self._end()
        except ProxyError as error:
            self._fail(error)
            raise
        return b"" if self._attempt.abandoned else self._answer.take()

    def feed_eof(self) -> bytes:
        """Return the last events, or those before ``next_request``.

        Raises:
            ProxyError: the upstream reported an error in place of the end, or the answer is
                incomplete.
        """
        try:
            self._reader.feed_eof()
            self._end()
        except ProxyError as error:
            self._fail(error)
            raise
        return b"" if self._attempt.abandoned else self._answer.take()

    def _end(self) -> None:
        self.next_request = self._reader.next_request
        if self.next_request is None:
            self._attempt.end(self._index)
            self.done = True

    def _fail(self, error: ProxyError) -> None:
        """Add the preceding events and the client's own param to *error*."""
        attempt = self._attempt
        attempt.fail(error)
        self._has_failed = True
        events = self._answer.take()
        error.completed_events = b"" if attempt.abandoned else events
        relabel(error, self._params)


class _Prepared(NamedTuple):
    """A call between ``needs`` and ``exchange``."""

    client: DialectCall
    decoded: Decoded | None


class TranslatedUpstream:
    """An upstream that serves the client APIs in *dialects* by translation.

    *dialects* maps ``Call.endpoint`` to a dialect. The adapter itself serves other endpoints.
    Implements ``Upstream``.
    """

    __slots__ = ("_dialects", "adapter", "name")

    def __init__(self, adapter: UpstreamAdapter, dialects: Mapping[str, Dialect]) -> None:
        self.name = adapter.name
        self.adapter = adapter
        self._dialects = dialects

    def needs(self, call: Call) -> Prerequisites:
        """Return what must be looked up before ``exchange``.

        Raises:
            ProxyError: 400, the request is not valid.
        """
        dialect = self._dialects.get(call.endpoint)
        if dialect is None:
            return self.adapter.needs(call)
        client = self._read(dialect, call)
        request = client.request
        try:
            found = self.adapter.canonical_needs(call, request)
        except ProxyError as error:
            relabel(error, request.params)
            raise
        if found.decoded is not None and request.body is not call.body:
            # Drop the request's body: it is as large as the call's, and can be made again.
            client = client._replace(request=msgspec.structs.replace(request, body=b""))
        size = _size(client.request, call) if found.decoded is None else found.decoded.size
        prepared = Decoded(_Prepared(client, found.decoded), size)
        return Prerequisites(found.urls, found.call_ids, prepared)

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for *call*; *decoded* comes from what ``needs`` returned for it.

        Raises:
            ProxyError: 400, the call cannot be expressed, or this upstream has no such endpoint.
        """
        dialect = self._dialects.get(call.endpoint)
        if dialect is None:
            return self.adapter.exchange(call, media, decoded)
        taken = None if decoded is None else decoded.take()
        if not isinstance(taken, _Prepared):
            taken = _Prepared(self._read(dialect, call), None)
        client, inner = taken
        read = self._reader(dialect, call, client.request)
        try:
            upstream = self.adapter.translate(call, read, media, inner)
        except ProxyError as error:
            relabel(error, client.request.params)
            raise
        request = msgspec.structs.replace(client.request, body=b"", decoded=None)
        return Translation(client._replace(request=request), upstream)

    def _read(self, dialect: Dialect, call: Call) -> DialectCall:
        return dialect.read(call, self.adapter.features(call))

    def _reader(
        self, dialect: Dialect, call: Call, first: CanonicalRequest
    ) -> Callable[[], CanonicalRequest]:
        """Return a function that returns *first* once, then parses the request again."""
        waiting: list[CanonicalRequest] = [first]

        def read() -> CanonicalRequest:
            return waiting.pop() if waiting else self._read(dialect, call).request

        return read


def _size(request: CanonicalRequest, call: Call) -> int:
    """Return how many bytes *request* takes in addition to the call's body."""
    return 0 if request.body is call.body else len(request.body)
