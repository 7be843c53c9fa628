"""Google's API as the shell sees it."""

import json

import msgspec
import pytest

from jarvis_proxy.dialects.generate_content.client_api import (
    ArrayForm,
    EventForm,
    GenerateContentApi,
)
from jarvis_proxy.dialects.generate_content.errors import error_body
from jarvis_proxy.errors import ProxyError
from tests.canonical.fakes import a_call

ERROR = ProxyError(503, "no", code="overloaded")


@pytest.mark.parametrize(
    ("query", "form"),
    [("alt=sse", EventForm), ("x=1&alt=sse", EventForm), ("", ArrayForm), ("alt=json", ArrayForm)],
)
def test_the_query_asks_for_events(query: str, form: type) -> None:
    call = msgspec.structs.replace(a_call(endpoint="streamGenerateContent"), query=query)

    assert isinstance(GenerateContentApi().stream_form(call, {}), form)


def test_an_error_is_googles_and_needs_no_header() -> None:
    api = GenerateContentApi()
    answer = api.error(ProxyError(429, "Slow down.", code="rate_limit_exceeded"), "a" * 24)

    written = json.loads(answer.body)["error"]
    assert (written["code"], written["message"]) == (answer.status, "Slow down.")
    assert written["status"] == "RESOURCE_EXHAUSTED"
    assert answer.headers == ()
    assert api.answer_headers("a" * 24) == {}


def test_an_error_in_events_is_bare_and_ends_its_line() -> None:
    form = EventForm(is_googles=True)
    form.passed(b"data: {}\r\n\r\n")

    assert form.failure(ERROR) == error_body(ERROR) + b"\n"
    assert form.content_type == "text/event-stream"
    assert form.error_pause > 0


def test_an_error_for_other_clients_is_an_event() -> None:
    indented = json.dumps({"error": {"code": 429, "message": "no"}}, indent=2).encode()
    error = ProxyError(429, "no")
    error.native = indented
    sent = EventForm(is_googles=False).failure(error)

    assert sent == b'data: {"error":{"code":429,"message":"no"}}\r\n\r\n'


def test_a_beat_is_an_empty_line() -> None:
    assert EventForm(is_googles=True).heartbeat(is_long=False, first_events_wait=False) == b"\r\n"


@pytest.mark.parametrize("passed", [b"", b"[{}", b"\r\n"])
def test_an_error_closes_the_array(passed: bytes) -> None:
    form = ArrayForm()
    form.passed(passed)

    beat = form.heartbeat(is_long=False, first_events_wait=False)
    whole = json.loads(beat + passed + beat + form.failure(ERROR))

    assert whole[-1] == json.loads(error_body(ERROR))
    assert form.content_type.startswith("application/json")


def test_an_error_of_googles_leaves_its_array() -> None:
    error = ProxyError(503, "no", code="overloaded")
    error.native = b'[{"error":{"code":503}}]'

    assert EventForm(is_googles=True).failure(error) == b'{"error":{"code":503}}\n'
    assert ArrayForm().failure(error) == b'[{"error":{"code":503}}]'
