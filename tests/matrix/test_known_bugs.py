"""What other gateways got wrong for every client API, numbered as in a list of reports."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jarvis_proxy.canonical.exchange import Exchange
from jarvis_proxy.errors import ProxyError
from tests.conftest import BEARER, running_proxy
from tests.matrix import client_requests, upstream_scripts
from tests.matrix.cases import Case, Reason
from tests.matrix.test_matrix import (
    BY_NAME,
    CELLS,
    CLIENTS,
    call_of,
    check,
    exchange_for,
    in_every_cell,
    streamed,
)
from tests.matrix.upstreams import UPSTREAMS
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

Json = dict[str, Any]
on_every_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)


def data_of(upstream: str, case: Case, *, stream: bool = True) -> bytes:
    form = "stream" if stream else "whole"
    data: bytes = getattr(upstream_scripts, f"{upstream}_{form}")(case)
    return data


def asking(client: str, upstream: str, **fields: Any) -> Exchange:
    """Return the exchange of a client's request with *fields* beside its own."""
    call = call_of(CLIENTS[client], BY_NAME["text"], stream=False)
    body = json.dumps({**json.loads(call.body), **fields}).encode()
    return exchange_for(upstream, replace(call, body=body))


def sent(exchange: Exchange) -> Json:
    (request,) = exchange.requests
    body: Json = json.loads(request.body)
    return body


def test_numbers_of_an_upstreams_blocks_are_no_numbers_of_choices() -> None:
    data = data_of("anthropic", BY_NAME["everything"])
    out = streamed(CLIENTS["chat"], "anthropic", BY_NAME["everything"], [data])
    lines = [line[6:] for line in out.splitlines() if line.startswith(b"data: {")]
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]

    assert {choice["index"] for choice in choices} == {0}
    assert [call["index"] for call in calls if "id" in call] == [0, 1]


@in_every_cell
@pytest.mark.parametrize("stream", [False, True])
def test_every_one_of_parallel_calls_is_passed(client: str, upstream: str, stream: bool) -> None:
    case, api = BY_NAME["parallel_calls"], CLIENTS[client]
    if stream:
        seen = api.read_stream(streamed(api, upstream, case, [data_of(upstream, case)]))
    else:
        exchange = exchange_for(upstream, call_of(api, case, stream=False))
        assert len(exchange.requests) == 1
        exchange.translate_reply(data_of(upstream, case, stream=False))
        seen = api.read_whole(exchange.answer())

    assert [event[1] for event in seen.events] == ["get_weather", "get_weather"]


@in_every_cell
@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_end_without_content_is_an_answer_that_says_how_it_ended(
    client: str, upstream: str, reason: Reason
) -> None:
    case, api = Case("nothing", (), reason), CLIENTS[client]

    seen = api.read_stream(streamed(api, upstream, case, [data_of(upstream, case)]))

    assert (seen.reason, seen.error) == (reason, None)
    exchange = exchange_for(upstream, call_of(api, case, stream=False))
    assert len(exchange.requests) == 1
    exchange.translate_reply(data_of(upstream, case, stream=False))
    answer = exchange.answer()
    assert api.read_whole(answer).reason == reason
    if client == "messages":
        assert [block["type"] for block in json.loads(answer)["content"]] == ["text"]


Script = Callable[[Peer, Received], Awaitable[None]]
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "generate_content": "/v1beta/models/{}:streamGenerateContent?alt=sse",
}
OVERLOADED = {
    "chat": {"error": {"message": "overloaded", "type": "server_error", "code": 503}},
    "gemini": {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}},
    "anthropic": {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "overloaded"},
    },
}


async def status_of(client: str, upstream: str, script: Script) -> tuple[int, bytes]:
    """Return the status and the body with which the client's stream is answered."""
    model = UPSTREAMS[upstream].model
    service = RawUpstream(script, base_path={"gemini": "/v1beta"}.get(upstream, "/v1"))
    body = json.loads(getattr(client_requests, client)(stream=True, follows_call=False))
    async with service.running():
        base, url = {}, service.base_url
        if upstream == "anthropic":
            base = {"ANTHROPIC_API_KEY": "sk-ant-0123456789", "ANTHROPIC_BASE_URL": url}
        settings = {**base, "UPSTREAMS": "deepseek", "DEEPSEEK_BASE_URL": url}
        more = {"DEEPSEEK_MODELS": "deepseek-*", "DEEPSEEK_API_KEY": "sk-0123456789"}
        async with running_proxy(gemini=url, **settings, **more, DEEPSEEK_APIS="chat") as proxy:
            path = PATHS[client].format(model)
            headers = {**BEARER, "x-goog-api-client": "google-genai-sdk/1.38.0"}
            response = await fetch(proxy.port, path, {**body, "model": model}, headers)
    return response.status, response.body


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
@on_every_upstream
@pytest.mark.parametrize("is_event", [False, True])
async def test_a_refusal_before_the_first_word_is_a_status(
    client: str, upstream: str, is_event: bool
) -> None:
    told = json.dumps(OVERLOADED[upstream]).encode()

    async def play(peer: Peer, request: Received) -> None:
        if not is_event:
            await peer.reply(told, 529 if upstream == "anthropic" else 503)
            return
        await peer.head()
        await peer.chunk(b"event: error\ndata: " + told + b"\n\n")
        await peer.last_chunk()

    status, body = await status_of(client, upstream, play)

    assert status == (529 if client == "messages" else 503)
    assert b"overloaded" in body


