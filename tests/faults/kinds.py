"""The clients of the matrix, and the classes of exceptions that each must raise. No IO."""

from typing import Final, Literal

from tests.faults.dialects import Surface
from tests.faults.rows import Sight

ClientKind = Literal[
    "sync",
    "async",
    "node",
    "raw",
    "anthropic-python",
    "anthropic-node",
    "google-python",
    "google-node",
]
"""The first four speak OpenAI's APIs; "node" is OpenAI's SDK for Node.js."""
CLIENTS: Final[tuple[ClientKind, ...]] = ("sync", "async", "node", "raw")
_ANTHROPICS: Final[tuple[ClientKind, ...]] = ("anthropic-python", "anthropic-node")
_GOOGLES: Final[tuple[ClientKind, ...]] = ("google-python", "google-node")
_CLASSES: Final = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
}
_OF_ANTHROPIC: Final = {
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    529: "OverloadedError",
}


def clients_of(surface: Surface) -> tuple[ClientKind, ...]:
    """Return the clients that speak the API of *surface*."""
    if surface.startswith("messages"):
        return _ANTHROPICS
    return _GOOGLES if surface.startswith("google") else CLIENTS


def sdk_class(sight: Sight, client: ClientKind) -> str:
    """Return the class of the exception that an SDK must raise."""
    if sight.code is None:
        return ""
    if client == "google-node":
        return "ApiError"
    if client == "google-python":
        return "ServerError" if sight.status >= 500 else "ClientError"
    if sight.status == 200:
        return "APIStatusError" if client == "anthropic-python" else "APIError"
    if client.startswith("anthropic") and sight.status in _OF_ANTHROPIC:
        return _OF_ANTHROPIC[sight.status]
    if sight.status >= 500:
        return "InternalServerError"
    return _CLASSES.get(sight.status, "APIError" if client == "node" else "APIStatusError")
