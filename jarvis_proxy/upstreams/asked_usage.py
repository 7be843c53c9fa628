"""Requests usage on the proxy's own behalf, for keys with token limits. Pure.

OpenAI-compatible streams report usage in an additional chunk, and only on request. If the client
did not request it, it does not get that chunk.

Source: https://platform.openai.com/docs/api-reference/chat/create (`stream_options`; read 2026-11).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.frames import StreamKind
from jarvis_proxy.upstreams.openai_stream import PassthroughStream
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.request_head import with_field

_ENDPOINTS: Final = ("chat/completions", "completions")
_OURS: Final = frozenset(
    {
        "choices",
        "created",
        "id",
        "model",
        "object",
        "obfuscation",
        "provider",
        "service_tier",
        "system_fingerprint",
        "usage",
        "x_groq",
    }
)
"""The fields of a chunk that only reports usage; a chunk with others only loses its usage."""
_REFUSAL: Final = re.compile(
    rb"stream_options|include_usage|extra (?:input|field|param)"
    rb"|(?:unknown|unrecogni[sz]ed|unsupported|unexpected|invalid)\W.{0,40}(?:param|field|argument|key)",
    re.IGNORECASE | re.DOTALL,
)
_BLOCK: Final = re.compile(rb"(?:[^\r\n]++(?:\r\n?+|\n))*+(?:\r\n?+|\n)|[^\r\n]++\Z")
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Options(msgspec.Struct):
    stream_options: msgspec.Raw = msgspec.Raw(b"null")


_OPTIONS: Final = msgspec.json.Decoder(_Options)


def asking_for_usage(endpoint: str, body: bytes) -> bytes | None:
    """Return *body*, of a stream, with a request for usage; None if it already has one.

    Also None if *endpoint* has no such option, or if ``stream_options`` is no object: the upstream
    judges that.
    """
    if endpoint not in _ENDPOINTS:
        return None
    try:
        raw = bytes(surrogates.decode(_OPTIONS, body).stream_options)
        options = {} if raw == b"null" else _FIELDS.decode(raw)
    except (ValueError, RecursionError):
        return None
    if bytes(options.get("include_usage", b"")) == b"true":
        return None
    options["include_usage"] = msgspec.Raw(b"true")
    return with_field(body, "stream_options", msgspec.json.encode(options))


def refuses_usage(status: int, body: bytes) -> bool:
    """Return whether an upstream's refusal may concern the proxy's request for usage."""
    return status in (400, 404, 422, 501) and _REFUSAL.search(body) is not None


class UnaskedUsageStream(PassthroughStream):
    """A relayed stream: it counts the chunk that reports usage, and removes it."""

    __slots__ = ("_ends_in_cr",)

    def __init__(self, kind: StreamKind) -> None:
        super().__init__(kind)
        self._ends_in_cr = False
        """Whether the removed event ended in CR, so that an LF may follow."""

    def feed(self, data: bytes) -> bytes:
        """Return the result of ``PassthroughStream`` without usage. Raises as it does."""
        return self._without_usage(partial(super().feed, data))

    def feed_eof(self) -> bytes:
        """Return the result of ``PassthroughStream`` without usage. Raises as it does."""
        return self._without_usage(super().feed_eof)

    def _without_usage(self, read: Callable[[], bytes]) -> bytes:
        try:
            return self._filtered(read())
        except ProxyError as exc:
            exc.completed_events = self._filtered(exc.completed_events)
            raise

    def _filtered(self, events: bytes) -> bytes:
        if self._ends_in_cr and events:
            self._ends_in_cr = False
            events = events.removeprefix(b"\n")
        if b'"usage"' not in events:
            return events
        kept = b"".join(_kept(found[0]) for found in _BLOCK.finditer(events))
        self._ends_in_cr = events.endswith(b"\r") and not kept.endswith(b"\r")
        return kept


def _kept(block: bytes) -> bytes:
    """Return the part of one event that the client gets."""
    if b'"usage"' not in block:
        return block
    lines = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
    try:
        chunk = _FIELDS.decode(data)
    except (ValueError, RecursionError):
        return block
    is_usage = bytes(chunk.get("usage", b"")).startswith(b"{")
    if not is_usage or bytes(chunk.get("choices", b"[]")).strip() not in (b"[]", b"null"):
        return block
    if all(name in _OURS or value == b"null" for name, value in chunk.items()):
        return b""
    del chunk["usage"]
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
