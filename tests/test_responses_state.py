"""RESPONSES_STATE=id at the socket: clients that continue by the id of the last response."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.responses import Response

from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.anthropic_service import StrictAnthropic
from tests.support.chat_service import proxy_before
from tests.support.raw_client import RawConnection, connect, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received, chat_chunk
from tests.support.strict_chat import ANSWER, StrictChat
from tests.support.strict_gemini import StrictGemini

pytestmark = pytest.mark.slow

Json = dict[str, Any]
STATE: Any = {"RESPONSES_STATE": "id"}
OTHER_KEY = "other-key-0123456789abcdef"
CHAT, GEMINI, CLAUDE = "deepseek-chat", "gemini-3.5-flash", "claude-sonnet-4-5"


def tool(name: str, field: str) -> Json:
    properties = {"type": "object", "properties": {field: {"type": "string"}}}
    return {"type": "function", "name": name, "parameters": properties, "strict": False}


TOOLS: Any = [tool("get_weather", "city"), tool("get_forecast", "days")]


def sdk(proxy: Proxy, key: str = KEY) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=key, max_retries=0)


async def respond(
    client: AsyncOpenAI, model: str, given: Any, *, streamed: bool, **more: Any
) -> Response:
    if not streamed:
        whole: Response = await client.responses.create(model=model, input=given, **more)
        return whole
    async with client.responses.stream(model=model, input=given, **more) as stream:
        final = await stream.get_final_response()
    return Response.model_validate(final.model_dump())


async def loop(proxy: Proxy, model: str, *, streamed: bool) -> tuple[list[int], Response]:
    """Play a loop of tools in which each step sends results only, as Agent Framework does."""
    steps: list[int] = []
    async with sdk(proxy) as client:
        given: Any = "How is the weather in Boston and Delhi?"
        previous: Any = openai.omit
        for _ in range(5):
            response = await respond(
                client, model, given, streamed=streamed, tools=TOOLS, previous_response_id=previous
            )
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                break
            steps.append(len(calls))
            previous = response.id
            given = [
                {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
                for call in calls
            ]
    return steps, response


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_loop_of_tools_on_a_chat_service(streamed: bool) -> None:
    """The service demands its reasoning back, which the client has not even asked for."""
    rounds: Any = [
        [("get_weather", {"city": "Köln"}), ("get_weather", {"city": "Oslo"})],
        [("get_weather", {"city": "Rom"})],
    ]
    service = StrictChat(rounds)
    async with proxy_before(service, **STATE) as proxy:
        steps, response = await loop(proxy, CHAT, streamed=streamed)

    assert service.refusals == []
    assert steps == [2, 1]
    assert response.status == "completed"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_loop_of_tools_on_gemini(streamed: bool) -> None:
    google = StrictGemini()
    upstream = google.running()
    async with upstream.running(), running_proxy(gemini=upstream.base_url, **STATE) as proxy:
        steps, response = await loop(proxy, GEMINI, streamed=streamed)

    assert google.refusals == []
    assert steps == [2, 1]
    assert response.status == "completed"
    assert google.sentinels == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_loop_of_tools_on_claude(streamed: bool) -> None:
    service = StrictAnthropic()
    async with service.upstream.running(), running_proxy(**service.env(), **STATE) as proxy:
        steps, response = await loop(proxy, CLAUDE, streamed=streamed)

    assert service.refusals == []
    assert steps
    assert response.status == "completed"


@pytest.mark.parametrize("streamed", [False, True])
async def test_references_in_place_of_items_are_understood(streamed: bool) -> None:
    """As the Vercel AI SDK sends messages and reasoning; calls it sends whole."""
    service = StrictChat([[("get_weather", {"city": "Rom"})]])
    given: list[Json] = [{"role": "user", "content": "How is the weather?"}]
    kinds = []
    async with proxy_before(service, **STATE) as proxy, sdk(proxy) as client:
        for _ in range(3):
            response = await respond(client, CHAT, given, streamed=streamed, tools=TOOLS)
            kinds.append([item.type for item in response.output])
            for item in response.output:
                if item.type == "function_call":
                    given.append(item.model_dump(exclude_none=True))
                    given.append(
                        {"type": "function_call_output", "call_id": item.call_id, "output": "21"}
                    )
                else:
                    given.append({"type": "item_reference", "id": item.id})
            if kinds[-1][-1] == "message":
                given.append({"role": "user", "content": "And now?"})

    assert service.refusals == []
    assert kinds[0] == ["reasoning", "function_call"]
    assert kinds[1][-1] == "message"
    assert kinds[2] == kinds[0]
    (said,) = (m for m in service.bodies[-1]["messages"] if m.get("content") == ANSWER)
    assert said["role"] == "assistant"


async def test_a_stream_that_waits_says_each_text_in_one_piece() -> None:
    async with proxy_before(StrictChat(), **STATE) as proxy, sdk(proxy) as client:
        stream = await client.responses.create(model=CHAT, input="Hi", stream=True)
        events = [event async for event in stream]

    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [event.delta for event in deltas] == [ANSWER]
    final = events[-1]
    assert final.type == "response.completed"
    ids = {event.item_id for event in deltas}
    assert ids == {item.id for item in final.response.output if item.type == "message"}
    assert [event.sequence_number for event in events] == list(range(len(events)))


async def test_another_process_goes_on_for_nothing_is_kept_here() -> None:
    service = StrictChat([[("get_weather", {"city": "Rom"})]])
    async with proxy_before(service, **STATE) as proxy, sdk(proxy) as client:
        first = await respond(client, CHAT, "Weather?", streamed=True, tools=TOOLS)
    (call,) = (item for item in first.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    async with proxy_before(service, **STATE) as proxy, sdk(proxy) as client:
        second = await respond(
            client, CHAT, [result], streamed=False, tools=TOOLS, previous_response_id=first.id
        )

    assert service.refusals == []
    assert second.status == "completed"


async def ids_of(proxy: Proxy, headers: Json, **more: Any) -> list[str]:
    """Return the ids in a stream's events, in their order."""
    async with sdk(proxy) as client:
        stream = await client.responses.create(
            model=CHAT, input="Hi", stream=True, extra_headers=headers, **more
        )
        return [event.response.id async for event in stream if hasattr(event, "response")]


