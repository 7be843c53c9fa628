"""One call to a chat completions upstream for a client of another API. Pure."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.answer import Answer
from jarvis_proxy.canonical.bounds import check_links
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.chat_request import ChatMessage
from jarvis_proxy.canonical.exchange import (
    NOTHING_NEEDED,
    Exchange,
    Media,
    Prerequisites,
    Upstream,
    UpstreamRequest,
)
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.choice_reader import ReaderContext
from jarvis_proxy.upstreams.chat.content import file_links
from jarvis_proxy.upstreams.chat.errors import TOO_LONG, relocated, translate_error
from jarvis_proxy.upstreams.chat.reader import ChatReader
from jarvis_proxy.upstreams.chat.recovery import (
    LearntFallbacks,
    RequestFallbacks,
    remedy,
)
from jarvis_proxy.upstreams.chat.target import ChatTarget
from jarvis_proxy.upstreams.chat.writer import write_chat

_HEADERS: Final = {"Content-Type": "application/json"}
_ANY_ARGUMENTS: Final = ("chat/completions", "responses")
"""Client APIs whose call arguments are text, which need not be a JSON object."""
_BAD_REQUEST: Final = (400, 422)


class _Messages(msgspec.Struct):
    messages: list[ChatMessage] = []


_MESSAGES: Final = msgspec.json.Decoder(_Messages)


class _Refusal(NamedTuple):
    status: int
    body: bytes


class ChatCall:
    """Implements ``UpstreamCall``.

    *read* returns the canonical request, repeatedly if needed. *learnt* remembers what the model
    does not accept; *fallbacks* are those of this request, after its *first* refusal.
    """

    __slots__ = (
        "_call",
        "_context",
        "_fallbacks",
        "_first",
        "_learnt",
        "_media",
        "_new_id",
        "_plan",
        "_read",
        "_target",
        "requests",
    )  # fmt: skip

    headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        call: Call,
        target: ChatTarget,
        read: Callable[[], CanonicalRequest],
        *,
        learnt: LearntFallbacks,
        new_id: Callable[[], str],
        fallbacks: RequestFallbacks,
        media: Mapping[str, Media | ProxyError],
        first: _Refusal | None = None,
    ) -> None:
        request = read()
        self._media = media
        self._call = call
        self._target = target
        self._read = read
        self._learnt = learnt
        self._new_id = new_id
        self._fallbacks = fallbacks
        self._first = first
        self._plan = plan = write_chat(
            request.body,
            target,
            stream=call.stream,
            strict=call.strict_params,
            fallbacks=fallbacks,
            media=media,
        )
        self._context = ReaderContext(
            tool=plan.tools.called,
            new_id=new_id,
            shows=request.show_thoughts or call.show_thoughts,
            owner=target.owner if request.sealed else None,
            stops=plan.stops,
            one_call=plan.one_call,
            objects_only=call.endpoint not in _ANY_ARGUMENTS,
        )
        self.requests = (UpstreamRequest("POST", "/chat/completions", _HEADERS, self._plan.body),)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the params of the canonical request without an equivalent."""
        return self._plan.ignored

    def begin(self) -> None:
        """Do nothing: readers leave no state behind."""

    def reader(self, answer: Answer, index: int) -> ChatReader:
        """Return a new reader; the request was accepted, so its fallbacks are remembered."""
        self._learnt.note(self._target.model, self._fallbacks, self._call.now)
        return ChatReader(answer, self._context)

    def translate_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        """Return the error for a status ≥ 400; after several refusals, the first one's."""
        error = self._error(status, headers, body)
        first = self._first
        if first is not None and status in _BAD_REQUEST and error.code != TOO_LONG:
            return self._error(first.status, headers, first.body)
        return error

    def recover(self, status: int, body: bytes) -> "ChatCall | None":
        """Return the call without what was refused, if a remedy is known."""
        better = remedy(status, self._error(status, {}, body), self._plan.sent, self._fallbacks)
        if better is None:
            return None
        try:
            return ChatCall(
                self._call,
                self._target,
                self._read,
                learnt=self._learnt,
                new_id=self._new_id,
                fallbacks=better,
                media=self._media,
                first=self._first or _Refusal(status, body),
            )
        except ProxyError:
            # The client's own request is rejected on the second read.
            return None

    def _error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProxyError:
        error = translate_error(
            status, headers, body, upstream=self._target.upstream, now=self._call.created
        )
        return relocated(error, self._plan.origins)


class ChatAdapter:
    """A chat completions service for clients of other APIs; implements ``UpstreamAdapter``.

    *target* is the service, with any model; *new_id* returns 24 random letters and digits.
    Untranslated calls go to *relay*. *fetches*: links to files are downloaded.
    """

    __slots__ = ("_fetches", "_learnt", "_new_id", "_relay", "_target", "name")

    def __init__(
        self,
        target: ChatTarget,
        relay: Upstream,
        new_id: Callable[[], str],
        *,
        fetches: bool = True,
    ) -> None:
        self._fetches = fetches
        self.name = target.upstream
        self._target = target
        self._relay = relay
        self._new_id = new_id
        self._learnt = LearntFallbacks()

    def features(self, call: Call) -> ModelFeatures:
        """Return the features of the model: none are known."""
        return ModelFeatures()

    def canonical_needs(self, call: Call, request: CanonicalRequest) -> Prerequisites:
        """Return the files to download; links to pictures are passed on unchanged.

        Raises:
            ProxyError: 400 `array_above_max_length`, there are too many.
        """
        if not self._fetches or b'"file"' not in request.body:  # as nearly always
            return NOTHING_NEEDED
        try:
            messages = _MESSAGES.decode(request.body).messages
        except (ValueError, RecursionError):
            return NOTHING_NEEDED  # translate() says what is wrong
        found = list(file_links(message.content for message in messages))
        check_links(len(found))
        return Prerequisites(urls=tuple(dict.fromkeys(found)))

    def translate(
        self,
        call: Call,
        read: Callable[[], CanonicalRequest],
        media: Mapping[str, Media | ProxyError],
        decoded: Decoded | None = None,
    ) -> ChatCall:
        """Return the upstream's call for the request that *read* returns.

        Raises:
            ProxyError: 400 with a param of the canonical request.
        """
        model = call.target_model
        return ChatCall(
            call,
            self._target.for_model(model),
            read,
            learnt=self._learnt,
            new_id=self._new_id,
            fallbacks=self._learnt.of(model, call.now),
            media=media,
        )

    def needs(self, call: Call) -> Prerequisites:
        """Return what the relay needs."""
        return self._relay.needs(call)

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the relay's exchange."""
        return self._relay.exchange(call, media, decoded)
