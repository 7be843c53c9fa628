"""The proxy's wire types against the official SDK's and the order of keys in recorded answers."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.chat import ChatCompletion as SDKCompletion
from openai.types.chat import ChatCompletionChunk as SDKChunk

from jarvis_proxy.wire import chat_types as ours

CALL = ours.MessageToolCall(index=0, id="call_1", function=ours.FunctionPayload("f", "{}"))


def completion(message: ours.AssistantMessage) -> dict[str, Any]:
    choice = ours.CompletionChoice(0, message, None, "stop", native_finish_reason="STOP")
    answer = ours.ChatCompletion(
        id="chatcmpl-1", created=1, model="m", choices=[choice], usage=ours.ChatUsage(1, 2, 3)
    )
    decoded = json.loads(msgspec.json.encode(answer))
    assert isinstance(decoded, dict)
    return decoded


def chunk(delta: ours.Delta, **more: Any) -> dict[str, Any]:
    piece = ours.Chunk(
        id="chatcmpl-1", created=1, model="m", choices=[ours.ChunkChoice(0, delta)], **more
    )
    decoded = json.loads(msgspec.json.encode(piece))
    assert isinstance(decoded, dict)
    return decoded


def test_keys_of_an_answer_are_in_openais_order() -> None:
    answer = completion(ours.AssistantMessage(content=None, tool_calls=[CALL]))

    (choice,) = answer["choices"]
    assert list(answer) == [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
    ]
    assert list(choice) == ["index", "message", "logprobs", "finish_reason", "native_finish_reason"]
    assert list(choice["message"]) == ["role", "content", "tool_calls", "refusal", "annotations"]
    assert list(answer["usage"]) == [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ]


def test_keys_of_a_chunk_are_in_openais_order() -> None:
    piece = chunk(ours.Delta(tool_calls=[CALL]), usage=None, service_tier="default")

    (choice,) = piece["choices"]
    assert list(piece) == [
        "id",
        "object",
        "created",
        "model",
        "service_tier",
        "system_fingerprint",
        "choices",
        "usage",
    ]
    assert list(choice) == ["index", "delta", "logprobs", "finish_reason"]
    assert list(choice["delta"]["tool_calls"][0]) == ["index", "id", "type", "function"]


def test_absent_is_absent_and_null_is_null() -> None:
    piece = chunk(ours.Delta())

    assert piece["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}]
    assert "usage" not in piece
    assert chunk(ours.Delta(), usage=None)["usage"] is None


@pytest.mark.parametrize(
    "message",
    [
        ours.AssistantMessage(),
        ours.AssistantMessage(
            content=None, tool_calls=[ours.MessageToolCall(id="c", function=CALL.function)]
        ),
        ours.AssistantMessage(content=None, function_call=ours.FunctionPayload("f", "{}")),
        ours.AssistantMessage(audio=ours.Audio("a", "AAAA", 1, "")),
        ours.AssistantMessage(
            annotations=[ours.Annotation(url_citation=ours.URLCitation(2, 1, "t", "u"))]
        ),
    ],
)
def test_answers_are_valid_for_the_sdk(message: ours.AssistantMessage) -> None:
    parsed = SDKCompletion.model_validate(completion(message), strict=True)

    assert parsed.choices[0].message.role == "assistant"


@pytest.mark.parametrize(
    "delta",
    [
        ours.Delta(role="assistant", content=""),
        ours.Delta(reasoning_content="hm"),
        ours.Delta(tool_calls=[CALL]),
        ours.Delta(function_call=ours.FunctionPayload("f", "{}")),
        ours.Delta(audio=ours.Audio(data="AAAA")),
    ],
)
def test_chunks_are_valid_for_the_sdk(delta: ours.Delta) -> None:
    parsed = SDKChunk.model_validate(chunk(delta, usage=ours.ChatUsage()), strict=True)

    assert parsed.choices[0].index == 0


def test_a_custom_tool_call_is_the_sdks() -> None:
    call = ours.MessageToolCall(id="c", type="custom", custom=ours.CustomPayload("f", "text"))

    parsed = SDKCompletion.model_validate(
        completion(ours.AssistantMessage(tool_calls=[call])), strict=True
    )

    calls = parsed.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "custom"


def test_log_probabilities_are_the_sdks() -> None:
    token = ours.TokenLogprob("a", -0.5, [97], [ours.TopLogprob("a", -0.5, [97])])
    choice = ours.CompletionChoice(0, ours.AssistantMessage(), ours.Logprobs([token]), "stop")

    raw = json.loads(msgspec.json.encode(choice))

    assert list(raw["logprobs"]) == ["content", "refusal"]
    assert list(raw["logprobs"]["content"][0]) == ["token", "logprob", "bytes", "top_logprobs"]
