"""Text completions, whole or as a stream. Pure.

Source: https://platform.openai.com/docs/api-reference/completions/object (read 2026-11), and
recorded answers and streams.
"""

from typing import Any, Final, Literal

import msgspec

from jarvis_proxy.canonical.answer import AnswerSink, DiscardingSink, Finish
from jarvis_proxy.wire.chat_types import ChatUsage
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.sse import DONE

_PREFIX: Final = "cmpl-"
_KIND: Final = "text_completion"

FinishReason = Literal["stop", "length", "content_filter"]


class CompletionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that all choices share.

    *call_id* is 24 letters and digits, *created* is in epoch seconds, *model* is the client's name
    of the model. *echo* precedes each answer.
    """

    call_id: str
    created: int
    model: str
    echo: str = ""
    include_usage: bool = False


class _Choice(msgspec.Struct):
    text: str
    index: int
    logprobs: None = None
    finish_reason: FinishReason | None = None


class CompletionAnswer:
    """The choices of one call; implements ``Answer``."""

    __slots__ = ("_choices", "_id", "_options", "_out", "_stream", "_usage")

    # A stream keeps nothing.
    kept: int = 0

    def __init__(
        self, options: CompletionOptions, *, stream: bool, numbers: SequenceNumbers | None = None
    ) -> None:
        self._options = options
        self._stream = stream
        self._out: list[bytes] = []
        self._choices: dict[int, _TextSink] = {}
        self._id: str | None = None
        self._usage = ChatUsage()

    def choice(self, index: int, /) -> AnswerSink:
        """Return the sink of choice *index*, always the same one."""
        sink = self._choices.get(index)
        if sink is None:
            sink = self._choices[index] = _TextSink(self, index)
        return sink

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """End the answer."""
        self._usage = usage or ChatUsage()
        if self._stream:
            if self._options.include_usage:
                self._out.append(self._event([], usage=self._usage))
            self._out.append(DONE)

    def take(self) -> bytes:
        """Return the events since the last call."""
        events = b"".join(self._out)
        self._out.clear()
        return events

    def body(self) -> bytes:
        """Return the whole completion."""
        choices = [self._choices[index].whole for index in sorted(self._choices)]
        return msgspec.json.encode({**self._head(), "choices": choices, "usage": self._usage})

    def name(self, upstream_id: str | None) -> None:
        """Set the upstream's id; the first one of any choice counts."""
        if self._id is None and upstream_id:
            self._id = upstream_id

    @property
    def echo(self) -> str:
        """The text that precedes each choice."""
        return self._options.echo

    def write(self, choice: _Choice) -> bool:
        """Send a piece of *choice* if this is a stream; return whether it is one."""
        if self._stream:
            self._out.append(self._event([choice]))
        return self._stream

    def _event(self, choices: list[_Choice], **more: object) -> bytes:
        return (
            b"data: " + msgspec.json.encode({**self._head(), "choices": choices, **more}) + b"\n\n"
        )

    def _head(self) -> dict[str, Any]:
        options = self._options
        # From now on the id is fixed.
        self._id = self._id or options.call_id
        return {
            "id": _PREFIX + self._id.removeprefix(_PREFIX),
            "object": _KIND,
            "created": options.created,
            "model": options.model,
        }


class _TextSink(DiscardingSink):
    """Receives the text of one choice, and drops the rest."""

    def __init__(self, answer: CompletionAnswer, index: int) -> None:
        self._answer = answer
        self._pieces: list[str] = []
        self.emitted = False
        self.whole = _Choice("", index)

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Note the upstream's id."""
        self._answer.name(upstream_id)

    def text(self, text: str, /) -> None:
        """Receive a piece of the text; the echo precedes the first one."""
        if not self._pieces:
            text = self._answer.echo + text
        self._pieces.append(text)
        self.emitted = self._answer.write(_Choice(text, self.whole.index)) or self.emitted

    def finish(self, finish: Finish, /) -> None:
        """End the choice."""
        reason = finish.reason
        if not self._pieces and self._answer.echo:
            self.text("")
        self.whole.text = "".join(self._pieces)
        self.whole.finish_reason = (
            reason if reason in ("stop", "length", "content_filter") else "stop"
        )
        self._answer.write(_Choice("", self.whole.index, None, self.whole.finish_reason))
