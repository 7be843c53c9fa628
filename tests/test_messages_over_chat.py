"""Messages clients on a service that has chat completions only, at the socket."""

import json
from typing import Any

import pytest

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.chat_service import MODEL, proxy_before
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk, completion
from tests.support.strict_chat import ANSWER, THOUGHT, Calls, StrictChat

Json = dict[str, Any]

ROUNDS: list[Calls] = [
    [("get_weather", {"city": "Köln"}), ("get_weather", {"city": "Oslo"})],
    [("get_forecast", {})],
]
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [
    {"name": "get_weather", "description": "Tells it.", "input_schema": _PARAMETERS},
    {"name": "get_forecast", "input_schema": {"type": "object"}},
]


def events_of(stream: bytes) -> list[Json]:
    """Return the data of each event."""
    lines = stream.decode().splitlines()
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def message_of(events: list[Json]) -> Json:
    """Return the message that a stream of Messages events makes, as Anthropic's SDK builds it."""
    message: Json = events[0]["message"]
    blocks: list[Json] = message["content"]
    partial = ""
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
            partial = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            match delta["type"]:
                case "text_delta":
                    blocks[-1]["text"] += delta["text"]
                case "thinking_delta":
                    blocks[-1]["thinking"] += delta["thinking"]
                case "signature_delta":
                    blocks[-1]["signature"] += delta["signature"]
                case "input_json_delta":
                    partial += delta["partial_json"]
        elif event["type"] == "content_block_stop" and blocks[-1]["type"] == "tool_use":
            blocks[-1]["input"] = json.loads(partial or "{}")
        elif event["type"] == "message_delta":
            message |= {**event["delta"], "usage": event["usage"]}
    return message


async def ask(proxy: Proxy, messages: list[Json], *, stream: bool, **more: Any) -> Json:
    """Return the message that answers *messages*."""
    body: Json = {
        "model": MODEL,
        "max_tokens": 1000,
        "stream": stream,
        "thinking": {"type": "adaptive", "display": "summarized"},
        "system": "Be brief.",
        "tools": TOOLS,
        "messages": messages,
        **more,
    }
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    response = await fetch(proxy.port, "/v1/messages", body, headers)
    assert response.status == 200, response.body
    if not stream:
        whole: Json = json.loads(response.body)
        return whole
    return message_of(events_of(response.body))


@pytest.mark.parametrize("stream", [False, True])
async def test_messages_client_finishes_a_loop_of_calls(stream: bool) -> None:
    service = StrictChat(ROUNDS)
    messages: list[Json] = [{"role": "user", "content": "How is the weather?"}]
    async with proxy_before(service) as proxy:
        for expected in ROUNDS:
            message = await ask(proxy, messages, stream=stream)
            calls = [block for block in message["content"] if block["type"] == "tool_use"]
            assert [(call["name"], call["input"]) for call in calls] == expected
            assert message["content"][0]["thinking"] == THOUGHT
            assert message["stop_reason"] == "tool_use"
            results = [
                {"type": "tool_result", "tool_use_id": call["id"], "content": "21 °C"}
                for call in reversed(calls)
            ]
            messages += [
                {"role": "assistant", "content": message["content"]},
                {"role": "user", "content": results},
            ]
        message = await ask(proxy, messages, stream=stream)

    assert message["content"][-1] == {"type": "text", "text": ANSWER}
    assert message["stop_reason"] == "end_turn"
    assert message["usage"]["input_tokens"] == 56
    assert message["usage"]["cache_read_input_tokens"] == 64
    assert message["usage"]["output_tokens"] == 30
    assert service.refusals == []
    reasoning = [m.get("reasoning_content") for m in service.bodies[-1]["messages"]]
    assert reasoning == [None, None, THOUGHT, None, None, THOUGHT, None]


@pytest.mark.parametrize("stream", [False, True])
async def test_lost_reasoning_is_no_dead_end(stream: bool) -> None:
    service = StrictChat()
    call = {"type": "tool_use", "id": "a", "name": "get_weather", "input": {"city": "Oslo"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "sunny"}
    history: list[Json] = [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    async with proxy_before(service) as proxy:
        message = await ask(proxy, history, stream=stream)

    assert message["content"][-1]["text"] == ANSWER
    assert len(service.refusals) == 1
    assert service.bodies[0]["thinking"] == {"type": "disabled"}
    assert len(service.bodies) == 1


async def test_refused_wish_costs_only_one_request() -> None:
    service = StrictChat()
    choice = {"type": "any"}
    async with proxy_before(service) as proxy:
        messages: list[Json] = [{"role": "user", "content": "Hi"}]
        first = await ask(proxy, messages, stream=False, tool_choice=choice)

    assert first["content"][-1]["text"] == ANSWER
    assert len(service.refusals) == 1
    assert service.bodies[0]["tool_choice"] == "auto"


@pytest.mark.slow
async def test_pings_do_not_hide_an_upstream_that_is_dead() -> None:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        await peer.chunk(chat_chunk("Hel"))
        await peer.closed()

    body: Json = {"model": MODEL, "max_tokens": 9, "stream": True, "messages": []}
    body["messages"].append({"role": "user", "content": "Hi"})
    upstream = RawUpstream(play)
    fast = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1", "IDLE_TIMEOUT": "0.6"}
    async with proxy_before(StrictChat(), upstream, **fast) as proxy:
        response = await fetch(proxy.port, "/v1/messages", body, {"x-api-key": KEY})

    kinds = [event["type"] for event in events_of(response.body)]
    assert kinds.count("ping") >= 2
    assert kinds[-1] == "error"
    assert "message_stop" not in kinds


@pytest.mark.parametrize(
    ("model", "sent", "ignored"),
    [
        (
            "gpt-4.1",
            {
                "max_completion_tokens": 9,
                "stop": ["a", "b", "c", "d"],
                "parallel_tool_calls": False,
            },
            {"top_k", "stop_sequences"},
        ),
        ("llama-3", {"max_tokens": 9, "stop": list("abcde"), "top_k": 5}, {""}),
    ],
)
async def test_openais_models_behind_a_gateway_get_openais_parameters(
    model: str, sent: Json, ignored: set[str]
) -> None:
    async def answer(peer: Peer, request: Received) -> None:
        await peer.reply(completion())

    gateway = RawUpstream(answer)
    body: Json = {
        "model": model,
        "max_tokens": 9,
        "stop_sequences": list("abcde"),
        "top_k": 5,
        "tools": TOOLS,
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "messages": [{"role": "user", "content": "?"}],
    }
    async with gateway.running(), running_proxy(gateway.base_url) as proxy:
        response = await fetch(proxy.port, "/v1/messages", body, {"x-api-key": KEY})

    (seen,) = [json.loads(r.body) for r in gateway.received if r.method == "POST"]
    names = ("max_tokens", "max_completion_tokens", "stop", "top_k", "parallel_tool_calls")
    assert {name: seen[name] for name in names if name in seen} == sent
    assert set(response.headers.get("x-jarvis-ignored", "").split(", ")) == ignored
