"""Models that a client names after the handshake: in events, and for a client secret. Pure.

Source: https://platform.openai.com/docs/api-reference/realtime-client-events (read 2026-11).
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from jarvis_proxy.errors import ProxyError

_Json = dict[str, Any]
_CONFIGURED: Final = ("session", "response")
_FREE: Final = frozenset({"tools", "instructions", "metadata", "tracing", "tool_choice", "input"})
"""Parts of a response whose field names are the client's own, such as a tool's parameters."""
_MODEL: Final = "model"


def with_models(event: bytes, target: Callable[[str], str], *, strict: bool) -> bytes:
    """Return a client's *event* with each configured model replaced by its *target*.

    *strict*: the result contains no model, in any spelling, that was not given to *target*.

    Raises:
        ProxyError: as *target*; 400 `invalid_json`, *strict* and the event is not valid JSON.
    """
    seen = event.lower() if strict else event
    if b"model" not in seen and b"\\u" not in seen:
        return event
    decoded = _decoded(event)
    if decoded is None:
        if strict:
            raise ProxyError(400, "The event is not valid JSON.", code="invalid_json")
        return event
    is_changed = False
    for name, value in decoded.items():
        if name.lower() in _CONFIGURED:
            is_changed |= _replace(value, target, is_session=name.lower() == "session")
    return msgspec.json.encode(decoded) if is_changed or strict else event


def _decoded(event: bytes) -> _Json | None:
    try:
        return msgspec.json.decode(event, type=_Json)
    except (msgspec.DecodeError, RecursionError):
        return None


def _replace(value: object, target: Callable[[str], str], *, is_session: bool) -> bool:
    """Replace each model in *value* by its target; return whether any one differs."""
    is_changed = False
    for holder, field in tuple(_places(value, is_session=is_session)):
        name = holder[field]
        better = target(name)
        is_changed |= better != name
        holder[field] = better
    return is_changed


def _places(value: object, *, is_session: bool) -> Iterator[tuple[_Json, str]]:
    """Yield each object in *value* that names a model, and the field's name in its own case."""
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name.lower() == _MODEL and isinstance(inner, str) and inner:
            yield value, name
        # `audio.input` of a session is configuration; `input` of a response is a conversation.
        elif name not in _FREE or (name == "input" and is_session):
            yield from _places(inner, is_session=is_session)


def model_for_secret(body: _Json) -> str | None:
    """Return the model that routes a request for a client secret, None without one."""
    session = body.get("session")
    config: _Json = session if isinstance(session, dict) else body
    named = config.get(_MODEL)
    if isinstance(named, str) and named:
        return named
    places = _places(config, is_session=True)
    return next((holder[field] for holder, field in places), None)


def with_models_for_secret(body: _Json, target: Callable[[str], str]) -> None:
    """Replace each model in a request for a client secret by its *target*.

    Raises whatever *target* raises.
    """
    _replace(body, target, is_session=True)
