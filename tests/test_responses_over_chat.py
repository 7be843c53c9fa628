"""Responses clients on a service that has chat completions only, at the socket."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from tests.conftest import BEARER, KEY, Proxy
from tests.support.chat_service import MODEL, proxy_before
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, Received, chat_chunk
from tests.support.recordings import recordings
from tests.support.strict_chat import ANSWER, THOUGHT, Calls, StrictChat

pytestmark = pytest.mark.slow

Json = dict[str, Any]
Script = Callable[[Peer, Received], Awaitable[None]]

ROUNDS: list[Calls] = [
    [("get_weather", {"city": "Köln"}), ("get_weather", {"city": "Oslo"})],
    [("get_weather", {"city": "Rom"})],
]
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: Any = [{"type": "function", "name": "get_weather", "parameters": _PARAMETERS}]
SEALED: Any = {"include": ["reasoning.encrypted_content"], "store": False}
CODEX = [
    param
    for param in recordings("agents")
    if param.values[0] is None or "input" in (param.values[0]["body"] or {})
]


def sdk(proxy: Proxy) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)


async def respond(proxy: Proxy, items: Any, *, streamed: bool, **more: Any) -> Response:
    """Return the response that the official SDK makes of the answer."""
    async with sdk(proxy) as client:
        if not streamed:
            whole: Response = await client.responses.create(model=MODEL, input=items, **more)
            return whole
        async with client.responses.stream(model=MODEL, input=items, **more) as stream:
            response = await stream.get_final_response()
        return Response.model_validate(response.model_dump())


async def raw(proxy: Proxy, **fields: Any) -> RawResponse:
    body: Json = {"model": MODEL, "input": "Hi", "stream": True, **fields}
    return await fetch(proxy.port, "/v1/responses", body, BEARER)


def events_of(response: RawResponse) -> list[Json]:
    """Return the events of a stream, whose numbers have no gap."""
    assert response.status == 200, response.body
    lines = response.body.decode().splitlines()
    events: list[Json] = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def kinds(items: Any) -> list[str]:
    return [item.type for item in items]


@pytest.mark.parametrize("streamed", [False, True])
async def test_response_is_answered_in_chat_where_there_is_nothing_else(streamed: bool) -> None:
    service = StrictChat()
    upstream = service.running()
    async with proxy_before(service, upstream) as proxy:
        first = await respond(proxy, "How is the weather?", streamed=streamed)
        second = await respond(proxy, "And now?", streamed=streamed)

    for response in (first, second):
        assert response.output_text == ANSWER
        assert (response.status, response.model) == ("completed", MODEL)
        assert response.usage is not None
        assert (response.usage.input_tokens, response.usage.output_tokens) == (120, 30)
        assert response.usage.input_tokens_details.cached_tokens == 64
        assert response.usage.output_tokens_details.reasoning_tokens == 10
    assert [request.path for request in upstream.received] == [
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/chat/completions",
    ]


@pytest.mark.parametrize("streamed", [False, True])
async def test_loop_of_calls_passes_a_strict_service(streamed: bool) -> None:
    service = StrictChat(ROUNDS)
    items: list[Json] = [{"role": "user", "content": "How is the weather?"}]
    async with proxy_before(service) as proxy:
        for expected in ROUNDS:
            response = await respond(proxy, items, streamed=streamed, tools=TOOLS, **SEALED)
            assert kinds(response.output) == ["reasoning"] + ["function_call"] * len(expected)
            calls = [item for item in response.output if item.type == "function_call"]
            assert [(c.name, json.loads(c.arguments)) for c in calls] == expected
            items += [item.model_dump(exclude_none=True) for item in response.output]
            items += [
                {"type": "function_call_output", "call_id": call.call_id, "output": "21 °C"}
                for call in reversed(calls)
            ]
        response = await respond(proxy, items, streamed=streamed, tools=TOOLS, **SEALED)

    assert response.output_text == ANSWER
    assert service.refusals == []
    sent = service.bodies[-1]["messages"]
    assert [m.get("reasoning_content") for m in sent if m["role"] == "assistant"] == [THOUGHT] * 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("reasoning", "shown"), [({"summary": "auto"}, [THOUGHT]), ({}, [])])
async def test_thoughts_are_shown_as_a_summary_where_that_is_asked(
    streamed: bool, reasoning: Any, shown: list[str]
) -> None:
    async with proxy_before(StrictChat()) as proxy:
        sealed = await respond(proxy, "Hi", streamed=streamed, reasoning=reasoning, **SEALED)
        plain = await respond(proxy, "Hi", streamed=streamed, reasoning=reasoning)

    (item,) = [item for item in sealed.output if item.type == "reasoning"]
    assert [part.text for part in item.summary] == shown
    assert item.encrypted_content is not None
    assert item.encrypted_content.startswith("chat.deepseek:")
    found = [item for item in plain.output if item.type == "reasoning"]
    assert [part.text for item in found for part in item.summary] == shown
    assert [item.encrypted_content for item in found] == [None] * len(shown)


async def test_reasoning_that_came_unsealed_goes_back() -> None:
    service = StrictChat()
    items: list[Json] = [
        {"role": "user", "content": "How is the weather?"},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": THOUGHT}]},
        {"type": "function_call", "call_id": "a", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "21 °C"},
    ]
    async with proxy_before(service) as proxy:
        await respond(proxy, items, streamed=False, tools=TOOLS)

    assert service.refusals == []
    assert service.bodies[0]["messages"][1]["reasoning_content"] == THOUGHT


@pytest.mark.parametrize("streamed", [False, True])
async def test_calls_whose_reasoning_is_lost_are_no_dead_end(streamed: bool) -> None:
    service = StrictChat()
    call = {"type": "function_call", "call_id": "a", "name": "get_weather", "arguments": "{}"}
    items: list[Json] = [
        {"role": "user", "content": "How is the weather?"},
        call,
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call_output", "call_id": "a", "output": "21 °C"},
        {**call, "call_id": "interrupted"},
        {"role": "user", "content": "Go on."},
    ]
    async with proxy_before(service) as proxy:
        response = await respond(proxy, items, streamed=streamed, tools=TOOLS, **SEALED)

    assert response.output_text == ANSWER
    assert len(service.refusals) == len(service.bodies) == 1
    assert service.bodies[0]["thinking"] == {"type": "disabled"}
    said = [message["content"] for message in service.bodies[0]["messages"]]
    assert '{"error":"no result was provided for this tool call"}' in said


@pytest.mark.parametrize("streamed", [False, True])
async def test_tool_of_a_namespace_comes_back_under_its_own_name(streamed: bool) -> None:
    inner = {"type": "function", "name": "get_weather", "parameters": _PARAMETERS}
    tools: Any = [{"type": "namespace", "name": "mcp__wx", "description": "W.", "tools": [inner]}]
    service = StrictChat([[("mcp__wx__get_weather", {"city": "Oslo"})]])
    async with proxy_before(service) as proxy:
        response = await raw(proxy, tools=tools, stream=streamed)

    (sent,) = service.bodies[0]["tools"]
    assert sent["function"]["name"] == "mcp__wx__get_weather"
    if streamed:
        events = events_of(response)
        found = [event["item"] for event in events if event["type"].startswith("response.output_i")]
        found += events[-1]["response"]["output"]
    else:
        found = json.loads(response.body)["output"]
    calls = [item for item in found if item["type"] == "function_call"]
    assert {(call["name"], call.get("namespace")) for call in calls} == {("get_weather", "mcp__wx")}
    assert len(calls) == (3 if streamed else 1)


@pytest.mark.parametrize("streamed", [False, True])
async def test_custom_tool_comes_back_as_one(streamed: bool) -> None:
    service = StrictChat([[("apply_patch", {"input": "*** Begin Patch\n"})]])
    tools: Any = [{"type": "custom", "name": "apply_patch", "description": "Patches."}]
    async with proxy_before(service) as proxy:
        response = await respond(proxy, "Patch it.", streamed=streamed, tools=tools)

    (call,) = [item for item in response.output if item.type == "custom_tool_call"]
    assert (call.name, call.input) == ("apply_patch", "*** Begin Patch\n")


async def test_refused_schema_is_asked_for_in_words_and_remembered() -> None:
    service = StrictChat()
    form = {"type": "json_schema", "name": "place", "schema": _PARAMETERS}
    async with proxy_before(service) as proxy:
        for _ in range(2):
            await respond(proxy, "Where?", streamed=False, text={"format": form})

    assert len(service.refusals) == 1
    for body in service.bodies:
        assert body["response_format"] == {"type": "json_object"}
        assert '"city"' in body["messages"][0]["content"]


@pytest.mark.parametrize("recording", CODEX)
async def test_requests_of_agents_lose_nothing_but_the_search(
    recording: dict[str, Any],
) -> None:
    body = {**recording["body"], "model": MODEL, "stream": True}
    service = StrictChat()
    async with proxy_before(service) as proxy:
        response = await fetch(proxy.port, "/v1/responses", body, BEARER)

    events = events_of(response)
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"][-1]["content"][0]["text"] == ANSWER
    searches = [f"tools[{n}]" for n, t in enumerate(body["tools"]) if t["type"] == "web_search"]
    assert response.headers.get("x-jarvis-ignored", "") == ", ".join(searches)


@pytest.mark.parametrize("apis", ["", "chat"])
async def test_input_is_counted_where_the_service_cannot(apis: str) -> None:
    service = StrictChat()
    upstream = service.running()
    body: Json = {"model": MODEL, "input": "x" * 350}
    async with proxy_before(service, upstream, DEEPSEEK_APIS=apis) as proxy:
        for _ in range(2):
            response = await fetch(proxy.port, "/v1/responses/input_tokens", body, BEARER)
            assert json.loads(response.body) == {
                "object": "response.input_tokens",
                "input_tokens": 108,
            }
        compacted = await fetch(proxy.port, "/v1/responses/compact", body, BEARER)

    assert json.loads(compacted.body)["error"]["code"] == "unsupported_endpoint"
    asked = [request.path for request in upstream.received]
    assert asked == (["/v1/responses/input_tokens", "/v1/responses/compact"] if not apis else [])


# -- failures ------------------------------------------------------------------------------------


class Scripted(StrictChat):
    """Has no /responses, and plays *script* for a chat request."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script

    async def play(self, peer: Peer, request: Received) -> None:
        """Play the script where there is an endpoint."""
        if request.path.endswith("/chat/completions"):
            await self._script(peer, request)
        else:
            await super().play(peer, request)


