"""Chat and Responses clients on Claude models, with OpenAI's SDK against a strict Anthropic."""

import json
from collections.abc import Callable
from typing import Any, cast

import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.anthropic_service import ANSWER, StrictAnthropic
from tests.support.raw_upstream import Peer, RawUpstream, Received

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MODELS = ["claude-opus-4-8", "claude-opus-4-6", "claude-sonnet-4-5", "claude-sonnet-4-0"]


def function(name: str, **properties: str) -> ChatCompletionFunctionToolParam:
    schema: Json = {"type": "object", "properties": {n: {"type": t} for n, t in properties.items()}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


TOOLS = [function("get_weather", city="string"), function("get_forecast", days="integer")]


def sdk(proxy: Proxy) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)


async def whole(client: AsyncOpenAI, model: str, messages: list[Json]) -> Json:
    answer = await client.chat.completions.create(
        model=model,
        messages=cast("list[ChatCompletionMessageParam]", messages),
        tools=TOOLS,
        reasoning_effort="medium",
    )
    return answer.choices[0].message.model_dump(exclude_none=True)


async def streamed(client: AsyncOpenAI, model: str, messages: list[Json]) -> Json:
    """Accumulate a stream as clients do: texts joined, calls by their index."""
    calls: dict[int, Json] = {}
    text, blocks = "", []
    async for chunk in await client.chat.completions.create(
        model=model,
        messages=cast("list[ChatCompletionMessageParam]", messages),
        tools=TOOLS,
        reasoning_effort="medium",
        stream=True,
    ):
        delta = chunk.choices[0].delta
        text += delta.content or ""
        blocks += (delta.model_extra or {}).get("thinking_blocks", [])
        for call in delta.tool_calls or []:
            kept = calls.setdefault(call.index, {"id": "", "type": "function", "function": {}})
            kept["id"] += call.id or ""
            assert call.function is not None
            for name, value in call.function.model_dump(exclude_none=True).items():
                kept["function"][name] = kept["function"].get(name, "") + value
    message: Json = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    if blocks:
        message["thinking_blocks"] = blocks
    return message


def as_sent(message: Json) -> Json:
    """Return the message as a client that keeps what it does not know."""
    return message


def rebuilt(message: Json) -> Json:
    """Return the message as a framework that keeps text and calls only."""
    calls = {"tool_calls": message["tool_calls"]} if "tool_calls" in message else {}
    return {"role": "assistant", "content": message.get("content"), **calls}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("ask", [whole, streamed])
@pytest.mark.parametrize("kept", [as_sent, rebuilt])
async def test_three_steps_of_tools_pass_a_strict_anthropic(
    model: str, ask: Callable[..., Any], kept: Callable[[Json], Json]
) -> None:
    service = StrictAnthropic()
    messages: list[Json] = [
        {"role": "system", "content": "Use the tools."},
        {"role": "user", "content": "How is the weather in Boston and Delhi?"},
    ]
    async with (
        service.upstream.running(),
        running_proxy(**service.env()) as proxy,
        sdk(proxy) as client,
    ):
        steps = []
        message: Json = {}
        for _ in range(4):
            message = await ask(client, model, messages)
            if not message.get("tool_calls"):
                break
            steps.append(len(message["tool_calls"]))
            messages.append(kept(message))
            for call in reversed(message["tool_calls"]):
                said = f"sunny, {call['function']['arguments']}"
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})

    assert service.refusals == []
    assert steps == [2, 1]
    assert message["content"] == ANSWER
    last = [block for turn in service.bodies[-1]["messages"] for block in turn["content"]]
    returned = [block for block in last if block["type"] == "thinking"]
    assert returned == (service.issued[:2] if kept is as_sent else [])


async def test_usage_has_what_caches_gave_and_took() -> None:
    service = StrictAnthropic()
    async with (
        service.upstream.running(),
        running_proxy(**service.env()) as proxy,
        sdk(proxy) as client,
    ):
        answer = await client.chat.completions.create(
            model="claude-opus-4-8", messages=[{"role": "user", "content": "hi"}]
        )
        usage = answer.usage
        used = await client.get("/usage", cast_to=object)

    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (57, 9)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 30
    total = cast("Json", used)["total"]
    assert (total["cached_tokens"], total["cache_write_tokens"]) == (30, 7)
    # Opus: $5 a million, a tenth for what was read, 1.25 times that for what was written.
    expected = (20 * 5 + 30 * 0.5 + 7 * 6.25 + 9 * 25) / 1e6
    assert total["cost_usd"] == pytest.approx(expected, rel=1e-6)


