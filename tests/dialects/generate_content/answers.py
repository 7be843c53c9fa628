"""What the tests of answers share: a context, a way to play events, and Google's own reader."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from google.genai import types as genai

from jarvis_proxy.canonical.answer import Answer, AnswerContext, AnswerSink, CallStart, Finish
from jarvis_proxy.canonical.sealed_state import SealedState
from jarvis_proxy.dialects.generate_content.answer import (
    GenerateContentBody,
    GenerateContentStream,
)
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails

Step = Callable[[AnswerSink], object]
CALL_ID = "c" * 24
MODEL = "deepseek/deepseek-chat"
CONTEXT = AnswerContext(
    call_id=CALL_ID, created=1_800_000_000, model=MODEL, new_id=lambda: "n" * 24
)
USAGE = ChatUsage(
    30, 20, 50, PromptTokensDetails(cached_tokens=10), CompletionTokensDetails(reasoning_tokens=5)
)


def text(piece: str) -> Step:
    return lambda sink: sink.text(piece)


def thought(piece: str) -> Step:
    return lambda sink: sink.thought(piece)


def seal(owner: str, payload: str) -> Step:
    return lambda sink: sink.seal(SealedState(owner, payload))


def call(name: str, *pieces: str, call_id: str = "call_1", custom: bool = False) -> Step:
    def play(sink: AnswerSink) -> None:
        sink.call_begin(CallStart(call_id, name, "custom" if custom else "function"))
        for piece in pieces:
            sink.call_piece(piece)
        sink.call_end()

    return play


def finish(reason: Any = "stop", **more: Any) -> Step:
    return lambda sink: sink.finish(Finish(reason=reason, **more))


def play(answer: Answer, steps: Iterable[Step], usage: ChatUsage | None = USAGE) -> bytes:
    """Return what a stream writes for the *steps* of one choice."""
    sink = answer.choice(0)
    sink.begin("upstream-id", None)
    out = []
    for step in steps:
        step(sink)
        out.append(answer.take())
    answer.end(usage)
    return b"".join((*out, answer.take()))


def streamed(*steps: Step, shows: bool = True, usage: ChatUsage | None = USAGE) -> bytes:
    return play(GenerateContentStream(CONTEXT, is_array=False, shows=shows), steps, usage)


def array(*steps: Step, shows: bool = True) -> bytes:
    return play(GenerateContentStream(CONTEXT, is_array=True, shows=shows), steps)


def whole(*steps: Step, shows: bool = True, usage: ChatUsage | None = USAGE) -> Any:
    answer = GenerateContentBody(CONTEXT, shows=shows)
    assert play(answer, steps, usage) == b""
    body = json.loads(answer.body())
    genai.GenerateContentResponse.model_validate(body)
    return body


def frames(data: bytes) -> list[Any]:
    """Return the frames of a stream of events, as Google's SDK reads them."""
    assert data.endswith(b"\r\n\r\n")
    lines = data[:-4].split(b"\r\n\r\n")
    assert all(line.startswith(b"data: {") and b"\n" not in line for line in lines)
    found = [json.loads(line[6:]) for line in lines]
    for frame in found:
        genai.GenerateContentResponse.model_validate(frame)
    return found


def parts(frame: Any, candidate: int = 0) -> Any:
    return frame["candidates"][candidate]["content"]["parts"]
