"""ProxyError, the one error that reaches a client, in OpenAI's form. Pure.

Source: https://platform.openai.com/docs/guides/error-codes (read 2026-11).
"""

from typing import Final, Literal

import msgspec

from jarvis_proxy.redaction import REDACTED, Secrets

_DEFAULT_TYPES: Final = {403: "permission_error", 429: "rate_limit_error"}


class ErrorBody(msgspec.Struct):
    """The object in ``error``; ``param`` and ``code`` are null if unknown."""

    message: str
    type: str
    param: str | None
    code: str | int | None


class _Envelope(msgspec.Struct):
    error: ErrorBody


class _ResponsesError(msgspec.Struct, tag_field="type", tag="error"):
    code: str | None
    message: str
    param: str | None
    sequence_number: int
    error: ErrorBody


class ProxyError(Exception):
    """A failure that is reported to the client.

    *status* is the HTTP status. *retry_after* is in seconds and becomes ``Retry-After``;
    *should_retry* becomes ``x-should-retry``, which overrides the rules of OpenAI's SDKs. *headers*
    are further response headers. If a stream translator finds a fault after valid events, it sets
    ``completed_events`` to these events, which are sent before the error.
    """

    completed_events: bytes = b""
    from_upstream: bool = False
    """Whether the upstream, not the proxy, reported the error."""
    retry_status: int | None = None
    """The status that decides about retries, if it differs from the client's."""
    refusal: bytes = b""
    """The body of an upstream's refusal whose status did not show an error."""
    reason: str = ""
    """The upstream's message, without keys; only for the log."""
    native: bytes = b""
    """The upstream's own error body in the client's API, sent instead of the proxy's."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str | None = None,
        code: str | int | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.error_type = error_type or default_type(status)
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.headers = headers

    def redact(self, secrets: Secrets) -> None:
        """Redact *secrets* that an upstream repeated in its error."""
        self.message = secrets.redact(self.message)
        self.native = _hidden(secrets, self.native)
        self.reason = secrets.redact(self.reason)
        self.error_type = secrets.redact(self.error_type)
        if isinstance(self.code, str):
            self.code = secrets.redact(self.code)
        if self.param is not None:
            self.param = secrets.redact(self.param)
        self.completed_events = _hidden(secrets, self.completed_events)

    def body(self) -> bytes:
        """Return OpenAI's JSON error object, ``{"error":{"message","type","param","code"}}``."""
        body = ErrorBody(self.message, self.error_type, self.param, self.code)
        return msgspec.json.encode(_Envelope(body))

    def event(self) -> bytes:
        """Return the SSE event that makes both official SDKs raise ``APIError`` with this code."""
        return b"data: " + self.body() + b"\n\n"

    def responses_event(self, sequence_number: int) -> bytes:
        """Return the error event of a Responses stream: native fields and an error object.

        The SDKs yield the native fields alone as an ordinary event; the object makes them raise.
        """
        event = _ResponsesError(
            self.code if self.code is None else str(self.code),
            self.message,
            self.param,
            sequence_number,
            ErrorBody(self.message, self.error_type, self.param, self.code),
        )
        return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _hidden(secrets: Secrets, data: bytes) -> bytes:
    """Return *data* with *secrets* redacted; ``b""`` if nothing of it may be shown."""
    hidden = secrets.redact_bytes(data) if data else data
    return b"" if hidden == REDACTED.encode() else hidden


def default_type(status: int) -> str:
    """Return OpenAI's default error type for an HTTP status."""
    if status >= 500:
        return "server_error"
    return _DEFAULT_TYPES.get(status, "invalid_request_error")


Reason = Literal["requests", "tokens", "concurrency"]
Limit = Reason | Literal["busy", "failures", "budget"]


class LimitExceeded(ProxyError):
    """The request exceeds a limit of the proxy, named *limit*; no upstream is at fault."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        limit: Limit,
        code: str,
        error_type: str | None = None,
        retry_after: float,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(
            status,
            message,
            error_type=error_type,
            code=code,
            retry_after=retry_after,
            should_retry=should_retry,
        )
        self.limit = limit
