"""The attributes of spans: OpenTelemetry's for HTTP and generative AI. Pure.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (read 2026-11).
"""

import re
from typing import Final

from jarvis_proxy.call_record import AttemptRecord, CallRecord
from jarvis_proxy.wire.text import printable

Attributes = dict[str, str | int | bool]

_PROVIDERS: Final = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai", "grok": "x_ai"}
"""The specification's names of services that are usually named otherwise."""
_OPERATIONS: Final = (
    ("embed", "embeddings"),
    ("generateContent", "generate_content"),
    ("predict", "predict"),
    ("/completions", "text_completion"),
)
_CHAT: Final = ("/chat/completions", "/responses", "/messages")
_CODE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def operation_of(route: str) -> str:
    """Return ``gen_ai.operation.name`` for a route; the path if the specification has no name."""
    if route.endswith(_CHAT):
        return "chat"
    lower = route.lower()
    for part, name in _OPERATIONS:
        if part.lower() in lower:
            return name
    return route.rpartition("/v1/")[2].replace("/", "_") or "request"


def provider_of(upstream: str) -> str:
    """Return ``gen_ai.provider.name`` for an upstream's name."""
    return _PROVIDERS.get(upstream, upstream)


def server_attributes(record: CallRecord) -> Attributes:
    """Return the attributes of a call as its client sees it."""
    found: Attributes = {
        "http.request.method": record.method,
        "http.route": record.route,
        "http.response.status_code": record.status,
        "user_agent.original": printable(record.user_agent),
        "jarvis.request_id": record.request_id,
        "jarvis.key_name": record.key_name,
        "jarvis.outcome": record.outcome,
        "jarvis.attempts": record.attempts,
    }
    if record.outcome != "ok":
        found["error.type"] = _error(record.code, record.status) if record.code else record.outcome
    if record.model != "-":
        found["gen_ai.request.model"] = printable(record.model)
    return found


def client_attributes(record: CallRecord, attempt: AttemptRecord, *, is_last: bool) -> Attributes:
    """Return the attributes of one attempt; without an end of its own, it ended with the call."""
    found: Attributes = {
        "gen_ai.operation.name": operation_of(record.route),
        "gen_ai.provider.name": provider_of(attempt.upstream),
        "gen_ai.request.model": printable(attempt.model),
        "gen_ai.request.stream": record.streamed,
        "http.request.method": record.method,
    }
    if attempt.status:
        found["http.response.status_code"] = attempt.status
    if attempt.code:
        found["error.type"] = _error(attempt.code, attempt.status)
    elif is_last and record.outcome != "ok":
        found["error.type"] = _error(record.code or record.outcome, record.status)
    return found


def call_attributes(record: CallRecord) -> Attributes:
    """Return the attributes of the answer: its model, and its token counts."""
    counted = {
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": record.cache_write_tokens,
    }
    found: Attributes = {name: value for name, value in counted.items() if value is not None}
    if record.upstream_model != "-" and record.outcome == "ok":
        found["gen_ai.response.model"] = printable(record.upstream_model)
    return found


def _error(code: str, status: int) -> str:
    """Return ``error.type``: *code* only if it is well-formed, since an upstream may choose it."""
    return code if _CODE.fullmatch(code) else str(status or "_OTHER")
