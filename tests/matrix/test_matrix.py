"""Every client API on every upstream API: each client reads what the upstream said.

Streams are cut at every byte. Same API on both sides is a relay, which has tests of its own.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.client_api import ClientApi
from jarvis_proxy.canonical.exchange import Exchange, Upstream
from jarvis_proxy.dialects.generate_content.client_api import GenerateContentApi
from jarvis_proxy.dialects.messages.client_api import MessagesApi
from jarvis_proxy.dialects.openai_api import OpenAIApi
from jarvis_proxy.errors import ProxyError
from tests.matrix import client_readers, client_requests, upstream_scripts
from tests.matrix.cases import CASES, USAGE, Case
from tests.matrix.client_readers import Seen
from tests.matrix.upstreams import UPSTREAMS


class Client(NamedTuple):
    """A client API: its requests, how it reads answers, and the form of its errors."""

    endpoint: str
    streaming_endpoint: str
    api: ClientApi
    request: Callable[..., bytes]
    read_stream: Callable[[bytes], Seen]
    read_whole: Callable[[bytes], Seen]


CLIENTS: Mapping[str, Client] = {
    name: Client(
        endpoint,
        streaming,
        api,
        getattr(client_requests, name),
        getattr(client_readers, f"{name}_stream"),
        getattr(client_readers, f"{name}_whole"),
    )
    for name, endpoint, streaming, api in (
        ("chat", "chat/completions", "chat/completions", OpenAIApi()),
        ("responses", "responses", "responses", OpenAIApi()),
        ("messages", "messages", "messages", MessagesApi()),
        (
            "generate_content",
            "generateContent",
            "streamGenerateContent",
            GenerateContentApi(),
        ),
    )
}
RELAYS = {("chat", "chat"), ("messages", "anthropic"), ("generate_content", "gemini")}
CELLS = [cell for cell in itertools.product(CLIENTS, UPSTREAMS) if cell not in RELAYS]
CASE_NAMES = [case.name for case in CASES]
BY_NAME = {case.name: case for case in CASES}

in_every_cell = pytest.mark.parametrize(("client", "upstream"), CELLS)


def call_of(client: Client, case: Case, *, stream: bool) -> Call:
    return Call(
        endpoint=client.streaming_endpoint if stream else client.endpoint,
        model="m",
        target_model="m",
        stream=stream,
        body=client.request(stream=stream, follows_call=case.follows_call),
        id="0123456789abcdef01234567",
        created=1_700_000_000,
        now=10.0,
        query="alt=sse" if client.endpoint == "generateContent" else "",
    )


def exchange_for(upstream: str, call: Call) -> Exchange:
    kind = UPSTREAMS[upstream]
    service: Upstream = kind.build()
    call = replace(call, target_model=kind.model)
    needs = service.needs(call)
    return service.exchange(call, {}, needs.decoded)


def streamed(client: Client, upstream: str, case: Case, pieces: list[bytes]) -> bytes:
    """Return what the client gets if the upstream's stream comes in *pieces*."""
    call = call_of(client, case, stream=True)
    exchange = exchange_for(upstream, call)
    assert len(exchange.requests) == 1
    form = client.api.stream_form(call, {"x-goog-api-client": "a-sdk"})
    translator = exchange.stream_translator(0, form.number_events(relayed=False))
    out = b""
    try:
        for piece in pieces:
            if events := translator.feed(piece):
                form.passed(events)
                out += events
            if translator.done:
                return out
        out += translator.feed_eof()
    except ProxyError as error:
        form.passed(error.completed_events)
        out += error.completed_events + form.failure(error)
    return out


def check(seen: Seen, case: Case) -> None:
    joined = Seen()
    for event in case.events:
        joined.events.append(event)
    assert seen.events == joined.events
    assert seen.reason == case.reason
    if case.reason is None:
        assert seen.error is not None
    else:
        assert seen.error is None
        assert seen.usage == USAGE


@in_every_cell
@pytest.mark.parametrize("name", CASE_NAMES)
def test_every_client_reads_what_any_upstream_streams(
    client: str, upstream: str, name: str
) -> None:
    case = BY_NAME[name]
    data: bytes = getattr(upstream_scripts, f"{upstream}_stream")(case)
    at_once = streamed(CLIENTS[client], upstream, case, [data])
    check(CLIENTS[client].read_stream(at_once), case)
    byte_by_byte = streamed(
        CLIENTS[client], upstream, case, [data[i : i + 1] for i in range(len(data))]
    )
    check(CLIENTS[client].read_stream(byte_by_byte), case)


@pytest.mark.slow
@pytest.mark.no_cover
@in_every_cell
def test_no_cut_of_a_stream_changes_what_is_read(client: str, upstream: str) -> None:
    case = BY_NAME["everything"]
    data: bytes = getattr(upstream_scripts, f"{upstream}_stream")(case)
    checked: set[bytes] = set()
    for cut in range(1, len(data)):
        out = streamed(CLIENTS[client], upstream, case, [data[:cut], data[cut:]])
        if out not in checked:  # most are the same
            check(CLIENTS[client].read_stream(out), case)
            checked.add(out)


@in_every_cell
@pytest.mark.parametrize("name", [case.name for case in CASES if case.reason is not None])
def test_every_client_reads_any_whole_answer(client: str, upstream: str, name: str) -> None:
    case = BY_NAME[name]
    call = call_of(CLIENTS[client], case, stream=False)
    exchange = exchange_for(upstream, call)
    assert len(exchange.requests) == 1
    body: bytes = getattr(upstream_scripts, f"{upstream}_whole")(case)
    assert exchange.translate_reply(body) is None
    check(CLIENTS[client].read_whole(exchange.answer()), case)


REFUSALS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "chat": (429, {"error": {"message": "slow down", "type": "rate_limit_error", "code": None}}),
    "gemini": (429, {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED"}}),
    "anthropic": (429, {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}),
}
LIMITED = {
    "chat": "rate_limit_error",
    "responses": "rate_limit_error",
    "messages": "rate_limit_error",
    "generate_content": "RESOURCE_EXHAUSTED",
}


@in_every_cell
def test_refusal_before_the_answer_has_the_clients_form(client: str, upstream: str) -> None:
    call = call_of(CLIENTS[client], BY_NAME["text"], stream=True)
    exchange = exchange_for(upstream, call)
    assert len(exchange.requests) == 1
    status, body = REFUSALS[upstream]
    error = exchange.translate_error(status, {"Retry-After": "3"}, json.dumps(body).encode())
    assert error is not None
    answer = CLIENTS[client].api.error(error, call.id)
    told = json.loads(answer.body)["error"]
    assert answer.status == 429
    assert told.get("status" if client == "generate_content" else "type") == LIMITED[client]
