"""One chat call there and back: headers, tokens, continuations, recoveries."""

import json
from collections.abc import Callable

import pytest

from jarvis_proxy.canonical.exchange import EmptyAnswerError
from jarvis_proxy.canonical.translation import Translation
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.request.build import RequestFallbacks, TranslatedRequest
from jarvis_proxy.upstreams.gemini.request.schema.form import SchemaForm
from tests.upstreams.gemini.replies import (
    a_call,
    a_frame,
    a_plan,
    a_usage,
    an_exchange,
    refused,
    translated,
)


def test_headers_name_what_was_left_out_and_who_answered() -> None:
    exchange = an_exchange(a_plan(ignored=("logit_bias", "seed")))
    assert exchange.headers == (("x-jarvis-ignored", "logit_bias, seed"),)

    frame = {**a_frame({"text": "a"}, finish="STOP"), "modelVersion": "gemini-3.8-flash"}
    exchange.translate_reply(json.dumps(frame).encode())

    assert ("x-gemini-model-version", "gemini-3.8-flash") in list(exchange.headers)


@pytest.mark.parametrize("version", ["a\r\nb", "é", "", "x" * 200])
def test_a_version_that_is_no_header_value_is_not_one(version: str) -> None:
    exchange = an_exchange()
    frame = {**a_frame({"text": "a"}, finish="STOP"), "modelVersion": version}
    exchange.translate_reply(json.dumps(frame).encode())

    assert exchange.headers == ()


def test_tokens_are_known_when_the_answer_is() -> None:
    exchange = an_exchange()
    assert exchange.usage is None

    frame = a_frame({"text": "a"}, finish="STOP", usage=a_usage(3, 4, 5))
    exchange.translate_reply(json.dumps(frame).encode())

    assert exchange.usage == TokenUsage(3, 9, reasoning=5)


def test_an_answer_that_goes_on_is_asked_for_with_its_token() -> None:
    exchange = an_exchange(a_plan(body=b'{"contents":[1]}'))
    hop = a_frame({"text": "a"}, finish="CONTINUATION", continuationToken='t"1')
    (request,) = exchange.requests

    following = exchange.translate_reply(json.dumps(hop).encode())
    assert following is not None
    assert (following.path, following.headers) == (request.path, request.headers)
    assert json.loads(following.body) == {"continuationToken": 't"1', "contents": [1]}
    exchange.translate_reply(json.dumps(a_frame({"text": "b"}, finish="STOP")).encode())

    (choice,) = json.loads(exchange.answer())["choices"]
    assert choice["message"]["content"] == "ab"


def test_errors_are_always_translated() -> None:
    exchange = an_exchange()

    named = refused(exchange, 404, b'{"error":{"message":"models/x is not found"}}')
    limited = refused(exchange, 429, b"", {"retry-after": "7"})

    assert "`my-model`" in named.message
    assert limited.retry_after == 7.0


# -- recovery -----------------------------------------------------------------------------------


class Builder:
    """Makes plans, and remembers how relaxed each was; *changes* says whether they differ."""

    def __init__(self, *, changes: bool = True) -> None:
        self.asked: list[RequestFallbacks] = []
        self.changes = changes

    def __call__(self, fallbacks: RequestFallbacks) -> TranslatedRequest:
        self.asked.append(fallbacks)
        number = len(self.asked) if self.changes else 0
        return a_plan(body=json.dumps({"n": number}).encode()).sent


def recovering(builder: Callable[[RequestFallbacks], TranslatedRequest]) -> Translation:
    return translated(a_call(), builder)


def refusal(message: str) -> bytes:
    return json.dumps({"error": {"code": 400, "message": message}}).encode()


SIGNATURE = "Thought signature is not valid"
STATES = "The schema produces a constraint that has too many states for serving."


def test_a_known_refusal_is_tried_again_with_a_change() -> None:
    builder = Builder()

    recovered = recovering(builder).recover(400, refusal(SIGNATURE))

    assert recovered is not None
    assert builder.asked == [RequestFallbacks(), RequestFallbacks(sentinel_signatures=True)]
    assert json.loads(recovered.requests[0].body) == {"n": 2}
    assert recovered.recover(400, refusal(SIGNATURE)) is None


def test_changes_add_up() -> None:
    exchange: Translation | None = recovering(builder := Builder())
    for message in (SIGNATURE, STATES, STATES, "Thinking is not enabled for models/x"):
        assert exchange is not None
        exchange = exchange.recover(400, refusal(message))

    assert exchange is not None
    assert builder.asked[-1] == RequestFallbacks(
        sentinel_signatures=True,
        schemas=SchemaForm(limits=False),
        soft_choice=True,
        no_thinking=True,
    )


def test_the_request_that_was_refused_is_not_sent_again() -> None:
    builder = Builder(changes=False)

    assert recovering(builder).recover(400, refusal(SIGNATURE)) is None
    assert recovering(builder).recover(400, refusal(STATES)) is None


def test_a_change_that_cannot_be_made_leaves_the_refusal() -> None:
    def build(fallbacks: RequestFallbacks) -> TranslatedRequest:
        if fallbacks != RequestFallbacks():
            raise ProxyError(400, "not with this model")
        return a_plan().sent

    assert recovering(build).recover(400, refusal(SIGNATURE)) is None


def test_an_empty_answer_is_asked_for_again_once_in_a_call() -> None:
    exchange = recovering(Builder())
    empty = json.dumps(a_frame(finish="STOP")).encode()

    assert exchange.requests
    with pytest.raises(EmptyAnswerError):
        exchange.translate_reply(empty)
    recovered = exchange.recover(400, refusal(SIGNATURE))
    assert recovered is not None
    assert recovered.requests
    recovered.translate_reply(empty)

    (choice,) = json.loads(recovered.answer())["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, refusal("Invalid value")),
        (400, b"thought_signature"),
        (400, b""),
        (404, refusal("thought_signature")),
        (500, refusal("too many states")),
    ],
)
def test_other_refusals_are_final(status: int, body: bytes) -> None:
    assert recovering(Builder()).recover(status, body) is None


def test_an_array_around_the_refusal_changes_nothing() -> None:
    body = b"[" + refusal("Thought signature is not valid") + b"]"

    assert recovering(Builder()).recover(400, body) is not None
