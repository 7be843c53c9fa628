"""Replaces each client secret in an answer by one of the proxy's own. Pure.

Source: https://platform.openai.com/docs/api-reference/realtime-sessions (read 2026-11).
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from jarvis_proxy.errors import ProxyError

_Json = dict[str, Any]
_MAX_SECONDS: Final = 7200
"""OpenAI's longest lifetime of a secret."""


def with_own_secrets(answer: bytes, now: float, own: Callable[[str, int], str]) -> bytes:
    """Return *answer* with ``own(secret, expires_at)`` in place of each secret.

    *now* and the expiry are in epoch seconds.

    Raises:
        ProxyError: 502 `upstream_bad_response`, the answer holds no secret.
    """
    try:
        decoded = msgspec.json.decode(answer, type=_Json)
    except (msgspec.DecodeError, RecursionError):
        raise _no_secret() from None
    replaced: dict[str, str] = {}
    for holder in _holders(decoded):
        secret, expires_at = holder["value"], holder.get("expires_at")
        latest = int(now) + _MAX_SECONDS
        ends = expires_at if isinstance(expires_at, int) else latest
        replaced[secret] = own(secret, min(ends, latest))
        holder["value"] = replaced[secret]
    encoded = msgspec.json.encode(decoded)
    if not replaced or any(secret.encode() in encoded for secret in replaced):
        raise _no_secret()
    return encoded


def _holders(answer: _Json) -> Iterator[_Json]:
    """Yield the objects with a secret: GA's answer itself, or the beta's ``client_secret``."""
    session = answer.get("session")
    inner = session.get("client_secret") if isinstance(session, dict) else None
    for holder in (answer, answer.get("client_secret"), inner):
        if isinstance(holder, dict) and isinstance(holder.get("value"), str) and holder["value"]:
            yield holder


def _no_secret() -> ProxyError:
    return ProxyError(
        502, "The upstream's answer could not be understood.", code="upstream_bad_response"
    )
