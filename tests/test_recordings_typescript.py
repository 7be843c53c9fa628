"""Recorded answers, translated, against the types of the official SDKs for TypeScript.

What a proxy sends is no TypeScript, so each answer becomes a constant of a program that the
compiler checks. Two things are held against nobody, for the services themselves do them: null for
what is absent, and a call without ``caller``, which many services refuse to take back.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from jarvis_proxy.errors import ProxyError
from tests.faults.node import Missing, home
from tests.matrix import client_readers
from tests.support.crossings import (
    CHAT,
    GOOGLE,
    MESSAGES,
    RESPONSES,
    SOURCES,
    answer_for,
    answered,
    upstream,
)
from tests.support.recordings import MISSING, WIRE

pytestmark = [
    pytest.mark.node,
    pytest.mark.no_cover,
    pytest.mark.skipif(not WIRE.is_dir(), reason=MISSING),
]

Json = dict[str, Any]
Form = tuple[str, bool]

TYPES: Final[dict[Form, str]] = {
    (CHAT, False): "OpenAI.Chat.ChatCompletion",
    (CHAT, True): "OpenAI.Chat.ChatCompletionChunk",
    (RESPONSES, False): "OpenAI.Responses.Response",
    (RESPONSES, True): "OpenAI.Responses.ResponseStreamEvent",
    (MESSAGES, False): "Anthropic.Message",
    (MESSAGES, True): "Anthropic.RawMessageStreamEvent",
    (GOOGLE, False): "GenerateContentResponse",
    (GOOGLE, True): "GenerateContentResponse",
}
WRONG: Final[dict[Form, Json]] = {
    (CHAT, False): {"choices": [{"index": 0, "message": {}, "finish_reason": "ended"}]},
    (CHAT, True): {"object": "chat.completion"},
    (RESPONSES, False): {"output": [{"type": "message", "content": "text"}]},
    (RESPONSES, True): {"type": "response.text.delta"},
    (MESSAGES, False): {"stop_reason": "stop"},
    (MESSAGES, True): {"type": "message_end"},
    (GOOGLE, False): {"candidates": [{"finishReason": "ENDED"}]},
    (GOOGLE, True): {"usageMetadata": {"promptTokenCount": "9"}},
}
"""Changes that make an answer of each form a wrong one."""

HEAD: Final = """\
import type Anthropic from "@anthropic-ai/sdk";
import type { GenerateContentResponse } from "@google/genai";
import type OpenAI from "openai";

/** The fields that an answer must have: no methods, and not what the SDK itself adds. */
type Required<T> = {
  [K in keyof T]-?: T[K] extends Function ? never
    : null extends T[K] ? never
    : undefined extends T[K] ? never
    : K extends "caller" | "output_text" ? never
    : K;
}[keyof T];
type Fields<T> =
  & { [K in Required<T>]: Wire<T[K]> }
  & { [K in Exclude<keyof T, Required<T>>]?: Wire<T[K]> | null };
/** A type as JSON has it: enumerations are their words. */
type Wire<T> = unknown extends T ? unknown
  : T extends string ? `${T}`
  : T extends readonly (infer U)[] ? readonly Wire<U>[]
  : T extends object ? Fields<T>
  : T;
"""
CONFIG: Final = {
    "compilerOptions": {
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "target": "es2022",
        "module": "nodenext",
        "types": [],
    },
    "files": ["answers.ts"],
}
FREE: Final = frozenset(
    (
        "arguments", "call_id", "content", "data", "delta", "encrypted_content", "id", "item_id",
        "message", "model", "modelVersion", "name", "partial_json", "reasoning_content",
        "refusal", "responseId", "signature", "text", "thinking", "thoughtSignature", "title",
        "token", "tool_call_id", "url",
    )
)  # fmt: skip
"""The fields that hold any text: answers that differ in these alone have one type."""


def translated() -> Iterator[tuple[Form, Json]]:
    """Yield every answer, or event of one, that a client of each API gets of a recording."""
    for folder, kind, source, apis, _ in SOURCES:
        service = upstream(source)
        for recording in answered(folder, kind):
            stream = "sse" in recording["response"]
            for api in apis:
                try:
                    answer = answer_for(api, recording, service)
                except ProxyError:
                    continue
                said = client_readers.sse(answer) if stream else [("", json.loads(answer))]
                yield from (((api, stream), one) for _, one in said if one != b"[DONE]")


def shape(value: object, name: str = "") -> object:
    """Return a value without what does not change its type."""
    match value:
        case dict():
            return {key: shape(inner, key) for key, inner in value.items()}
        case list():
            shapes: list[object] = []
            for inner in value:
                if (one := shape(inner, name)) not in shapes:
                    shapes.append(one)
            return shapes
        case str():
            return "" if name in FREE else value
        case bool() | None:
            return value
        case _:
            return 0


def compiled(answers: list[tuple[Form, Json]], folder: Path) -> dict[int, str]:
    """Return what the compiler says about answers, by their numbers."""
    first = HEAD.count("\n") + 1
    lines = [
        f"const a{n} = {json.dumps(answer)} as const; const b{n}: Wire<{TYPES[form]}> = a{n};\n"
        for n, (form, answer) in enumerate(answers)
    ]
    (folder / "answers.ts").write_text(HEAD + "".join(lines), encoding="utf-8")
    (folder / "tsconfig.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "node_modules").symlink_to(home() / "node_modules")
    compiler = folder / "node_modules" / "typescript" / "bin" / "tsc"
    command = ["node", str(compiler), "--pretty", "false"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=150, check=False
    )
    faults = [line for line in done.stdout.splitlines() if line.startswith("answers.ts(")]
    assert bool(faults) == bool(done.returncode), done.stdout + done.stderr
    places = [(line.partition("(")[2].partition(",")[0], line) for line in faults]
    return {int(number) - first: line for number, line in places}


def test_every_answer_has_the_types_of_the_sdks(tmp_path: Path) -> None:
    try:
        packages = home() / "node_modules"
    except Missing as exc:
        pytest.skip(str(exc))
    if not (packages / "typescript").is_dir():  # older than the lock file
        pytest.skip("typescript for Node.js is not installed")
    distinct: dict[tuple[Form, str], Json] = {}
    for form, answer in translated():
        if answer.get("type") != "ping":  # their types do not have it, though they send it
            distinct.setdefault((form, json.dumps(shape(answer), sort_keys=True)), answer)
    answers = [(form, answer) for (form, _), answer in distinct.items()]
    examples = dict(reversed(answers))
    wrong = [(form, examples[form] | change) for form, change in WRONG.items()]

    said = compiled([*answers, *wrong], tmp_path)

    assert {number: words for number, words in said.items() if number < len(answers)} == {}
    assert len(said) == len(wrong), "the compiler takes what is wrong"
    assert len(answers) > 500
