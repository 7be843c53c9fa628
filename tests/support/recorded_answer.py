"""A canonical answer that keeps its events, and refuses those in a wrong order."""

from collections.abc import Callable
from typing import Literal

from jarvis_proxy.canonical.answer import CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.wire.chat_types import ChatUsage, Image, TokenLogprob

Event = tuple[str, object]
"""What came, such as ``("text", "Hello")``; pieces of one text or thought are one event."""


class RecordedChoice:
    """The events of one choice. An ``AnswerSink``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.pieces = 0
        """How many pieces of text, thoughts and arguments came."""
        self.sketches: list[Image] = []
        self._open: CallStart | None = None
        self.finished: Finish | None = None
        self._begun = False
        self.begun: tuple[str | None, ChatUsage | None] = (None, None)
        """The id and the usage with which it began."""

    @property
    def emitted(self) -> bool:
        """Whether there is anything to send."""
        return bool(self.events)

    def begin(self, upstream_id: str | None, usage: ChatUsage | None, /) -> None:
        """Take the upstream's id."""
        assert not self.events, "begin comes first"
        assert not self._begun, "begin comes once"
        self._begun, self.begun = True, (upstream_id, usage)

    def text(self, text: str, /) -> None:
        """Take text."""
        self._say("text", text)

    def thought(self, text: str, /) -> None:
        """Take a thought."""
        self._say("thought", text)

    def seal(self, state: SealedState, /) -> None:
        """Take sealed state."""
        self._add("seal", state)

    def call_begin(self, call: CallStart, /) -> None:
        """Begin a call."""
        self._add("call", call)
        assert call.name, "a call has a name"
        assert call.id, "a call has an id"
        self.events.append(("arguments", ""))
        self._open = call

    def call_piece(self, piece: str, /) -> None:
        """Add to the arguments of the open call."""
        assert self._open is not None, "a piece belongs to an open call"
        assert self.finished is None
        assert piece, "a piece is never empty"
        self.pieces += 1
        name, so_far = self.events.pop()
        self.events.append((name, f"{so_far}{piece}"))

    def call_end(self, /) -> None:
        """End the open call."""
        assert self._open is not None, "only an open call ends"
        self._open = None

    def sketch(self, image: Image, /) -> None:
        """Keep a sketch, apart from the events of the answer."""
        self.sketches.append(image)

    def image(self, image: Image, /) -> None:
        """Take a picture."""
        self._add("image", image)

    def speech(self, mime_type: str, data: str, /) -> None:
        """Take sound."""
        self._add("speech", (mime_type, data))

    def logprobs(self, tokens: list[TokenLogprob], /) -> None:
        """Take log probabilities."""
        self._add("logprobs", tokens)

    def server_tool(self, kind: Literal["web_search"], count: int, /) -> None:
        """Take a count."""
        self._add("server_tool", (kind, count))

    def finish(self, finish: Finish, /) -> None:
        """End the choice."""
        self._add("finish", finish.reason)
        self.finished = finish

    def calls(self) -> list[tuple[CallStart, object]]:
        """Return each call with its arguments."""
        heads = [event for event in self.events if event[0] in ("call", "arguments")]
        return [
            (head[1], arguments[1])
            for head, arguments in zip(heads[::2], heads[1::2], strict=True)
            if isinstance(head[1], CallStart)
        ]

    def joined(self, kind: str) -> str:
        """Return all the text, or all the thoughts, in the order sent."""
        return "".join(str(said) for name, said in self.events if name == kind)

    def _say(self, kind: str, text: str) -> None:
        assert text, f"{kind} is never empty"
        self.pieces += 1
        if self.events and self.events[-1][0] == kind:
            self.events[-1] = (kind, f"{self.events[-1][1]}{text}")
        else:
            self._add(kind, text)

    def _add(self, kind: str, value: object) -> None:
        assert self._open is None, f"{kind} came within a call"
        assert self.finished is None, f"{kind} came behind the end"
        self.events.append((kind, value))


class RecordedAnswer:
    """The choices of an answer. An ``Answer`` that writes nothing."""

    def __init__(self) -> None:
        self.choices: dict[int, RecordedChoice] = {}
        self.kept = 0

    def choice(self, index: int, /) -> RecordedChoice:
        """Return the choice *index*."""
        return self.choices.setdefault(index, RecordedChoice())

    def end(self, usage: ChatUsage | None, service_tier: str | None = None, /) -> None:
        """Check that every choice has ended."""
        assert all(choice.finished for choice in self.choices.values())

    def take(self) -> bytes:
        """Return nothing."""
        return b""

    def body(self) -> bytes:
        """Return nothing."""
        return b""


def ids_in_order() -> Callable[[], str]:
    """Return what gives a new id of 24 characters at each call, always the same ones."""
    count = 0

    def new_id() -> str:
        nonlocal count
        count += 1
        return f"{count:024}"

    return new_id
