"""Errors of a Messages API for its own clients: unchanged if they have its form. Pure.

Source: https://docs.claude.com/en/api/errors (read 2026-11) and recorded error answers.
"""

from collections.abc import Mapping

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.errors import translate_error
from jarvis_proxy.upstreams.json_values import fields_of, loads
from jarvis_proxy.upstreams.openai_errors import redact_bytes
from jarvis_proxy.upstreams.refusal_body import read_refusal
from jarvis_proxy.wire.messages_types import error_body, error_type


def relayed_error(
    status: int, headers: Mapping[str, str], body: bytes, *, model: str
) -> ProxyError:
    """Return the error for an upstream answer with *status* ≥ 400.

    Its ``native`` is the body for the client. An error about the proxy's own key or account is
    replaced by one of the proxy's. *model* is the client's name of the model.
    """
    error = translate_error(status, headers, body, model=model)
    if error.code in ("upstream_auth_failed", "insufficient_quota"):
        return error
    error.status = status = status if status < 600 else 502
    if _is_native(body):
        error.native = redact_bytes(body)
    else:
        refusal, _ = read_refusal(status, headers.get("content-type", ""), body)
        request_id = headers.get("request-id")
        error.native = error_body(error_type(status), refusal.message, request_id)
    return error


def _is_native(body: bytes) -> bool:
    try:
        fields = fields_of(loads(body))
    except ValueError:
        return False
    error = fields_of(fields.get("error"))
    words = (error.get("type"), error.get("message"))
    return fields.get("type") == "error" and all(isinstance(word, str) for word in words)
