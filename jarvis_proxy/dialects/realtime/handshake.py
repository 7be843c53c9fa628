"""The opening handshake of a session: its subprotocols and its query. Pure.

Source: https://platform.openai.com/docs/guides/realtime-websocket (read 2026-11).
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote_plus

from jarvis_proxy.errors import ProxyError

MODEL: Final = "model"
_PRIVATE: Final = ("openai-insecure-api-key.", "openai-organization.", "openai-project.")
"""Subprotocols with a key or account name; they concern the client, not this proxy's upstream."""
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_MAX_PROTOCOLS: Final = 16


def forwarded_protocols(offered: Sequence[str]) -> tuple[str, ...]:
    """Return those subprotocols in the header values *offered* that go to the upstream."""
    names = (name.strip() for value in offered for name in value.split(","))
    kept = (
        name for name in names if _TOKEN.fullmatch(name) and not name.lower().startswith(_PRIVATE)
    )
    return tuple(dict.fromkeys(kept))[:_MAX_PROTOCOLS]


def model_of(query: str) -> str | None:
    """Return the model in a raw query, None without one.

    Raises:
        ProxyError: 400 `unsupported_parameter`, there are several, and an upstream may use any.
    """
    parts = [part.partition("=") for part in query.split("&")]
    named = [value for name, _, value in parts if _name(name) == MODEL]
    if len(named) > 1:
        raise ProxyError(
            400,
            "The query names 'model' more than once.",
            code="unsupported_parameter",
            param=MODEL,
        )
    return unquote_plus(named[0]) or None if named else None


def with_model(query: str, model: str) -> str:
    """Return a raw query with *model* as its model, or without one if that is ``""``."""
    parts = [part for part in query.split("&") if part and _name(part.partition("=")[0]) != MODEL]
    if model:
        parts.insert(0, f"{MODEL}={quote(model, safe='')}")
    return "&".join(parts)


def _name(name: str) -> str:
    return unquote_plus(name).strip().lower()