def streaming(*events: bytes) -> Script:
    async def play(peer: Peer, request: Received) -> None:
        await peer.head()
        for event in events:
            await peer.chunk(event)
        await peer.last_chunk()

    return play


def error_event(**error: Any) -> bytes:
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (streaming(chat_chunk("Hel")), "server_error"),
        (streaming(chat_chunk("Hel"), b"data: [DONE]\n\n"), "server_error"),
        (
            streaming(chat_chunk("Hel"), error_event(message="Slow.", code="rate_limit_exceeded")),
            "rate_limit_exceeded",
        ),
        (
            streaming(chat_chunk("Hel"), error_event(message="prompt is too long", code=400)),
            "context_length_exceeded",
        ),
    ],
    ids=["cut", "done-too-early", "bug-20-error", "too-long"],
)
async def test_response_that_breaks_off_fails_in_its_own_words(script: Script, code: str) -> None:
    async with proxy_before(Scripted(script)) as proxy:
        events = events_of(await raw(proxy))
        with pytest.raises(openai.APIError):
            await respond(proxy, "Hi", streamed=True)

    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    failed = events[-1]["response"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)


async def test_words_of_the_upstreams_error_are_in_both_events() -> None:
    words = "The engine is reloading; try model small."
    script = streaming(chat_chunk("Hel"), error_event(message=words, code="reloading"))
    async with proxy_before(Scripted(script)) as proxy:
        error, failed = events_of(await raw(proxy))[-2:]

    assert words in error["message"]
    assert failed["response"]["error"]["message"] == error["message"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_prompt_that_is_too_long_is_reported_before_the_answer(streamed: bool) -> None:
    async def play(peer: Peer, request: Received) -> None:
        error = {"message": "prompt is too long: 210000 tokens > 200000 maximum", "code": None}
        await peer.reply(json.dumps({"error": error}).encode(), 400)

    async with proxy_before(Scripted(play)) as proxy:
        with pytest.raises(openai.BadRequestError) as caught:
            await respond(proxy, "Hi", streamed=streamed)

    assert caught.value.code == "context_length_exceeded"


async def test_answer_that_was_cut_short_is_incomplete() -> None:
    script = streaming(chat_chunk("Hel"), chat_chunk(None, "length"), b"data: [DONE]\n\n")
    async with proxy_before(Scripted(script)) as proxy:
        last = events_of(await raw(proxy))[-1]

    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["content"][0]["text"] == "Hel"


async def test_call_that_was_cut_is_never_reported_as_done() -> None:
    function = {"name": "get_weather", "arguments": '{"city":"K'}
    piece = {"index": 0, "id": "a", "type": "function", "function": function}
    delta = {"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None}
    script = streaming(chat_chunk(None, choices=[delta]), chat_chunk(None, "length"))
    async with proxy_before(Scripted(script)) as proxy:
        events = events_of(await raw(proxy, tools=TOOLS))

    assert "response.function_call_arguments.done" not in [event["type"] for event in events]
    (call,) = events[-1]["response"]["output"]
    assert (call["status"], call["arguments"]) == ("incomplete", '{"city":"K')


async def test_setting_decides_which_api_is_asked() -> None:
    service = StrictChat()
    upstream = service.running()
    async with proxy_before(service, upstream, DEEPSEEK_APIS="chat") as proxy:
        await respond(proxy, "Hi", streamed=True)
    assert [request.path for request in upstream.received] == ["/v1/chat/completions"]

    upstream = service.running()
    async with proxy_before(service, upstream, DEEPSEEK_APIS="chat,responses") as proxy:
        with pytest.raises(openai.NotFoundError):
            await respond(proxy, "Hi", streamed=True)
    assert [request.path for request in upstream.received] == ["/v1/responses"]


@pytest.mark.parametrize(
    ("part", "code"),
    [
        ({"type": "input_image", "file_id": "file-1"}, "invalid_file_id"),
        ({"type": "input_file", "file_data": "***"}, "invalid_file"),
        ({"type": "input_file", "file_url": "http://127.0.0.1:1/a.pdf"}, "invalid_file"),
    ],
)
async def test_file_that_cannot_be_sent_is_refused_and_nobody_is_asked(
    part: Json, code: str
) -> None:
    service = StrictChat()
    content = [{"type": "input_text", "text": "What is in it?"}, part]
    async with proxy_before(service, DEEPSEEK_APIS="chat", IMAGE_URLS="refuse") as proxy:
        response = await raw(proxy, input=[{"role": "user", "content": content}])

    error = response.error()
    assert (response.status, error["code"]) == (400, code)
    assert error["param"] == "input[0].content[1]"
    assert (service.bodies, service.refusals) == ([], [])
