"""What an upstream says in each case, and what any client must read of it: one table."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Thought: TypeAlias = tuple[Literal["thought"], str]
Text: TypeAlias = tuple[Literal["text"], str]
Call: TypeAlias = tuple[Literal["call"], str, dict[str, object]]
Event: TypeAlias = Thought | Text | Call

Reason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True)
class Case:
    """One answer.

    *events* are what the model says, adjacent texts joined. *reason* is how it ends; None: its
    stream breaks off with *error*, or without a word where that is ``"cut"``.
    """

    name: str
    events: tuple[Event, ...]
    reason: Reason | None
    error: Literal["", "overloaded", "cut"] = ""
    follows_call: bool = False
    """The request has a call and its result in its history."""


ROME: Call = ("call", "get_weather", {"city": "Rome", "days": 3})
OSLO: Call = ("call", "get_weather", {"city": 'Osló \u2028 "x"', "days": 0})

CASES = (
    Case("text", (("text", 'Grüße, 世界 🌍!\n"quoted" \u2028 end'),), "stop"),
    Case("thoughts", (("thought", "Let me see.\nFirst…"), ("text", "42")), "stop"),
    Case("call", (ROME,), "tool_calls"),
    Case("text_and_call", (("text", "I look it up."), ROME), "tool_calls"),
    Case("thoughts_and_call", (("thought", "A tool helps."), ROME), "tool_calls"),
    Case("parallel_calls", (ROME, OSLO), "tool_calls"),
    Case("everything", (("thought", "Two."), ("text", "I ask."), ROME, OSLO), "tool_calls"),
    Case("after_call", (("text", "It is sunny."),), "stop", follows_call=True),
    Case("length", (("text", "This is cut off by"),), "length"),
    Case("filter", (("text", "I begin"),), "content_filter"),
    Case("error_in_stream", (("text", "Half a sen"),), None, "overloaded"),
    Case("cut_stream", (("text", "Half a sen"),), None, "cut"),
)

USAGE = (57, 11, 32)
"""Tokens of every answer: prompt (cached ones included), completion, cached."""
