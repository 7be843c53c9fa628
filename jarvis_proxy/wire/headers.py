"""Decides which headers cross the proxy, in each direction. Pure.

Request headers are built from an allow-list. So no spelling, and no ``Connection`` field, lets a
client's credential, cookie or forwarding header reach an upstream. Response headers have an
allow-list too: headers that describe the response and its limits.

Source: RFC 9110, section 7.6.1 (hop-by-hop fields and ``Connection``).
"""

import hashlib
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

_MAX_VALUE: Final = 256
_MAX_BETAS: Final = 4096

# Lower-cased names. Some endpoints choose audio or JSON by `accept`; the others are OpenAI's.
_REQUEST_ALLOWED: Final = (
    "accept",
    "content-type",
    "idempotency-key",
    "openai-beta",
    "x-client-request-id",
)
MESSAGES_HEADERS: Final = ("anthropic-version", "anthropic-beta")
"""Client headers that a Messages API must receive unchanged."""

RESPONSE_ALLOWED: Final = frozenset(
    {
        "accept-ranges",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-range",
        "content-type",
        "last-modified",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
        "x-should-retry",
    }
)
_LEADING_NUMBER: Final = re.compile(
    r"\s*+[+-]?(?:inf(?:inity)?\b|(?:\d++(?:\.\d*+)?|\.\d++)(?:e[+-]?\d++)?)",
    re.ASCII | re.IGNORECASE,
)
RATE_LIMIT_PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-")

EXPOSED: Final = (
    "location, openai-processing-ms, request-id, retry-after, retry-after-ms, x-jarvis-attempts, "
    "x-jarvis-ignored, x-jarvis-model, x-jarvis-upstream, x-ratelimit-limit-requests, "
    "x-ratelimit-limit-tokens, x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, "
    "x-ratelimit-reset-requests, x-ratelimit-reset-tokens, x-request-id, x-should-retry"
)
"""Response headers that a web page may read (``Access-Control-Expose-Headers``)."""


def is_field_value(value: str) -> bool:
    """Return whether *value* may be forwarded: printable ASCII of limited length."""
    return len(value) <= _MAX_VALUE and value.isascii() and value.isprintable()


def request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the client's headers that go to an upstream, names lower-cased.

    *headers* must ignore case in look-ups, as aiohttp's do.
    """
    forwarded: dict[str, str] = {}
    for name in _REQUEST_ALLOWED:
        value = headers.get(name)
        if value is not None and is_field_value(value):
            forwarded[name] = value
    return _without_named(forwarded, headers.get("connection"))


def messages_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a Messages client that go unchanged to a Messages API.

    Some clients name ten or more beta features, so these values may be long.
    """
    found = {name: headers[name] for name in MESSAGES_HEADERS if name in headers}
    return {
        name: value
        for name, value in found.items()
        if len(value) <= _MAX_BETAS and value.isascii() and value.isprintable()
    }


def idempotency_key(value: str, client: str) -> str:
    """Return the ``Idempotency-Key`` that is sent upstream for a *client*'s *value*.

    All clients share the proxy's account there: with equal keys, one client would get another's
    answer. The client's name is hashed, because the upstream must not see it.
    """
    prefix = hashlib.sha256(b"idempotency key of " + client.encode()).hexdigest()[:16]
    # Upstreams accept at most 255 characters.
    if len(value) > _MAX_VALUE // 2:
        value = hashlib.sha256(value.encode()).hexdigest()
    return f"{prefix}-{value}"


def response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return an upstream's headers that go to the client, names lower-cased.

    The names in *headers* are in lower case too. Fields that its ``Connection`` names are dropped.
    """
    forwarded: dict[str, str] = {}
    for name, value in headers.items():
        # This is is_field_value(), inlined: a call costs more than the check, and runs twenty
        # times.
        if _crosses(name) and len(value) <= _MAX_VALUE and value.isascii() and value.isprintable():
            forwarded[name] = value
    return _without_named(forwarded, headers.get("connection"))


def created_path(location: str) -> str | None:
    """Return the path in an upstream's ``Location``, which ends in the id of a created object.

    Never another host: a client would send its key there.
    """
    try:
        path = urlsplit(location).path
    except ValueError:
        return None
    return path if path.startswith("/") and path[1:2] != "/" and is_field_value(path) else None


@lru_cache(maxsize=1024)
def _crosses(name: str) -> bool:
    """Return whether a response header goes to the client.

    Upstreams send the same few names with every response, so results are cached.
    """
    return name in RESPONSE_ALLOWED or name.startswith(RATE_LIMIT_PREFIXES)


def _without_named(forwarded: dict[str, str], connection: str | None) -> dict[str, str]:
    if connection:
        for name in connection_names(connection):
            forwarded.pop(name, None)
    return forwarded


@lru_cache(maxsize=256)
def connection_names(connection: str) -> frozenset[str]:
    """Return the field names, lower-cased, that a ``Connection`` value declares hop-by-hop."""
    return frozenset(name.strip().lower() for name in connection.split(","))


# Cached, because clients send the same few values with every call.
@lru_cache(maxsize=256)
def media_type(content_type: str) -> str:
    """Return the type/subtype of a ``Content-Type`` value, lower-cased, without parameters."""
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=256)
def charset(content_type: str) -> str | None:
    """Return the charset parameter of a ``Content-Type`` value, lower-cased, if there is one."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return None


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds *headers* ask to wait; *now* is in epoch seconds.

    The result is the longest of ``retry-after-ms`` and of ``retry-after`` in seconds or as a date,
    because clients differ in which they obey. It is None if no value is valid.
    """
    waits = [
        wait
        for wait in (
            _number(headers.get("retry-after-ms"), 0.001),
            _number(headers.get("retry-after"), 1.0),
            _until(headers.get("retry-after"), now),
        )
        if wait is not None
    ]
    return max(waits, default=None)


def _number(text: str | None, unit: float) -> float | None:
    # One SDK uses JavaScript's parseFloat for its delay, so "7200s" means two hours.
    found = _LEADING_NUMBER.match(text or "")
    return None if found is None else max(0.0, float(found[0].strip()) * unit)


def _until(text: str | None, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(text or "").timestamp() - now)
    except (ValueError, OverflowError):
        return None