async def test_a_responses_client_gets_its_thinking_back_to_anthropic() -> None:
    service = StrictAnthropic()
    tools: Any = [{"type": "function", **tool["function"], "strict": False} for tool in TOOLS]
    items: list[Any] = [{"role": "user", "content": "How is the weather in Boston and Delhi?"}]
    async with (
        service.upstream.running(),
        running_proxy(**service.env()) as proxy,
        sdk(proxy) as client,
    ):
        text = ""
        for _ in range(3):
            response = await client.responses.create(
                model="claude-opus-4-8",
                input=items,
                tools=tools,
                store=False,
                include=["reasoning.encrypted_content"],
                reasoning={"effort": "high", "summary": "auto"},
            )
            items += [item.model_dump(exclude_none=True) for item in response.output]
            calls = [item for item in response.output if item.type == "function_call"]
            items += [
                {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
                for call in calls
            ]
            text = response.output_text

    assert service.refusals == []
    assert text == ANSWER
    last = [block for turn in service.bodies[-1]["messages"] for block in turn["content"]]
    assert [block for block in last if block["type"] == "thinking"] == service.issued[:2]


async def test_a_refused_signature_is_asked_again_without_thinking() -> None:
    service = StrictAnthropic()
    foreign = {"type": "thinking", "thinking": "Hm.", "signature": "of-another-service"}
    messages: list[Any] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello", "thinking_blocks": [foreign]},
        {"role": "user", "content": "and now?"},
    ]
    async with (
        service.upstream.running(),
        running_proxy(**service.env()) as proxy,
        sdk(proxy) as client,
    ):
        answer = await client.chat.completions.create(model="claude-opus-4-8", messages=messages)

    assert answer.choices[0].message.content == ANSWER
    assert service.refusals == ["Invalid `signature` in `thinking` block"]
    assert len(service.bodies) == 2


def paused(number: int) -> bytes:
    """Return a stream that pauses after its text, but for the last one."""
    reason = "pause_turn" if number < 3 else "end_turn"
    usage = {"input_tokens": 10, "output_tokens": 1}
    events: list[Json] = [
        {"type": "message_start", "message": {"id": f"msg_{number}", "usage": usage}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": f"part {number} "},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


async def test_a_paused_answer_goes_on_in_the_same_stream() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"data":[]}')
            return
        await peer.head()
        await peer.chunk(paused(len([r for r in upstream.received if r.method == "POST"])))
        await peer.last_chunk()

    upstream = RawUpstream(play)
    tools: Any = [{"type": "web_search"}]
    async with upstream.running():
        env = {
            "ANTHROPIC_API_KEY": "sk-ant-test-0123456789",
            "ANTHROPIC_BASE_URL": upstream.base_url,
        }
        async with running_proxy(**env) as proxy, sdk(proxy) as client:
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(
                    model="claude-opus-4-8",
                    messages=[{"role": "user", "content": "search"}],
                    tools=tools,
                    stream=True,
                    stream_options={"include_usage": True},
                )
            ]
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    bodies = [json.loads(r.body) for r in upstream.received if r.method == "POST"]

    assert said == "part 1 part 2 part 3 "
    assert [len(body["messages"]) for body in bodies] == [1, 2, 2]
    assert [block["text"] for block in bodies[2]["messages"][1]["content"]] == [
        "part 1 ",
        "part 2 ",
    ]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (30, 15)


async def test_what_anthropic_refuses_is_reported_with_the_clients_words() -> None:
    async def play(peer: Peer, request: Received) -> None:
        words = "prompt is too long: 207791 tokens > 200000 maximum"
        error = {"type": "invalid_request_error", "message": words}
        await peer.reply(json.dumps({"type": "error", "error": error}).encode(), 400)

    upstream = RawUpstream(play)
    async with upstream.running():
        env = {
            "ANTHROPIC_API_KEY": "sk-ant-test-0123456789",
            "ANTHROPIC_BASE_URL": upstream.base_url,
        }
        async with running_proxy(**env) as proxy, sdk(proxy) as client:
            with pytest.raises(BadRequestError) as caught:
                await client.chat.completions.create(
                    model="claude-opus-4-8", messages=[{"role": "user", "content": "hi"}]
                )

    assert caught.value.code == "context_length_exceeded"
    assert "207791" in caught.value.message
