"""Tool loops with the official SDK against a Gemini that refuses what Google refuses."""

import json
import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from tests.conftest import KEY, running_proxy
from tests.support.strict_gemini import StrictGemini

pytestmark = pytest.mark.slow

Json = dict[str, Any]
FAMILIES = [
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-3-flash-preview",
    "gemini-3.1-pro-preview",
    "gemini-3.8-flash",
]


def function(name: str, **properties: str) -> ChatCompletionFunctionToolParam:
    schema: Json = {"type": "object", "properties": {n: {"type": t} for n, t in properties.items()}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [function("get_weather", city="string"), function("get_forecast", days="integer")]


def as_sent(message: Json) -> Json:
    """Return the message as a client that keeps what it does not know."""
    return message


def rebuilt(message: Json) -> Json:
    """Return the message as a framework that keeps id, type and function only."""
    calls = [
        {"id": call["id"], "type": "function", "function": call["function"]}
        for call in message.get("tool_calls", [])
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def mangled(message: Json) -> Json:
    """Return the message as OpenClaw does: ids stripped to letters and digits, cut to 40."""
    kept = rebuilt(message)
    for call in kept["tool_calls"]:
        call["id"] = re.sub(r"[^A-Za-z0-9]", "", call["id"])[:40]
    return kept


async def whole(client: AsyncOpenAI, model: str, messages: list[Json]) -> Json:
    answer = await client.chat.completions.create(
        model=model,
        messages=cast("list[ChatCompletionMessageParam]", messages),
        tools=TOOLS,
    )
    return answer.choices[0].message.model_dump(exclude_none=True)


async def streamed(client: AsyncOpenAI, model: str, messages: list[Json]) -> Json:
    """Accumulate a stream as clients do: by the index of each call."""
    calls: dict[int, Json] = {}
    text = ""
    async for chunk in await client.chat.completions.create(
        model=model,
        messages=cast("list[ChatCompletionMessageParam]", messages),
        tools=TOOLS,
        stream=True,
    ):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        for call in delta.tool_calls or []:
            kept = calls.setdefault(call.index, {"id": "", "type": "function", "function": {}})
            kept["id"] += call.id or ""
            assert call.function is not None
            for name, value in call.function.model_dump(exclude_none=True).items():
                kept["function"][name] = kept["function"].get(name, "") + value
            extra = (call.model_extra or {}).get("extra_content")
            if extra:
                kept["extra_content"] = extra
    message: Json = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("kept", [as_sent, rebuilt, mangled])
async def test_three_steps_of_tools_pass_a_strict_gemini(
    model: str, ask: Callable[..., Any], kept: Callable[[Json], Json]
) -> None:
    gemini = StrictGemini()
    upstream = gemini.running()
    messages: list[Json] = [
        {"role": "system", "content": "Use the tools."},
        {"role": "user", "content": "How is the weather in Boston and Delhi?"},
    ]
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        steps = []
        for _ in range(4):
            message = await ask(client, model, messages)
            if not message.get("tool_calls"):
                break
            steps.append(len(message["tool_calls"]))
            messages.append(kept(message))
            for call in reversed(messages[-1]["tool_calls"]):
                city = json.loads(call["function"]["arguments"]).get("city", "-")
                messages.append(
                    {"role": "tool", "tool_call_id": call["id"], "content": f"sunny in {city}"}
                )
        await client.close()

    assert gemini.refusals == []
    assert steps == [2, 1]
    assert message["content"].startswith("It is 21 degrees")
    assert gemini.sentinels == 0
    assert gemini.real_signatures == (0 if model.startswith("gemini-2") else 3)


@pytest.mark.parametrize("model", FAMILIES)
async def test_history_of_another_provider_passes_with_the_placeholder(model: str) -> None:
    gemini = StrictGemini()
    upstream = gemini.running()
    call = {"name": "get_weather", "arguments": '{"city": "Boston"}'}
    messages: list[Json] = [
        {"role": "user", "content": "How is the weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "toolu_01A", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "toolu_01A", "content": '["array", 1]'},
        {"role": "assistant", "content": "Sunny. More?"},
    ]
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)
        message = await whole(client, model, [*messages[:3]])
        await whole(client, model, messages)
        await client.close()

    assert gemini.refusals == []
    assert message["tool_calls"][0]["function"]["name"] == "get_forecast"
    assert (gemini.sentinels > 0) == (not model.startswith("gemini-2"))


@pytest.mark.parametrize("model", FAMILIES)
async def test_every_parameter_at_once_is_not_refused(model: str) -> None:
    gemini = StrictGemini()
    upstream = gemini.running()
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        answer = await client.chat.completions.with_raw_response.create(
            model=model,
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "One."},
                {"role": "user", "content": [{"type": "text", "text": "Two."}]},
                {"role": "assistant", "content": "The answer"},
            ],
            tools=TOOLS,
            tool_choice="auto",
            parallel_tool_calls=False,
            temperature=0.3,
            top_p=0.9,
            n=2,
            max_tokens=128_000,
            max_completion_tokens=200_000,
            stop=["END", ""],
            seed=2**40,
            presence_penalty=0.5,
            frequency_penalty=0.5,
            logprobs=True,
            top_logprobs=3,
            logit_bias={"1": 2},
            reasoning_effort="minimal",
            verbosity="low",
            store=True,
            metadata={"a": "b"},
            user="someone",
            service_tier="auto",
            prompt_cache_key="k",
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "x",
                    "strict": True,
                    "schema": {"type": "object", "properties": {"a": {"const": 1}}},
                },
            },
        )
        await client.close()

    assert gemini.refusals == []
    assert len(answer.parse().choices) == 2
    ignored = answer.headers["x-jarvis-ignored"]
    assert {"presence_penalty", "frequency_penalty", "logit_bias"} <= set(ignored.split(", "))
