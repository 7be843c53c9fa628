"""Redaction of keys for one request. IO (reads the request).

Keys are the proxy's own for upstreams, and those that the client presented. Upstreams' errors and
headers and the call's record are searched for them; answers are not.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from jarvis_proxy.access.client_keys import presented_keys
from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.redaction import REDACTED, CallSecrets
from jarvis_proxy.server.context import CONTEXT, MATCH
from jarvis_proxy.upstreams.openai_errors import redacted
from jarvis_proxy.wire.headers import EXPOSED, RESPONSE_ALLOWED, created_path, response_headers

_COMMON: Final = frozenset(EXPOSED.split(", ")) | RESPONSE_ALLOWED
_KEYS: Final = web.RequestKey("_KEYS", CallSecrets)


def redact_error(request: web.Request, error: ProxyError) -> None:
    """Redact keys in an upstream's error."""
    error.redact(call_secrets(request).all())


def redact_events(request: web.Request, events: bytes) -> bytes:
    """Return *events* of a failed upstream stream without keys; ``b""`` if nothing can be kept."""
    clean = call_secrets(request).all().redact_bytes(events)
    return b"" if clean == REDACTED.encode() else clean


def forwarded_headers(request: web.Request, headers: Mapping[str, str]) -> dict[str, str]:
    """Return an upstream's headers that go to the client, names lower-cased, without keys."""
    forwarded = response_headers(headers)
    # Only this header has the id of a WebRTC call. Redirects never reach this point.
    if request[MATCH].kind == "other" and (path := created_path(headers.get("location", ""))):
        forwarded["location"] = path
    text = "\n".join(forwarded.values())
    if not forwarded.keys() <= _COMMON:
        text = "\n".join((text, *forwarded))
    if (secrets := call_secrets(request)).may_contain_key(text):
        return secrets.all().redact_headers(forwarded)
    return forwarded


def redact_record(request: web.Request, record: CallRecord) -> None:
    """Redact keys in those texts of a call's record that client or upstream chose.

    The record is used for the log, metrics, usage and the dashboard.
    """
    text = "\n".join((record.model, record.upstream_model, record.user_agent, record.code))
    if record.tried:
        text = "\n".join((text, *(attempt.code for attempt in record.tried)))
    if not call_secrets(request).may_contain_key(text):
        return
    secrets = call_secrets(request).all()

    def clean(text: str) -> str:
        return redacted(secrets.redact(text))

    record.model, record.upstream_model = clean(record.model), clean(record.upstream_model)
    record.user_agent, record.code = clean(record.user_agent), clean(record.code)
    for attempt in record.tried or ():
        attempt.model, attempt.code = clean(attempt.model), clean(attempt.code)


def hide(request: web.Request, key: str) -> None:
    """Add *key* to the keys of this call that nobody may see."""
    presented = call_secrets(request).presented
    request[_KEYS] = CallSecrets((*presented, key.encode()), request[CONTEXT].secrets)


def call_secrets(request: web.Request) -> CallSecrets:
    """Return the keys that nobody may see of this request."""
    try:
        return request[_KEYS]
    except KeyError:  # this is the first time
        query = request.rel_url.query if request.query_string else {}
        # Google also accepts `$key`.
        query_key = query.get("key") or query.get("$key")
        presented = presented_keys(request.headers, query_key)
        found = request[_KEYS] = CallSecrets(presented, request[CONTEXT].secrets)
        return found
