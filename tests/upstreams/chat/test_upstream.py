"""Which API of a compatible service answers a Responses request."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Exchange
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.upstream import CompatibleUpstream, lacks_endpoint
from tests.canonical.fakes import FakeAnswer, Renamed
from tests.support.recorded_answer import ids_in_order
from tests.upstreams.chat.requests import USER
from tests.upstreams.chat.streams import whole

OPENAI = "https://api.openai.com/v1"
LOCAL = "http://127.0.0.1:8000/v1"
NOT_FOUND = b'{"detail":"Not Found"}'


class PlainDialect:
    """Reads a body that is canonical already."""

    def read(self, call: Call, features: ModelFeatures) -> DialectCall:
        """Return the body as it is; a body that says ``bad`` is refused."""
        if b"bad" in call.body:
            raise ProxyError(400, "Bad.", param="input")
        return DialectCall(CanonicalRequest(body=call.body, params=Renamed()), FakeAnswer)


def an_upstream(base_url: str = LOCAL, *apis: str, knows: str = "responses") -> CompatibleUpstream:
    return CompatibleUpstream(
        "up", base_url, dialects={knows: PlainDialect()}, new_id=ids_in_order(), apis=apis
    )


def a_call(endpoint: str = "responses", *, now: float = 0.0, body: bytes | None = None) -> Call:
    return Call(
        endpoint=endpoint,
        model="m",
        target_model="m",
        stream=False,
        body=json.dumps({"messages": [USER]}).encode() if body is None else body,
        id="b" * 24,
        created=1,
        now=now,
    )


def asked(upstream: CompatibleUpstream, call: Call | None = None) -> Exchange:
    call = call or a_call()
    return upstream.exchange(call, {}, upstream.needs(call).decoded)


def path(exchange: Exchange) -> str:
    (request,) = exchange.requests
    return request.path


@pytest.mark.parametrize(
    ("apis", "base_url", "expected"),
    [
        (("chat",), LOCAL, "/chat/completions"),
        (("chat", "embeddings"), LOCAL, "/chat/completions"),
        (("chat",), OPENAI, "/chat/completions"),
        (("chat", "responses"), LOCAL, "/responses"),
    ],
)
def test_setting_decides(apis: tuple[str, ...], base_url: str, expected: str) -> None:
    exchange = asked(an_upstream(base_url, *apis))

    assert path(exchange) == expected
    assert exchange.raw is (expected == "/responses")
    if exchange.raw:
        assert exchange.recover(404, NOT_FOUND) is None


def test_openai_has_all() -> None:
    exchange = asked(an_upstream(OPENAI))

    assert path(exchange) == "/responses"
    assert exchange.recover(404, NOT_FOUND) is None


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"<html><body><h1>404 Not Found</h1></body></html>", True),
        (404, NOT_FOUND, True),
        (404, b'{"error":{"message":"Unknown request URL","code":"unknown_url"}}', True),
        (404, b"", True),
        (405, b'{"detail":"Method Not Allowed"}', True),
        (501, b'{"error":{"message":"Not implemented","type":"not_implemented_error"}}', True),
        (404, b'{"error":{"message":"No such one.","code":"model_not_found"}}', False),
        (404, b'{"error":{"message":"The model `m` does not exist."}}', False),
        (404, b'{"error":{"message":"Not found.","param":"model"}}', False),
        (400, NOT_FOUND, False),
        (403, NOT_FOUND, False),
        (500, NOT_FOUND, False),
        (503, NOT_FOUND, False),
    ],
)
def test_first_request_finds_out(status: int, body: bytes, expected: bool) -> None:
    upstream = an_upstream()
    exchange = asked(upstream)
    assert (path(exchange), exchange.raw) == ("/responses", True)

    better = exchange.recover(status, body)

    assert lacks_endpoint(status, body) is expected
    assert (better is not None) is expected
    if better is not None:
        assert (path(better), better.raw) == ("/chat/completions", False)
    following = asked(upstream)
    assert path(following) == ("/chat/completions" if expected else "/responses")


def test_what_was_found_out_holds_for_an_hour() -> None:
    upstream = an_upstream()
    asked(upstream, a_call(now=100.0)).recover(404, NOT_FOUND)

    assert path(asked(upstream, a_call(now=3699.0))) == "/chat/completions"
    assert path(asked(upstream, a_call(now=3700.0))) == "/responses"


def test_request_that_chat_cannot_express_keeps_the_refusal() -> None:
    upstream = an_upstream()

    assert asked(upstream, a_call(body=b"bad")).recover(404, NOT_FOUND) is None
    with pytest.raises(ProxyError) as caught:
        asked(upstream, a_call(body=b"bad"))
    assert caught.value.param == "input"


def test_answer_in_chat_is_written_in_the_clients_api() -> None:
    better = asked(an_upstream()).recover(404, NOT_FOUND)
    assert better is not None

    better.translate_reply(whole({"content": "Hi"}))

    assert better.answer() == b"data: 0 Hi\ndata: 0 /stop\ndata: end None None\n"


@pytest.mark.parametrize("endpoint", ["responses/compact", "responses/input_tokens"])
def test_what_belongs_to_responses_is_not_served_by_a_service_with_chat_only(
    endpoint: str,
) -> None:
    with pytest.raises(ProxyError) as caught:
        asked(an_upstream(LOCAL, "chat"), a_call(endpoint))

    assert (caught.value.status, caught.value.code) == (400, "unsupported_endpoint")


@pytest.mark.parametrize("endpoint", ["responses/compact", "responses/input_tokens"])
def test_service_is_asked_where_it_may_have_it(endpoint: str) -> None:
    unknown, openais = (asked(an_upstream(url), a_call(endpoint)) for url in (LOCAL, OPENAI))
    assert path(unknown) == path(openais) == f"/{endpoint}"

    error = unknown.translate_error(404, {}, NOT_FOUND)
    assert error is not None
    assert (error.status, error.code) == (400, "unsupported_endpoint")
    assert unknown.translate_error(404, {}, b'{"error":{"message":"No such model."}}') is None
    assert openais.translate_error(404, {}, NOT_FOUND) is None


@pytest.mark.parametrize("endpoint", ["chat/completions", "embeddings"])
def test_other_endpoints_are_relayed(endpoint: str) -> None:
    upstream = an_upstream(LOCAL, "chat")
    call = a_call(endpoint)
    exchange = asked(upstream, call)

    assert upstream.needs(call) == NOTHING_NEEDED
    assert (path(exchange), exchange.raw) == (f"/{endpoint}", True)


def test_imagens_method_of_google_is_not_served() -> None:
    with pytest.raises(ProxyError) as caught:
        asked(an_upstream(), a_call("predict"))

    assert (caught.value.status, caught.value.code) == (400, "unsupported_endpoint")
    assert "/v1beta/models/m:predict" in caught.value.message


def test_responses_are_relayed_where_no_dialect_reads_them() -> None:
    exchange = asked(an_upstream(LOCAL, "chat", knows="messages"))

    assert path(exchange) == "/responses"
    assert exchange.recover(404, NOT_FOUND) is None


def test_other_client_apis_are_asked_in_chat() -> None:
    upstream = an_upstream(OPENAI, knows="messages")

    assert path(asked(upstream, a_call("messages"))) == "/chat/completions"


def test_usage_that_the_proxy_asks_for_is_still_taken_back() -> None:
    body: dict[str, Any] = {"messages": [USER], "stream": True}
    call = a_call("chat/completions", body=json.dumps(body).encode())
    call = Call(**{f: getattr(call, f) for f in call.__struct_fields__} | {
        "stream": True, "counts_tokens": True})  # fmt: skip
    exchange = asked(an_upstream(), call)
    (request,) = exchange.requests
    assert b"include_usage" in request.body

    refusal = b'{"error":{"message":"Unknown parameter: stream_options"}}'
    better = exchange.recover(400, refusal)

    assert better is not None
    assert b"include_usage" not in better.requests[0].body


@pytest.mark.parametrize("url", [OPENAI, LOCAL])
def test_reasoning_that_is_sealed_for_others_is_not_relayed(url: str) -> None:
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "gemini:AbC="}
    body = json.dumps({"messages": [USER], "input": [sealed]}).encode()
    (request,) = asked(an_upstream(url), a_call(body=body)).requests

    assert json.loads(request.body) == {"messages": [USER], "input": []}


def test_state_of_others_is_not_relayed_in_chat() -> None:
    said = {"role": "assistant", "content": "a", "thinking_blocks": [{"type": "thinking"}]}
    body = json.dumps({"messages": [USER, said]}).encode()
    (request,) = asked(an_upstream(OPENAI), a_call("chat/completions", body=body)).requests

    assert json.loads(request.body)["messages"][1] == {"role": "assistant", "content": "a"}
