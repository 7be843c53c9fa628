"""Relays a Messages stream byte for byte in whole events, and checks each event. Pure.

Source: https://docs.claude.com/en/api/messages-streaming (read 2026-11) and recorded streams.
"""

from typing import Final

import msgspec
from msgspec import Raw

from jarvis_proxy.canonical.exchange import truncated
from jarvis_proxy.canonical.usage import TokenUsage, to_token_usage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.errors import (
    bad_frame,
    bad_response,
    error_in_stream,
    fault_in,
    read_fault,
)
from jarvis_proxy.upstreams.anthropic.usage import UsageCounter
from jarvis_proxy.upstreams.json_values import fields_of, is_swarm, loads
from jarvis_proxy.upstreams.openai_stream import PassthroughStream
from jarvis_proxy.wire.messages_types import STOP
from jarvis_proxy.wire.sse import CR


class _Message(msgspec.Struct, gc=False):
    usage: Raw = Raw()
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    message: _Message | None = None
    delta: _Message | None = None
    usage: Raw = Raw()
    error: Raw = Raw()


_DELTA: Final = b"event: content_block_delta\ndata: {"
_EVENT: Final = msgspec.json.Decoder(_Event)


class MessagesRelayStream(PassthroughStream):
    """A StreamTranslator that returns its input, including pings and errors.

    *model* is the client's name of the model.
    """

    __slots__ = ("_counter", "_has_stopped", "_model")

    def __init__(self, model: str) -> None:
        super().__init__("other")
        self._model = model
        self._counter = UsageCounter()
        self._has_stopped = False
        """Whether the stop reason has arrived, though the end may not have."""

    @property
    def is_settled(self) -> bool:
        """Whether all of the answer has arrived, though its end has not."""
        return self._has_stopped

    def feed(self, data: bytes) -> bytes:
        """Return the data up to the last event boundary; hold back the rest.

        Raises:
            ProxyError: the error in an event; 502 `upstream_bad_frame`,
                `upstream_frame_too_large`.
        """
        # Nearly every read is one event in the common form, which only needs a look inside.
        is_one = data.startswith(_DELTA) and data.endswith(b"\n\n") and data.count(b"\n") == 3
        if not is_one or self.done or self.held or CR in data:
            return super().feed(data)
        self._swallow_lf = False
        return data if self._passes(data[len(_DELTA) - 1 : -2], "content_block_delta") else b""

    def feed_eof(self) -> bytes:
        """Return the end of the stream: a last event without its blank line, or ``message_stop``.

        Raises:
            ProxyError: 502 `upstream_truncated`, the upstream ended before the answer did.
        """
        rest = b"" if self.done else self._release().rstrip(b"\r\n")
        try:
            out = self._feed_blocks(rest + b"\n\n") if rest else b""
        except ProxyError as error:
            if error.code != "upstream_bad_frame":
                raise
            # Half an event, which is dropped.
            out = error.completed_events
        if self.done:
            return out
        if not self._has_stopped:
            raise _after(out, truncated())
        self.done = True
        return out + STOP

    def _end(self, preceding: bytes) -> None:
        """Handle a ``[DONE]``, which does not end a message."""
        if not self._has_stopped:
            raise _after(preceding, truncated())

    def _watch_together(self, data: bytes, count: int) -> bool:
        return False

    def _watch(self, payload: bytes, event: str) -> None:
        """Note what the event reveals about completeness, usage and errors."""
        read = _read(payload)
        kind = read.type or event
        if kind == "error" or (not read.type and len(read.error) > 0):
            self._fail(payload, is_native=event == read.type == "error")
            return
        self._began = self._began or kind != "ping"
        part = read.message if kind == "message_start" else read.delta
        if part is not None and part.stop_reason:
            self._has_stopped = True
        if kind == "message_start" and part is not None:
            self._count(part.usage)
        elif kind == "message_delta":
            self._count(read.usage)
        elif kind == "message_stop":
            self.done = True

    def _count(self, raw: Raw) -> None:
        if len(raw) > 0:
            self._counter.take(loads(bytes(raw)))
            self.usage = _tokens(self._counter)

    def _fail(self, payload: bytes, *, is_native: bool) -> None:
        """Pass on an error of an answer that has begun; raise any other one.

        Clients ignore an error that does not have Anthropic's form.
        """
        fault = read_fault(fields_of(loads(payload)))
        error = error_in_stream(fault, model=self._model, body=payload)
        if not self._began or not is_native or error.code == "upstream_auth_failed":
            raise error
        self.failure, self.done = error, True


def read_whole(body: bytes, model: str) -> TokenUsage | None:
    """Return the token counts of a whole answer, None if it has none.

    Raises:
        ProxyError: the body is an error despite its status; 502 `upstream_bad_response`.
    """
    try:
        fields = fields_of(loads(body))
    except ValueError:
        raise bad_response() from None
    fault = None if fields.get("type") == "message" else fault_in(fields)
    if fault is not None:
        raise error_in_stream(fault, model=model, body=body)
    counter = UsageCounter()
    counter.take(fields.get("usage"))
    return _tokens(counter)


def _tokens(counter: UsageCounter) -> TokenUsage | None:
    usage = counter.usage
    return None if usage is None else to_token_usage(usage)


def _read(payload: bytes) -> _Event:
    if is_swarm(payload):
        raise bad_frame()
    try:
        return _EVENT.decode(payload)
    except (ValueError, RecursionError):
        pass
    try:
        value = loads(payload)
    except ValueError:
        raise bad_frame() from None
    if not isinstance(value, dict):
        raise bad_frame()
    fields = fields_of(value)
    kind, error = fields.get("type"), fields.get("error")
    return _Event(kind if isinstance(kind, str) else "", error=Raw(b"{}") if error else Raw())


def _after(events: bytes, error: ProxyError) -> ProxyError:
    error.completed_events = events
    return error
