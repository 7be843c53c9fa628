"""Keys that must not be seen in what crosses the proxy, for one request. IO (reads the request).

They are ours for upstreams, and those that the client presented. What an upstream says about its
answer (errors, headers) is searched for them, and what the log says of a call; answers are not.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from jarvis_proxy.access.client_keys import presented_keys
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.redaction import HIDDEN, Secrets
from jarvis_proxy.server.context import CONTEXT
from jarvis_proxy.upstreams.openai_errors import redacted
from jarvis_proxy.wire.headers import EXPOSED, RESPONSE_ALLOWED, response_headers

_MAX_KEY: Final = 256
"""Of what a client presents as a key; more would cost time and is none of ours."""
_MIN_VALUE: Final = 8
_COMMON: Final = frozenset(EXPOSED.split(", ")) | RESPONSE_ALLOWED
_BLOCK: Final = 4
"""Any eight characters of a key hold one of its blocks of four."""
_BLOCKS: Final = web.RequestKey("_BLOCKS", tuple[bytes, ...])
_MARKS: Final = (b"\\", b"%", b"&", b"sk-", b"aiza", b"bearer")
"""What encoded text has, and keys that are known by their looks."""


def redact_error(request: web.Request, error: ProxyError) -> None:
    """Black out keys in what an upstream's error says."""
    error.hide(_secrets(request))


def redact_events(request: web.Request, events: bytes) -> bytes:
    """Return *events*, with which an upstream's stream fails, without keys; ``b""``: unbearable."""
    clean = _secrets(request).hide_bytes(events)
    return b"" if clean == HIDDEN.encode() else clean


def forwarded_headers(request: web.Request, headers: Mapping[str, str]) -> dict[str, str]:
    """Return an upstream's headers that go to the client, names lower-cased, without keys."""
    forwarded = response_headers(headers)
    values = [value for value in forwarded.values() if len(value) >= _MIN_VALUE]
    values += [name for name in forwarded if name not in _COMMON]
    if values and _may_contain_key(request, "\n".join(values)):
        return _secrets(request).hide_in_headers(forwarded)
    return forwarded


def redact_record(request: web.Request, record: CallRecord) -> None:
    """Black out keys in what client and upstream chose of a call's record.

    It goes into the log, metrics, usage and the live page.
    """
    text = "\n".join((record.model, record.target, record.user_agent, record.code))
    if not _may_contain_key(request, text):
        return
    secrets = _secrets(request)

    def clean(text: str) -> str:
        return redacted(secrets.hide(text))

    record.model, record.target = clean(record.model), clean(record.target)
    record.user_agent, record.code = clean(record.user_agent), clean(record.code)


def _client_keys(request: web.Request) -> list[bytes]:
    query_key = request.rel_url.query.get("key") if request.query_string else None
    return [key[:_MAX_KEY] for key in presented_keys(request.headers, query_key)]


def _secrets(request: web.Request) -> Secrets:
    presented = (key.decode("utf-8", "surrogateescape") for key in _client_keys(request))
    return Secrets(presented, more=request.app[CONTEXT].secrets)


def _may_contain_key(request: web.Request, text: str) -> bool:
    """Tell quickly whether *text* is worth a search: nearly all is not."""
    data = text.encode("utf-8", "surrogateescape").lower()
    # Plain loops: every call comes here twice, and a generator costs as much as the search.
    for mark in _MARKS:
        if mark in data:
            return True
    for block in _client_key_blocks(request):
        if block in data:
            return True
    return request.app[CONTEXT].secrets.may_show(data)


def _client_key_blocks(request: web.Request) -> tuple[bytes, ...]:
    blocks = request.get(_BLOCKS)
    if blocks is None:
        keys = [key.lower() for key in _client_keys(request)]
        request[_BLOCKS] = blocks = tuple(
            key[i : i + _BLOCK] for key in keys for i in range(0, len(key) - _BLOCK + 1, _BLOCK)
        )
    return blocks
