"""Reads answers of a chat completions upstream, whole or as a stream that is split anywhere. Pure.

Source: https://platform.openai.com/docs/api-reference/chat-streaming (read 2026-11).
"""

from typing import Final

import msgspec

from jarvis_proxy.canonical.answer import Answer
from jarvis_proxy.canonical.exchange import UpstreamRequest, truncated
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.answer_kinds import first_bytes
from jarvis_proxy.upstreams.chat.choice_reader import ChoiceReader, ReaderContext
from jarvis_proxy.upstreams.chat.errors import late
from jarvis_proxy.upstreams.frames import bad_frame, error_of, read_frame
from jarvis_proxy.upstreams.json_values import (
    Fields,
    dumps,
    fields_of,
    is_swarm,
    items_of,
    loads,
)
from jarvis_proxy.upstreams.openai_errors import error_from_object, error_in_answer
from jarvis_proxy.upstreams.openai_usage import usage_in
from jarvis_proxy.upstreams.streamed_body import StreamedBody
from jarvis_proxy.wire import text as surrogates
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails
from jarvis_proxy.wire.sse import SSEEvent

_FIELDS: Final = msgspec.json.Decoder(dict[str, object])
_MAX_CHOICES: Final = 128
_BLANK: Final = b" \t\r\n"


class ChatReader:
    """Reads into *answer*; implements ``AnswerReader``."""

    __slots__ = (
        "_answer",
        "_body",
        "_choices",
        "_context",
        "_upstream_id",
        "done",
        "next_request",
        "service_tier",
        "usage",
    )

    def __init__(self, answer: Answer, context: ReaderContext) -> None:
        self._answer = answer
        self._context = context
        self._body = StreamedBody(_bad_response)
        self._choices: dict[int, ChoiceReader] = {}
        self._upstream_id: str | None = None
        self.usage: ChatUsage | None = None
        self.service_tier: str | None = None
        self.next_request: UpstreamRequest | None = None
        self.done = False

    @property
    def held(self) -> int:
        """About how many bytes the reader holds back."""
        kept = sum(choice.held for choice in self._choices.values())
        return kept + self._body.held

    @property
    def is_settled(self) -> bool:
        """Whether each choice has its finish reason, so that only usage may follow."""
        if not self._choices:
            return self.done
        return all(choice.reason for choice in self._choices.values())

    def feed(self, data: bytes) -> None:
        """Read a piece of a streamed body; a body that proves to be whole JSON is read as such.

        Raises:
            ProxyError: the upstream reported an error; 502 `upstream_bad_frame`,
                `upstream_frame_too_large`, `upstream_truncated` or `upstream_bad_response`.
        """
        if self.done or not data:
            return
        for event in self._body.feed(data):
            self._take_event(event)
            if self.done:
                return

    def feed_eof(self) -> None:
        """Handle the end of the body.

        Raises:
            ProxyError: 502 `upstream_truncated`, a choice has no finish reason.
        """
        if self.done:
            return
        if (whole := self._body.whole) is not None:
            self.read_whole(whole)
            return
        try:
            if (event := self._body.close()) is not None:
                self._take_event(event)
        except ProxyError as error:
            if error.code != "upstream_bad_frame":
                # A bad frame at the end is half an event, because the stream was cut.
                raise
        self._end()

    def read_whole(self, body: bytes) -> None:
        """Read a body that arrived whole; a body that proves to be a stream is read as such.

        Raises:
            ProxyError: the body holds an error or nothing usable.
        """
        if first_bytes(body) == "events":
            self._body.expect_events()
            self.feed(body)
            self.feed_eof()
            return
        if (error := error_in_answer(body)) is not None:
            raise late(error, body)
        try:
            fields = fields_of(loads(surrogates.replace_lone_surrogates(body)))
        except ValueError:
            raise _bad_response() from None
        choices = [choice for choice in map(fields_of, items_of(fields.get("choices"))) if choice]
        if not choices:
            raise _bad_response()
        self._note(fields)
        for choice in choices:
            self._take_choice(choice, fields_of(choice.get("message")), is_whole=True)
        # A whole body is complete, even without finish reasons.
        self._end_choices()

    def _take_event(self, event: SSEEvent) -> None:
        data = event.data.strip(_BLANK)
        if data == b"[DONE]":
            self._end()
        elif data and event.event != "ping" and not self.done:
            try:
                self._take_frame(data, event.event)
            except ProxyError:
                if not self.is_settled:
                    # A fault after a complete answer does no harm, and is ignored.
                    raise

    def _take_frame(self, data: bytes, event: str) -> None:
        fields = _fields(data)
        choices = [choice for choice in map(fields_of, items_of(fields.get("choices"))) if choice]
        if not choices or event == "error" or "error" in fields or "base_resp" in fields:
            frame = read_frame(data)
            if (error := error_of(frame, data, event, "chat")) is not None:
                raise late(error, data)
        for choice in choices:
            # OpenRouter reports an error like this.
            if choice.get("finish_reason") == "error":
                raise late(error_from_object(dumps(choice.get("error"))), data)
        self._note(fields)
        for choice in choices:
            self._take_choice(choice, _message(choice))

    def _note(self, fields: Fields) -> None:
        """Note the fields of an event, or of the whole answer, besides its choices."""
        if self._upstream_id is None and isinstance(upstream_id := fields.get("id"), str):
            self._upstream_id = upstream_id or None
        if (usage := chat_usage(fields)) is not None:
            self.usage = usage
        if isinstance(tier := fields.get("service_tier"), str):
            self.service_tier = tier

    def _take_choice(self, choice: Fields, message: Fields, *, is_whole: bool = False) -> None:
        index = choice.get("index")
        number = index if isinstance(index, int) and 0 <= index < _MAX_CHOICES else 0
        reader = self._choices.get(number)
        if reader is None:
            sink = self._answer.choice(number)
            sink.begin(self._upstream_id, None)
            reader = self._choices[number] = ChoiceReader(sink, self._context)
        reader.take(choice, message, is_whole=is_whole)

    def _end(self) -> None:
        """End every choice.

        Raises:
            ProxyError: 502 `upstream_truncated`, a choice has no finish reason.
        """
        if not self.is_settled:
            raise truncated()
        self._end_choices()

    def _end_choices(self) -> None:
        for number in sorted(self._choices):
            self._choices[number].end()
        self._choices.clear()
        self._body.clear()
        self.done = True


