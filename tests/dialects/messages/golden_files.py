"""The golden answers, in golden/: ``python -m tests.dialects.messages.golden_files`` writes them.

NAME.sse is the stream that a client of the Messages API gets for a case, NAME.json the same answer
whole. Read the difference before it is committed.
"""

import json
from pathlib import Path
from typing import Final

from tests.dialects.messages.answers import (
    USAGE,
    Event,
    answer,
    begin,
    call,
    finish,
    sealed,
    text,
    thought,
)

GOLDEN: Final = Path(__file__).resolve().parent / "golden"
_NATIVE: Final = [
    {"type": "thinking", "thinking": "hm", "signature": "EqQBCkYIBRgC"},
    {"type": "redacted_thinking", "data": "EmwKAhgB"},
]

CASES: Final[dict[str, tuple[Event, ...]]] = {
    "text": (begin(USAGE), text("Hello"), text(' "wörld"\n\u2028'), finish()),
    "nothing": (finish(),),
    "thinking": (thought("Let me "), thought("see."), text("Yes."), finish()),
    "thinking_then_calls": (
        thought("Two cities."),
        sealed("gemini", "U2ln"),
        call('{"city": "', 'Köln"}'),
        call("{}", call_id="call_2", name="get_time"),
        call(call_id="call_3", name="get_date"),
        finish("tool_calls"),
    ),
    "text_then_call": (
        text("I look."),
        sealed("gemini", "U2ln"),
        call('{"city":"Köln"}'),
        finish("tool_calls"),
    ),
    "reasoning_of_a_chat_service": (
        thought("So I think."),
        sealed("chat.deepseek", "So I think."),
        call("{}"),
        finish("tool_calls"),
    ),
    "thinking_of_anthropics": (
        thought("hm"),
        sealed("anthropic", json.dumps(_NATIVE)),
        text("Yes."),
        finish(),
    ),
    "signed_text": (text("Yes."), sealed("gemini", "U2ln"), finish()),
    "odd_arguments": (call("no JSON"), call("[1]", call_id="call_2"), finish("tool_calls")),
    "max_tokens": (text("It is"), finish("length")),
    "stop_sequence": (text("1, 2, "), finish(matched_stop="3")),
    "refusal": (finish("content_filter", native="SAFETY", message="Blocked: SAFETY."),),
    "refusal_after_text": (text("First"), finish("content_filter", native="SAFETY")),
    "search": (lambda sink: sink.server_tool("web_search", 2), text("Found."), finish()),
}


def stream_of(name: str) -> bytes:
    """Return the stream of a case."""
    return _made(name, streamed=True)


def body_of(name: str) -> bytes:
    """Return the whole answer of a case, over several lines."""
    whole = json.loads(_made(name, streamed=False))
    return json.dumps(whole, indent=1, ensure_ascii=False).encode() + b"\n"


def _made(name: str, *, streamed: bool) -> bytes:
    made = answer(streamed=streamed)
    for event in CASES[name]:
        event(made.choice(0))
    made.end(USAGE)
    return made.take() if streamed else made.body()


def main() -> None:
    """Write what is got now over what was expected."""
    GOLDEN.mkdir(exist_ok=True)
    for name in CASES:
        (GOLDEN / f"{name}.sse").write_bytes(stream_of(name))
        (GOLDEN / f"{name}.json").write_bytes(body_of(name))


if __name__ == "__main__":
    main()
