"""One Messages call to a Messages API, there and back, as it came."""

import json

import msgspec
import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.relay import MessagesRelay, MessagesRelayExchange
from tests.upstreams.anthropic.answers import Json, start
from tests.upstreams.anthropic.upstream import new_call

BODY = b'{"model":"my-claude", "max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'


def a_call(body: bytes = BODY, **fields: object) -> Call:
    call = new_call("my-claude", endpoint="messages")
    return msgspec.structs.replace(call, body=body, **fields)


def exchange(call: Call, *, is_anthropic: bool = True) -> MessagesRelayExchange:
    return MessagesRelay("anthropic", is_anthropic=is_anthropic).exchange(call, {})


def refused(words: str) -> bytes:
    error = {"type": "invalid_request_error", "message": words}
    return json.dumps({"type": "error", "error": error}).encode()


def test_a_body_passes_as_it_came_and_weighs_nothing_more() -> None:
    passed = exchange(a_call())

    (request,) = passed.requests
    assert request.body is BODY
    assert passed.weight == 0


def test_another_name_of_the_model_makes_a_body_of_its_own() -> None:
    passed = exchange(a_call(target_model="claude-opus-4-8"))

    (request,) = passed.requests
    assert json.loads(request.body) == json.loads(BODY) | {"model": "claude-opus-4-8"}
    assert passed.weight == len(request.body)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("", "/v1/messages"),
        ("beta=true", "/v1/messages?beta=true"),
        ("x=1&beta=true&key=k", "/v1/messages?beta=true"),
        ("betas=1", "/v1/messages"),
    ],
)
def test_of_the_query_only_beta_crosses(query: str, path: str) -> None:
    assert exchange(a_call(query=query)).requests[0].path == path


def test_a_request_has_a_version_which_the_client_may_choose() -> None:
    plain = exchange(a_call()).requests[0].headers
    chosen = exchange(a_call(headers={"anthropic-version": "2099-01-01"})).requests[0].headers

    assert plain["anthropic-version"] == "2023-06-01"
    assert chosen["anthropic-version"] == "2099-01-01"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_only_a_compatible_service_may_lack_a_count(status: int) -> None:
    call = a_call(endpoint="messages/count_tokens")
    other = exchange(call, is_anthropic=False).translate_error(status, {}, b"no")
    own = exchange(call).translate_error(status, {}, b"no")

    assert other.code == "unsupported_endpoint"
    assert own.code != "unsupported_endpoint"


def test_refused_thinking_is_left_out_once() -> None:
    block: Json = {"type": "thinking", "thinking": "Hm.", "signature": "Sig=="}
    said = [block, {"type": "text", "text": "a"}]
    history = [{"role": "user", "content": "q"}, {"role": "assistant", "content": said}]
    body = json.dumps({"model": "my-claude", "max_tokens": 9, "messages": history}).encode()
    refusal = refused("messages.1.content.0: Invalid `signature` in `thinking` block")
    again = exchange(a_call(body)).recover(400, refusal)

    assert again is not None
    sent = json.loads(again.requests[0].body)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "a"}]
    assert again.recover(400, refusal) is None


@pytest.mark.parametrize(
    ("status", "words"), [(400, "max_tokens: Field required"), (429, "Invalid `signature`")]
)
def test_other_refusals_are_final(status: int, words: str) -> None:
    assert exchange(a_call()).recover(status, refused(words)) is None


def test_a_whole_answer_keeps_its_bytes_and_is_counted() -> None:
    passed = exchange(a_call())
    body = json.dumps(start()["message"] | {"stop_reason": "end_turn"}, indent=1).encode()
    passed.translate_reply(body)

    assert passed.answer() is body
    assert passed.usage is not None
    assert (passed.usage.prompt, passed.usage.completion) == (10, 1)
    assert passed.partial_usage == passed.usage


def test_a_whole_answer_that_is_no_message_is_an_error() -> None:
    passed = exchange(a_call())
    with pytest.raises(ProxyError):
        passed.translate_reply(b"<html>")

    assert passed.usage is None


def test_a_refused_signature_where_none_is_sent_is_final() -> None:
    refusal = refused("messages.1.content.0: Invalid `signature` in `thinking` block")

    assert exchange(a_call()).recover(400, refusal) is None
