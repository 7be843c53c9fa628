"""The official SDK on /v1/responses: plain, streamed, parsed, with tools, and failing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import ParsedResponse, Response
from pydantic import BaseModel

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.sdk_upstreams import BROKEN, SIGNATURE, TEXT, FakeGemini
from tests.support.strict_gemini import StrictGemini
from tests.test_tool_loops import FAMILIES

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MODEL = "gemini-3.5-flash"
TOOLS: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": False,
    }
]


class Scene:
    """A proxy with Gemini behind it, and the SDK in front."""

    def __init__(self, proxy: Proxy, gemini: FakeGemini) -> None:
        self.proxy = proxy
        self.gemini = gemini
        self.client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    gemini = FakeGemini()
    async with (
        gemini.upstream.running(),
        running_proxy(gemini=gemini.upstream.base_url) as proxy,
    ):
        scene = Scene(proxy, gemini)
        yield scene
        await scene.client.close()


async def test_plain_answer(scene: Scene) -> None:
    response = await scene.client.responses.create(
        model=MODEL, instructions="Be brief.", input="How is the weather?"
    )

    assert response.output_text == TEXT
    assert (response.status, response.model) == ("completed", MODEL)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (71, 105)
    assert response.usage.output_tokens_details.reasoning_tokens == 93
    (sent,) = scene.gemini.conversations
    assert sent["systemInstruction"] == {"parts": [{"text": "Be brief."}]}


async def test_streamed_answer(scene: Scene) -> None:
    text, kinds = "", []
    async for event in await scene.client.responses.create(model=MODEL, input="Hi", stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta

    assert text == TEXT
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


async def test_streaming_helper_gathers_the_response(scene: Scene) -> None:
    async with scene.client.responses.stream(model=MODEL, input="Hi") as stream:
        response = await stream.get_final_response()

    assert response.output_text == TEXT
    assert response.usage is not None


class Weather(BaseModel):
    city: str
    degrees: int


async def test_an_answer_is_parsed_into_the_client_s_type() -> None:
    async def play(peer: Peer, request: Received) -> None:
        text = '{"city":"Boston","degrees":21}'
        candidate = {"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
        await peer.reply(json.dumps({"candidates": [candidate]}).encode())

    upstream = RawUpstream(play, base_path="/v1beta")
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        response: ParsedResponse[Weather] = await client.responses.parse(
            model=MODEL, input="How is the weather?", text_format=Weather
        )
        await client.close()

    assert response.output_parsed == Weather(city="Boston", degrees=21)
    (request,) = (r for r in upstream.received if r.method == "POST")
    config = json.loads(request.body)["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["city", "degrees"]


async def ask(client: AsyncOpenAI, model: str, items: list[Json], **more: Any) -> Response:
    """Return the response, as the last event of a stream where one is asked for."""
    given: Any = items
    if not more.pop("streamed"):
        whole: Response = await client.responses.create(model=model, input=given, **more)
        return whole
    async with client.responses.stream(model=model, input=given, **more) as stream:
        response = await stream.get_final_response()
    return Response.model_validate(response.model_dump())


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("include", [[], ["reasoning.encrypted_content"]])
async def test_tools_over_two_turns(scene: Scene, include: list[str], *, streamed: bool) -> None:
    items: list[Json] = [{"role": "user", "content": "How is the weather?"}]
    more: Any = {"tools": TOOLS, "include": include, "store": False, "streamed": streamed}
    response = await ask(scene.client, MODEL, items, **more)
    items += [item.model_dump(exclude_none=True) for item in response.output]
    calls = [item for item in response.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Boston", "New Delhi"]
    items += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        for call in calls
    ]
    final = await ask(scene.client, MODEL, items, **more)

    assert final.output_text == TEXT
    made, results = scene.gemini.conversations[1]["contents"][-2:]
    assert [part["functionCall"]["id"] for part in made["parts"]] == ["dv8szvqe", "j80tal12"]
    assert [part.get("thoughtSignature") for part in made["parts"]] == [SIGNATURE, None]
    assert [part["functionResponse"]["id"] for part in results["parts"]] == ["dv8szvqe", "j80tal12"]


async def test_a_sealed_signature_survives_a_proxy_that_has_forgotten(scene: Scene) -> None:
    more: Any = {"tools": TOOLS, "include": ["reasoning.encrypted_content"], "streamed": False}
    items: list[Json] = [{"role": "user", "content": "How is the weather?"}]
    response = await ask(scene.client, MODEL, items, **more)
    items += [item.model_dump(exclude_none=True) for item in response.output]
    gemini = FakeGemini()
    async with gemini.upstream.running(), running_proxy(gemini=gemini.upstream.base_url) as fresh:
        client = AsyncOpenAI(base_url=fresh.url, api_key=KEY, max_retries=0)
        await ask(client, MODEL, items, **more)
        await client.close()

    made = gemini.conversations[0]["contents"][1]
    assert [part.get("thoughtSignature") for part in made["parts"]] == [SIGNATURE, None]


def as_sent(item: Json) -> Json:
    return item


def rebuilt(item: Json) -> Json:
    """Return a call as n8n and Home Assistant keep it: name, arguments and call id."""
    return {key: item[key] for key in ("type", "call_id", "name", "arguments")}


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize(("keep", "streamed"), [(as_sent, False), (rebuilt, True)])
async def test_three_steps_of_tools_pass_a_strict_gemini(
    model: str, keep: Any, *, streamed: bool
) -> None:
    gemini = StrictGemini()
    upstream = gemini.running()
    items: list[Json] = [{"role": "user", "content": "How is the weather in Boston and Delhi?"}]
    tools: Any = [
        {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}
        for name in ("get_weather", "get_forecast")
    ]
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        steps = []
        for _ in range(4):
            response = await ask(client, model, items, tools=tools, streamed=streamed)
            calls = [i.model_dump() for i in response.output if i.type == "function_call"]
            if not calls:
                break
            steps.append(len(calls))
            items += [keep(call) for call in calls]
            items += [
                {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
                for call in reversed(calls)
            ]
        await client.close()

    assert gemini.refusals == []
    assert steps == [2, 1]


# What Home Assistant (openai_conversation) and n8n (LangChain for JavaScript) send

HOME_ASSISTANT: Json = {
    "model": MODEL,
    "input": [
        {"type": "message", "role": "developer", "content": "You control a home."},
        {"type": "message", "role": "user", "content": "Turn on the light"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"type": "function_call", "name": "HassTurnOn", "arguments": '{"name":"light"}',
         "call_id": "call_a"},
        {"type": "function_call_output", "call_id": "call_a", "output": '{"success":true}'},
        {"type": "message", "role": "assistant", "content": "Done."},
        {"type": "message", "role": "user", "content": "Thanks"},
    ],
    "tools": [
        {"type": "function", "name": "HassTurnOn", "description": "Turns on", "strict": False,
         "parameters": {"type": "object", "properties": {"name": {"type": "string"}}}},
        {"type": "web_search", "search_context_size": "medium",
         "user_location": {"type": "approximate", "country": "DE"}},
    ],
    "max_output_tokens": 3000,
    "top_p": 1.0,
    "temperature": 1.0,
    "user": "01JABC",
    "store": False,
    "stream": True,
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"verbosity": "medium"},
    "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
}  # fmt: skip
N8N: Json = {
    "model": MODEL,
    "input": [
        {"type": "message", "role": "system", "content": "Be brief."},
        {"type": "message", "role": "user",
         "content": [{"type": "input_text", "text": "How is the weather?"},
                     {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=",
                      "detail": "auto"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "name": "calculator", "arguments": '{"input":"1"}',
         "call_id": "call_b", "status": "completed"},
        {"type": "function_call_output", "call_id": "call_b", "output": "1"},
    ],
    "tools": [
        {"type": "function", "name": "calculator", "description": "Calculates", "strict": None,
         "parameters": {"type": "object", "properties": {"input": {"type": "string"}},
                        "additionalProperties": False, "$schema": "http://json-schema.org/x#"}},
    ],
    "temperature": 0.7,
    "parallel_tool_calls": True,
    "stream": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("body", "roles", "ignored"),
    [
        (
            HOME_ASSISTANT,
            ["user", "model", "user", "model", "user"],
            "tools[1].search_context_size, tools[1].user_location, tools.server_side_history",
        ),
        (N8N, ["user", "model", "user"], ""),
    ],
    ids=["home-assistant", "n8n"],
)
async def test_what_clients_send_is_understood(
    scene: Scene, body: Json, roles: list[str], ignored: str
) -> None:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    raw = json.dumps(body).encode()
    response = await fetch(scene.proxy.port, "/v1/responses", raw, headers)

    assert response.status == 200
    assert b"event: response.completed\n" in response.body
    assert set(response.headers.get("x-jarvis-ignored", "").split(", ")) == set(ignored.split(", "))
    (sent,) = scene.gemini.conversations
    assert [content["role"] for content in sent["contents"]] == roles


# Failures


async def test_stream_that_breaks_off_raises_with_the_proxys_code(scene: Scene) -> None:
    kinds = []
    with pytest.raises(openai.APIError) as caught:  # noqa: PT012 - where in the stream is the point
        async for event in await scene.client.responses.create(
            model=MODEL, input=BROKEN, stream=True
        ):
            kinds.append(event.type)

    assert caught.value.code == "upstream_truncated"
    assert kinds[-1] == "response.output_text.delta"


async def test_stored_state_is_refused_with_what_to_do(scene: Scene) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await scene.client.responses.create(
            model=MODEL, input="Hi", previous_response_id="resp_123"
        )

    assert caught.value.param == "previous_response_id"
    assert "whole conversation" in str(caught.value)
    assert scene.gemini.conversations == []


async def test_long_silence_is_filled_with_events_that_every_client_accepts() -> None:
    silent = asyncio.Event()

    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        part = b'data: {"candidates":[{"content":{"parts":[{"text":"a"}]}%b}]}\r\n\r\n'
        await peer.chunk(part % b"")
        await silent.wait()
        await peer.chunk(part % b',"finishReason":"STOP"')
        await peer.last_chunk()

    upstream = RawUpstream(play, base_path="/v1beta")
    async with (
        upstream.running(),
        running_proxy(gemini=upstream.base_url, HEARTBEAT_INTERVAL="0.1") as proxy,
    ):
        # As the SDK for JavaScript, whose users have watchdogs that count events only.
        client = AsyncOpenAI(
            base_url=proxy.url,
            api_key=KEY,
            max_retries=0,
            default_headers={"x-stainless-lang": "js"},
        )
        events, kinds = [], list[str]()
        async for event in await client.responses.create(
            model=MODEL, instructions="long " * 1000, input="Hi", stream=True
        ):
            events.append(event)
            kinds.append(event.type)
            if kinds[-1] == "keepalive":
                silent.set()
        await client.close()

    assert kinds.count("response.created") == 1
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "aa"


async def test_built_in_model_answers_here_too() -> None:
    async with running_proxy(OPENAI_API_KEY="", GEMINI_API_KEY="") as proxy:
        client = AsyncOpenAI(base_url=proxy.url, api_key=KEY, max_retries=0)
        plain = await client.responses.create(model="jarvis-echo", input="Hello there")
        async with client.responses.stream(model="jarvis-echo", input="Hello there") as stream:
            response = await stream.get_final_response()
        await client.close()

    assert plain.output_text == response.output_text == "Hello there"