STRANGE: dict[str, Json] = {
    "chat": {"reasoning_content": "x", "output_config": {"effort": "low"}, "container": "c"},
    "responses": {"reasoning_content": "x", "output_config": {}, "container": "c"},
    "messages": {
        "output_config": {"effort": "low"},
        "container": "c",
        "context_management": {"edits": []},
        "mcp_servers": [],
        "reasoning_content": "x",
        "made_up": {"a": [1]},
    },
    "generate_content": {"reasoning_content": "x", "output_config": {}, "container": "c"},
}


@pytest.mark.parametrize(("client", "upstream"), CELLS)
def test_no_field_is_an_error_of_our_own(client: str, upstream: str) -> None:
    body = sent(asking(client, upstream, **STRANGE[client]))

    assert not {"reasoning_content", "container", "made_up", "context_management"} & body.keys()


@in_every_cell
@pytest.mark.parametrize("name", ["error_in_stream", "cut_stream"])
def test_an_error_within_a_stream_is_never_silence(client: str, upstream: str, name: str) -> None:
    case, api = BY_NAME[name], CLIENTS[client]

    check(api.read_stream(streamed(api, upstream, case, [data_of(upstream, case)])), case)
    nothing = api.read_stream(streamed(api, upstream, case, []))

    assert nothing.error is not None


def test_a_clients_own_thinking_budget_is_never_replaced() -> None:
    thinking = {"type": "enabled", "budget_tokens": 5000}
    google = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 5000}}}

    by_messages = sent(asking("messages", "gemini", thinking=thinking, max_tokens=9000))
    old = replace(
        call_of(CLIENTS["generate_content"], BY_NAME["text"], stream=False),
        body=json.dumps({"contents": [{"parts": [{"text": "Hi"}]}], **google}).encode(),
        target_model="claude-sonnet-4-5",
    )
    service = UPSTREAMS["anthropic"].build()
    by_google = sent(service.exchange(old, {}, service.needs(old).decoded))

    assert by_messages["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 5000
    assert by_google["thinking"] == {"type": "enabled", "budget_tokens": 5000}


@on_every_upstream
def test_no_cache_key_is_made_up(upstream: str) -> None:
    bodies = [sent(asking("responses", upstream)) for _ in range(2)]

    assert bodies[0] == bodies[1]
    assert "cache_key" not in json.dumps(bodies)


@on_every_upstream
def test_what_streams_number_may_come_back_in_a_history(upstream: str) -> None:
    """Frameworks keep the ``index`` of a block, or of a call, in what they send back."""
    tool: Json = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {}}
    result: Json = {"type": "tool_result", "tool_use_id": "call_1", "content": "sunny"}

    def history(**number: int) -> list[Json]:
        said = {"type": "text", "text": "I look.", **number}
        return [
            {"role": "user", "content": [{"type": "text", "text": "Hi", **number}]},
            {"role": "assistant", "content": [said, {**tool, **number}]},
            {"role": "user", "content": [{**result, **number}]},
        ]

    client = "messages" if upstream != "anthropic" else "chat"
    if client == "chat":
        function = {"name": "get_weather", "arguments": "{}"}
        plain = {"id": "call_1", "type": "function", "function": function}
        calls = [{"role": "assistant", "content": None, "tool_calls": [plain]}]
        numbered = [{"role": "assistant", "content": None, "tool_calls": [{**plain, "index": 0}]}]
        user: list[Json] = [{"role": "user", "content": "Hi"}]
        rest: list[Json] = [{"role": "tool", "tool_call_id": "call_1", "content": "sunny"}]
        bodies = [
            sent(asking(client, upstream, messages=user + c + rest)) for c in (calls, numbered)
        ]
    else:
        bodies = [sent(asking(client, upstream, messages=m)) for m in (history(), history(index=0))]

    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("upstream", ["chat", "gemini"])
def test_no_block_of_a_message_has_a_number(upstream: str) -> None:
    exchange = exchange_for(upstream, call_of(CLIENTS["messages"], BY_NAME["text"], stream=False))
    assert len(exchange.requests) == 1
    exchange.translate_reply(data_of(upstream, BY_NAME["everything"], stream=False))

    assert not any("index" in block for block in json.loads(exchange.answer())["content"])


@in_every_cell
def test_a_piece_is_out_before_the_next_one_comes(client: str, upstream: str) -> None:
    case, api = Case("long", (("text", "first half, second half"),), "stop"), CLIENTS[client]
    call = call_of(api, case, stream=True)
    exchange = exchange_for(upstream, call)
    assert len(exchange.requests) == 1
    data = data_of(upstream, case)
    cut = data.index(b"second half") if b"second half" in data else data.index(b"econd half")
    start = data.rindex(b"\n\n", 0, cut) + 2
    form = api.api.stream_form(call, {})
    translator = exchange.stream_translator(0, form.number_events(relayed=False))

    assert b"first half" in translator.feed(data[:start])


def test_broken_protocol_is_reported_in_every_cell() -> None:
    for client, upstream in CELLS:
        exchange = exchange_for(upstream, call_of(CLIENTS[client], BY_NAME["text"], stream=False))
        assert len(exchange.requests) == 1
        with pytest.raises(ProxyError):
            exchange.translate_reply(b"{}")
