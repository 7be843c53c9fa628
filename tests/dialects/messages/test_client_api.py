"""The Messages API as the shell sees it."""

import json

from jarvis_proxy.dialects.messages.client_api import MessagesApi
from jarvis_proxy.errors import ProxyError
from tests.canonical.fakes import a_call

ERROR = ProxyError(503, "All upstreams rest.", code="overloaded")


def test_every_answer_has_the_id_that_its_errors_name() -> None:
    api, call_id = MessagesApi(), "a" * 24
    written = json.loads(api.error(ERROR, call_id).body)

    assert api.answer_headers(call_id) == {"request-id": written["request_id"]}


def test_signs_of_life_are_pings() -> None:
    form = MessagesApi().stream_form(a_call(endpoint="messages"), {})
    expected = b'event: ping\ndata: {"type": "ping"}\n\n'

    for is_long in (False, True):
        assert form.heartbeat(is_long=is_long, first_events_wait=False) == expected
    assert form.number_events(relayed=False) is None


def test_a_failure_is_one_error_event_with_the_calls_id() -> None:
    call = a_call(endpoint="messages")
    event = MessagesApi().stream_form(call, {}).failure(ERROR)

    assert event.startswith(b"event: error\ndata: {")
    written = json.loads(event.split(b"data: ")[1])
    assert written["request_id"] == MessagesApi().answer_headers(call.id)["request-id"]


def test_comments_are_no_content() -> None:
    form = MessagesApi().stream_form(a_call(endpoint="messages"), {})

    assert not form.has_content(b": still here\n\n")
    assert form.has_content(b'event: x\ndata: {"type":"x"}\n\n')