async def test_a_stream_has_one_id_for_sdks_raise_at_another() -> None:
    async with proxy_before(StrictChat(), **STATE) as proxy:
        first, *others = await ids_of(proxy, {})
        async with sdk(proxy) as client:
            more = await respond(client, CHAT, "And?", streamed=True, previous_response_id=first)

    assert first.startswith("resp_s1_")
    assert set(others) == {first}
    assert more.status == "completed"


TAKES_LAST = [
    {"User-Agent": "agent-framework-python/1.23.0 AsyncOpenAI/Python 3.54.0"},
    {"User-Agent": "Agents/Python 0.9.0"},
    {"x-stainless-lang": "js"},
]


@pytest.mark.parametrize("headers", TAKES_LAST, ids=str)
async def test_clients_that_take_the_last_id_find_it_there(headers: Json) -> None:
    async with proxy_before(StrictChat(), **STATE) as proxy:
        first, *_, last = await ids_of(proxy, headers)
        error = await refused(proxy, KEY, first)
        async with sdk(proxy) as client:
            more = await respond(client, CHAT, "And?", streamed=True, previous_response_id=last)

    assert len(first) < 64
    assert error.code == "previous_response_not_found"
    assert "response.completed" in error.message
    assert more.status == "completed"


async def test_agent_framework_gets_one_id_where_it_uses_the_sdks_helper() -> None:
    text = {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}}
    async with proxy_before(StrictChat(), **STATE) as proxy:
        ids = await ids_of(proxy, TAKES_LAST[0], text=text)

    assert len(set(ids)) == 1
    assert ids[0].startswith("resp_s1_")