def _fields(data: bytes) -> Fields:
    """Return an event's JSON object.

    Raises:
        ProxyError: 502 `upstream_bad_frame`, the data is no JSON object; or the error in a list.
    """
    if is_swarm(data):
        raise bad_frame()
    try:
        return surrogates.decode(_FIELDS, data)
    except (ValueError, RecursionError):
        pass
    read_frame(data)
    try:
        return fields_of(loads(surrogates.replace_lone_surrogates(data)))
    except ValueError:
        raise bad_frame() from None


def _message(choice: Fields) -> Fields:
    """Return a choice's delta; some services put a whole ``message`` in their only event."""
    return fields_of(choice.get("delta")) or fields_of(choice.get("message"))


def _bad_response() -> ProxyError:
    return ProxyError(
        502, "The upstream's answer is not one of chat completions.", code="upstream_bad_response"
    )


def chat_usage(fields: Fields) -> ChatUsage | None:
    """Return the token counts in an answer or an event, None if it has none.

    Tokens written to or read from a cache are part of the prompt; reasoning is part of the
    completion.
    """
    counted = usage_in(fields) if _may_report(fields) else None
    if counted is None:
        return None
    prompt, completion, cached, reasoning, written, *_ = counted.bounded()
    return ChatUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=cached, cache_write_tokens=written),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning),
    )


def _may_report(fields: Fields) -> bool:
    """Return whether to look closer: nearly all events of a stream report nothing."""
    if fields.get("usage") is not None or "x_groq" in fields:
        return True
    choices = map(fields_of, items_of(fields.get("choices")))
    return any(choice.get("usage") is not None for choice in choices)
