"""One relayed call, there and back."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.relay.array_stream import ArrayRelay
from jarvis_proxy.upstreams.gemini.relay.event_stream import EventRelay
from jarvis_proxy.upstreams.gemini.relay.exchange import GeminiRelayExchange
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore
from jarvis_proxy.upstreams.gemini.upstream import GeminiUpstream
from jarvis_proxy.wire.google_verbs import VERBS
from tests.support.recordings import recordings, response_of
from tests.upstreams.gemini.relay.calls import a_relayed_call
from tests.upstreams.gemini.replies import ids

ANSWER = b'{ "candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3}}\n'


@pytest.mark.parametrize("verb", VERBS)
def test_every_method_is_one_request_as_it_came(verb: str) -> None:
    call = a_relayed_call(verb)

    exchange = GeminiUpstream("gemini", signatures=MemorySignatureStore(), new_id=ids()).exchange(
        call, {}
    )
    (request,) = exchange.requests

    assert not exchange.raw
    assert exchange.weight == 0
    assert (request.method, request.path) == ("POST", f"/models/gemini-3-flash:{verb}")
    assert request.body is call.body


def test_no_header_of_the_clients_crosses() -> None:
    (request,) = GeminiRelayExchange(a_relayed_call()).requests

    assert request.headers == {"Content-Type": "application/json"}


def test_another_name_makes_another_body_which_is_held() -> None:
    call = a_relayed_call(body=b'{"model":"gemini-3-flash"}', target="gemini-4")

    exchange = GeminiRelayExchange(call)

    assert exchange.requests[0].body == b'{"model":"gemini-4"}'
    assert exchange.weight == len(b'{"model":"gemini-4"}')


def test_a_name_cannot_lead_elsewhere() -> None:
    call = a_relayed_call(target="../files")

    with pytest.raises(ProxyError) as caught:
        GeminiUpstream("gemini", signatures=MemorySignatureStore(), new_id=ids()).exchange(call, {})

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_a_whole_answer_is_noted_and_passes() -> None:
    exchange = GeminiRelayExchange(a_relayed_call())
    assert exchange.usage is exchange.partial_usage is None

    exchange.translate_reply(ANSWER)

    assert exchange.answer() is ANSWER
    assert exchange.usage == exchange.partial_usage == TokenUsage(3)


def test_an_error_with_a_good_status_is_an_error() -> None:
    body = b'{"error":{"code":429,"message":"no","status":"RESOURCE_EXHAUSTED"}}'

    with pytest.raises(ProxyError) as caught:
        GeminiRelayExchange(a_relayed_call()).translate_reply(body)

    assert (caught.value.status, caught.value.native) == (429, body)


def test_nothing_is_asked_again_in_another_form() -> None:
    fault = b'{"error":{"code":400,"message":"Corrupted thought signature.","status":"X"}}'
    exchange = GeminiRelayExchange(a_relayed_call())

    assert exchange.recover(400, fault) is None  # type: ignore[func-returns-value]
    assert exchange.translate_error(400, {}, fault).native == fault


def test_the_wait_of_a_header_is_passed_on_too() -> None:
    body = b'{"error":{"code":503,"message":"no","status":"UNAVAILABLE"}}'

    assert GeminiRelayExchange(a_relayed_call()).translate_error(
        503, {"retry-after": "7"}, body
    ).retry_after == pytest.approx(7.0)


def test_the_query_decides_the_form_of_a_stream() -> None:
    events = a_relayed_call("streamGenerateContent", query="alt=sse")
    array = a_relayed_call("streamGenerateContent")

    assert isinstance(GeminiRelayExchange(events).stream_translator(), EventRelay)
    assert isinstance(GeminiRelayExchange(array).stream_translator(), ArrayRelay)


WHOLE = [
    param
    for param in recordings("gemini")
    if param.values[0] is None
    or (
        param.values[0]["response"]["status"] == 200
        and "sse" not in param.values[0]["response"]
        and "json_array_stream" not in param.values[0]["features"]
    )
]


@pytest.mark.parametrize("recording", WHOLE)
def test_every_recorded_answer_passes_byte_for_byte(recording: dict[str, Any]) -> None:
    body, _ = response_of(recording)
    exchange = GeminiRelayExchange(a_relayed_call())

    exchange.translate_reply(body)

    assert exchange.answer() is body
    reported = json.loads(body).get("usageMetadata", {})
    assert (exchange.usage is None) is (not reported)
    if exchange.usage is not None:
        assert exchange.usage.cached == reported.get("cachedContentTokenCount", 0)