class SlowChat:
    """A chat service that says one word, and the rest when it is allowed to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.upstream = RawUpstream(self._play)

    async def _play(self, peer: Peer, request: Received) -> None:
        if not request.path.endswith("/chat/completions"):
            await peer.reply(b'{"detail":"Not Found"}', 404)
            return
        await peer.head()
        await peer.chunk(chat_chunk("Hello"))
        await self.go_on.wait()
        await peer.chunk(chat_chunk(" you", "stop") + b"data: [DONE]\n\n")
        await peer.last_chunk()


async def until(connection: RawConnection, mark: bytes) -> bytes:
    """Return what comes up to the chunk with *mark*."""
    data = b""
    while mark not in data:
        chunk = await connection.chunk()
        assert chunk, data
        data += chunk
    return data


SLOW: Any = {"COMMIT_AFTER": "0.1", "HEARTBEAT_INTERVAL": "0.1", **STATE}


@pytest.mark.parametrize(
    ("headers", "mark"),
    [({}, b": keep"), (TAKES_LAST[0], b"Hello"), (TAKES_LAST[2], b"Hello")],
    ids=["waits", "agent-framework", "js"],
)
async def test_what_a_client_sees_while_the_answer_is_not_complete(
    headers: Json, mark: bytes
) -> None:
    service = SlowChat()
    env: Any = {
        "UPSTREAMS": "deepseek",
        "DEEPSEEK_MODELS": "deepseek-*",
        "DEEPSEEK_API_KEY": "none",
    }
    body = json.dumps({"model": CHAT, "input": "Hi", "stream": True}).encode()
    all_headers = {**BEARER, "Content-Type": "application/json", **headers}
    async with (
        service.upstream.running() as upstream,
        running_proxy(DEEPSEEK_BASE_URL=upstream.base_url, **env, **SLOW) as proxy,
        connect(proxy.port) as connection,
    ):
        await connection.post("/v1/responses", body, all_headers)
        await connection.head()
        before = await until(connection, mark)
        service.go_on.set()
        after = await until(connection, b"response.completed")

    assert (b"Hello" in before) is bool(headers)
    assert b" you" in after


async def test_an_answer_that_waits_and_breaks_off_is_an_error() -> None:
    async def play(peer: Peer, request: Received) -> None:
        if not request.path.endswith("/chat/completions"):
            await peer.reply(b'{"detail":"Not Found"}', 404)
            return
        await peer.head()
        await peer.chunk(chat_chunk("Hello"))
        await peer.last_chunk()

    upstream = RawUpstream(play)
    env: Any = {
        "UPSTREAMS": "deepseek",
        "DEEPSEEK_MODELS": "deepseek-*",
        "DEEPSEEK_API_KEY": "none",
    }
    async with (
        upstream.running(),
        running_proxy(DEEPSEEK_BASE_URL=upstream.base_url, **env, **STATE) as proxy,
        sdk(proxy) as client,
    ):
        with pytest.raises(openai.APIError) as caught:
            await respond(client, CHAT, "Hi", streamed=True)

    assert caught.value.code == "upstream_truncated"


async def refused(proxy: Proxy, key: str, previous: str) -> openai.BadRequestError:
    async with sdk(proxy, key) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await respond(client, CHAT, "And?", streamed=False, previous_response_id=previous)
    return caught.value


async def test_neither_a_changed_id_nor_one_of_another_key_continues() -> None:
    service = StrictChat()
    keys = f"tester:{KEY},other:{OTHER_KEY}"
    async with proxy_before(service, PROXY_API_KEYS=keys, **STATE) as proxy:
        async with sdk(proxy) as client:
            first = await respond(client, CHAT, "Hi", streamed=False)
            second = await respond(
                client, CHAT, "And?", streamed=False, previous_response_id=first.id
            )
        changed = first.id[:20] + ("A" if first.id[20] != "A" else "B") + first.id[21:]
        errors = [
            await refused(proxy, KEY, changed),
            await refused(proxy, OTHER_KEY, first.id),
            await refused(proxy, KEY, "resp_68af0f0d0a7081909a5e3dc2ab1bc8fd"),
        ]

    assert second.status == "completed"
    assert {error.code for error in errors} == {"previous_response_not_found"}
    assert {error.param for error in errors} == {"previous_response_id"}


async def test_a_conversation_that_is_too_large_has_a_plain_id() -> None:
    large = "".join(format(pow(7, n, 2**61 - 1), "x") for n in range(60_000))
    service = StrictChat()
    async with proxy_before(service, **STATE) as proxy:
        async with sdk(proxy) as client:
            first = await respond(client, CHAT, large, streamed=False)
        error = await refused(proxy, KEY, first.id)

    assert len(first.id) < 64
    assert "512 KiB" in error.message


async def test_a_relayed_call_keeps_the_id_and_its_answer() -> None:
    answer = b'{"id":"resp_theirs","object":"response","output":[]}'

    async def play(peer: Peer, request: Received) -> None:
        await peer.reply(answer)

    upstream = RawUpstream(play)
    asked: Json = {"model": "gpt-4.1", "input": "Hi", "previous_response_id": "resp_0"}
    async with upstream.running(), running_proxy(upstream.base_url, **STATE) as proxy:
        response = await fetch(proxy.port, "/v1/responses", asked, BEARER)

    (received,) = (r for r in upstream.received if r.path.endswith("/responses"))
    assert json.loads(received.body) == asked
    assert response.body == answer


async def test_without_the_setting_ids_are_plain_and_refused() -> None:
    service = StrictChat()
    async with proxy_before(service) as proxy:
        async with sdk(proxy) as client:
            first = await respond(client, CHAT, "Hi", streamed=False)
        error = await refused(proxy, KEY, first.id)

    assert len(first.id) < 64
    assert error.code == "unsupported_parameter"
    assert "RESPONSES_STATE=id" in error.message


async def test_input_tokens_are_counted_with_what_the_id_holds() -> None:
    google = StrictGemini()
    upstream = google.running()
    async with upstream.running(), running_proxy(gemini=upstream.base_url, **STATE) as proxy:
        async with sdk(proxy) as client:
            first = await respond(client, GEMINI, "Weather? " * 500, streamed=False, tools=TOOLS)
        asked: Json = {"model": GEMINI, "input": "Hi"}
        counts = [
            json.loads((await fetch(proxy.port, "/v1/responses/input_tokens", body, BEARER)).body)
            for body in (asked, asked | {"previous_response_id": first.id})
        ]

    assert counts[1]["input_tokens"] > counts[0]["input_tokens"] + 1000


async def test_no_id_is_written_to_the_log() -> None:
    service = StrictChat()
    async with proxy_before(service, **STATE) as proxy:
        async with sdk(proxy) as client:
            first = await respond(client, CHAT, "Hi", streamed=True)
            await respond(client, CHAT, "And?", streamed=True, previous_response_id=first.id)
        await refused(proxy, KEY, first.id[:-9] + "AAAAAAAAA")
        await fetch(proxy.port, f"/v1/responses/{first.id}", {}, BEARER, method="GET")
        log = proxy.logged()

    sealed = first.id.removeprefix("resp_s1_")
    assert "/v1/responses" in log
    assert not any(sealed[at : at + 12] in log for at in range(0, len(sealed) - 12, 12))
