"""An OpenAI-compatible service: relayed if it has the client's API, otherwise called by chat. Pure.

Whether it has ``/responses`` itself is configured, or found out by the first such request.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from jarvis_proxy.canonical.adapters import Dialect
from jarvis_proxy.canonical.call import Call, Decoded
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Exchange, Media, Prerequisites
from jarvis_proxy.canonical.translation import TranslatedUpstream
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.call import ChatAdapter
from jarvis_proxy.upstreams.chat.foreign_state import relay_chat, without_foreign_items
from jarvis_proxy.upstreams.chat.target import chat_target
from jarvis_proxy.upstreams.openai import OpenAIUpstream, PassthroughExchange
from jarvis_proxy.upstreams.refusal_body import read_refusal
from jarvis_proxy.wire.google_verbs import PREDICT

CHAT: Final = "chat/completions"
RESPONSES: Final = "responses"
_NEXT_TO_RESPONSES: Final = ("responses/compact", "responses/input_tokens")
"""Endpoints that a service may have in addition to ``/responses``."""
_ABSENT: Final = (404, 405, 501)
_HOUR: Final = 3600.0


def lacks_endpoint(status: int, body: bytes) -> bool:
    """Return whether a refusal means that the endpoint, not the model, does not exist."""
    if status not in _ABSENT:
        return False
    error, _ = read_refusal(status, "", body)
    return "model" not in f"{error.code} {error.param} {error.message}".lower()


class _BesideResponses(PassthroughExchange):
    """A call to an endpoint that the service may lack."""

    __slots__ = ()

    def translate_error(
        self, status: int, headers: Mapping[str, str], body: bytes
    ) -> ProxyError | None:
        """Return 400 `unsupported_endpoint` if the service lacks the endpoint."""
        if lacks_endpoint(status, body):
            return _unsupported(self.requests[0].path)
        return super().translate_error(status, headers, body)


class CompatibleUpstream:
    """An OpenAI-compatible service for clients of any API; implements ``Upstream``.

    *apis* are the OpenAI APIs that it has, such as ``chat`` and ``responses``; if empty, this is
    found out. *dialects* maps ``Call.endpoint`` to client APIs; *new_id* returns 24 random letters
    and digits. *fetches*: links to files are downloaded for clients of other APIs.
    """

    __slots__ = (
        "_apis",
        "_chat_only_since",
        "_relay",
        "_target",
        "_translated",
        "_translates",
        "name",
    )

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        dialects: Mapping[str, Dialect],
        new_id: Callable[[], str],
        apis: Collection[str] = (),
        fetches: bool = True,
    ) -> None:
        self.name = name
        self._target = target = chat_target(name, base_url, "")
        self._relay = OpenAIUpstream(name)
        adapter = ChatAdapter(target, self._relay, new_id, fetches=fetches)
        self._translated = TranslatedUpstream(adapter, dialects)
        self._translates = RESPONSES in dialects
        self._apis = (RESPONSES,) if target.is_openai and not apis else tuple(apis)
        self._chat_only_since: float | None = None

    def needs(self, call: Call) -> Prerequisites:
        """Return what must be looked up before ``exchange``.

        Raises:
            ProxyError: 400, the request is not valid.
        """
        if call.endpoint == CHAT:
            return NOTHING_NEEDED
        if call.endpoint == RESPONSES and self._has_responses(call) is not False:
            return self._relay.needs(call)
        return self._translated.needs(call)

    def exchange(
        self, call: Call, media: Mapping[str, Media | ProxyError], decoded: Decoded | None = None
    ) -> Exchange:
        """Return the exchange for *call*.

        Raises:
            ProxyError: 400, the call cannot be expressed, or the service has no such endpoint.
        """
        if call.endpoint == PREDICT:
            raise _unsupported(f"beta/models/{call.model[:64]}:{PREDICT}")
        if call.endpoint == CHAT:
            return relay_chat(self._relay, self._target, call)
        has_responses = self._has_responses(call)
        if call.endpoint in _NEXT_TO_RESPONSES and not has_responses:
            if has_responses is False:
                raise _unsupported(f"/{call.endpoint}")
            return self._relay.relay(call, exchange=_BesideResponses)
        if call.endpoint != RESPONSES or has_responses is False:
            return self._translated.exchange(call, media, decoded)
        body = without_foreign_items(call.body)
        if has_responses:
            return self._relay.relay(call, body=body)
        return self._relay.relay(
            call, lambda status, refusal: self._instead(call, status, refusal), body=body
        )

    def _has_responses(self, call: Call) -> bool | None:
        """Return whether the service has ``/responses``, None if that is not known yet."""
        if not self._translates:
            return True
        if self._apis:
            return RESPONSES in self._apis
        since = self._chat_only_since
        return False if since is not None and call.now - since < _HOUR else None

    def _instead(self, call: Call, status: int, body: bytes) -> Exchange | None:
        """Return the call as chat, if its refusal means that there is no ``/responses``."""
        if not lacks_endpoint(status, body):
            return None
        self._chat_only_since = call.now
        try:
            return self._translated.exchange(call, {}, None)
        except ProxyError:
            # The next such request gets this error.
            return None


def _unsupported(path: str) -> ProxyError:
    message = f"/v1{path} is not served for this model: its service does not have it."
    return ProxyError(400, message, code="unsupported_endpoint")
