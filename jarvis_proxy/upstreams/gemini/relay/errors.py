"""Google's errors for Google's clients: unchanged except for what clients must not see. Pure.

Clients read ``details``, such as how long to wait (RetryInfo). ``DebugInfo`` may repeat keys.

Source: https://cloud.google.com/apis/design/errors (read 2026-11).
"""

from collections.abc import Mapping
from typing import Final, cast

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.error_body import parse_body, redact_bytes
from jarvis_proxy.upstreams.gemini.reply.errors import error_in_text, translate_error
from jarvis_proxy.upstreams.json_values import dumps, loads

_DEBUG: Final = "google.rpc.DebugInfo"


def relayed_error(
    status: int, body: bytes, *, model: str, headers: Mapping[str, str] | None = None
) -> ProxyError:
    """Return the error for an upstream answer with *status* ≥ 400.

    Its ``native`` is Google's body for the client, ``b""`` if the body is not Google's. An error
    about the proxy's own key is replaced: 502 `upstream_auth_failed`.
    """
    error = translate_error(status, body, model=model, headers=headers)
    if error.code == "upstream_auth_failed":
        return error
    error.status = status if status < 600 else 502
    if parse_body(body) is not None:
        error.native = shown(body)
    return error


def error_in_stream(text: bytes, *, model: str) -> ProxyError | None:
    """Return the error in *text*, JSON from an answer, None if it is no error."""
    error = error_in_text(text, model=model)
    if error is not None and error.code != "upstream_auth_failed":
        error.native = shown(text)
    return error


def shown(body: bytes) -> bytes:
    """Return an error's JSON *body* for the client: without ``DebugInfo``, keys redacted."""
    body = redact_bytes(body)
    if _DEBUG.encode() not in body:
        return body
    try:
        value = loads(body)
    except ValueError:
        return b""
    errors = value if isinstance(value, list) else [value]
    for envelope in errors:
        _drop_debug_info(envelope)
    return dumps(value)


def _drop_debug_info(envelope: object) -> None:
    error = envelope.get("error") if isinstance(envelope, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    if isinstance(details, list):
        kept = [detail for detail in details if not _is_debug_info(detail)]
        cast(dict[str, object], error)["details"] = kept


def _is_debug_info(detail: object) -> bool:
    return isinstance(detail, dict) and str(detail.get("@type", "")).endswith(_DEBUG)
