"""The list of models in Google's form, page by page. Pure.

Source: https://ai.google.dev/api/models (read 2026-11).
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

import msgspec

from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.wire.google_verbs import BATCH_EMBED, COUNT_TOKENS, EMBED, GENERATE
from jarvis_proxy.wire.request_head import with_field

_MAX_PAGE_SIZE: Final = 1000
_EMBEDS: Final = "embed"


class _Model(msgspec.Struct, rename="camel"):
    """A model that is not Google's; its limits are unknown."""

    name: str
    version: str
    display_name: str
    description: str
    supported_generation_methods: tuple[str, ...]


def model_list(models: Sequence[tuple[str, bytes]], query: str) -> bytes:
    """Return a page of *models*, pairs of a name and Google's own entry for it (``b""``: none).

    The raw *query* selects the page with ``pageSize`` and ``pageToken``.

    Raises:
        ProxyError: 400, the token is not from this list.
    """
    asked = parse_qs(query)
    size = _page_size(asked.get("pageSize", [""])[-1])
    start = _position(asked.get("pageToken", [""])[-1])
    page = [msgspec.Raw(model_object(*model)) for model in models[start : start + size]]
    answer: dict[str, object] = {"models": page}
    if start + size < len(models):
        answer["nextPageToken"] = urlsafe_b64encode(str(start + size).encode()).decode()
    return msgspec.json.encode(answer)


def model_object(name: str, native: bytes) -> bytes:
    """Return one model: Google's own entry under *name*, or a minimal entry."""
    full_name = f"models/{name}"
    if native:
        return with_field(native, "name", msgspec.json.encode(full_name))
    methods = (EMBED, BATCH_EMBED) if _EMBEDS in name.lower() else (GENERATE, COUNT_TOKENS)
    return msgspec.json.encode(_Model(full_name, "", name, "", methods))


def _page_size(text: str) -> int:
    size = int(text) if text.isdecimal() and len(text) < len(str(_MAX_PAGE_SIZE)) + 1 else 0
    return size if 0 < size <= _MAX_PAGE_SIZE else _MAX_PAGE_SIZE


def _position(token: str) -> int:
    if not token:
        return 0
    try:
        return int(urlsafe_b64decode(token).decode("ascii"))
    except ValueError:
        raise invalid("pageToken", "'pageToken' does not come from this list.") from None
