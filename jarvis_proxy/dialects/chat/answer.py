"""An answer in the chat API: its choices as a stream or as one body. Pure."""

import msgspec

from jarvis_proxy.canonical.answer import AnswerContext, AnswerSink
from jarvis_proxy.dialects.chat.chunks import ChunkSink, usage_event
from jarvis_proxy.dialects.chat.message import MessageSink, completion
from jarvis_proxy.dialects.chat.options import ChatHead, ChatOptions
from jarvis_proxy.dialects.chat.think_tag import ThinkTagSink
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.sse import DONE


class ChatAnswer:
    """The choices of one answer; implements ``Answer``. *numbers* is unused: chunks have none."""

    __slots__ = ("_head", "_messages", "_out", "_sinks", "_stream", "_usage")

    # A stream keeps nothing.
    kept: int = 0

    def __init__(
        self,
        context: AnswerContext,
        options: ChatOptions,
        *,
        stream: bool,
        numbers: SequenceNumbers | None = None,
    ) -> None:
        self._head = ChatHead(context, options)
        self._stream = stream
        self._out: list[bytes] = []
        self._sinks: dict[int, AnswerSink] = {}
        self._messages: dict[int, MessageSink] = {}
        self._usage = ChatUsage()

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of choice *index*, always the same one."""
        sink = self._sinks.get(index)
        if sink is None:
            sink, tag = self._new_sink(index), self._head.options.think_tag
            if tag is not None:
                sink = ThinkTagSink(sink, tag)
            self._sinks[index] = sink
        return sink

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the answer, after the ``finish`` of every choice."""
        head = self._head
        head.serve(service_tier)
        self._usage = usage or ChatUsage()
        if self._stream:
            if head.options.include_usage:
                self._out.append(usage_event(head, self._usage))
            self._out.append(DONE)

    def take(self) -> bytes:
        """Return the whole events written since the last call, or ``b""``."""
        out = self._out
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def body(self) -> bytes:
        """Return the ChatCompletion."""
        messages = [self._messages[index] for index in sorted(self._messages)]
        return msgspec.json.encode(completion(self._head, messages, self._usage))

    def _new_sink(self, index: int) -> AnswerSink:
        if self._stream:
            return ChunkSink(self._head, index, self._out)
        message = self._messages[index] = MessageSink(self._head, index)
        return message
