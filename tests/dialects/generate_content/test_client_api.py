"""Google's API as the shell sees it."""

import json

import pytest

from jarvis_proxy.canonical.client_api import ClientApi
from jarvis_proxy.dialects.generate_content.client_api import GenerateContentApi
from jarvis_proxy.errors import ProxyError
from tests.dialects.generate_content.test_dialect import a_call

API: ClientApi = GenerateContentApi()


def test_an_error_keeps_its_status_and_has_no_header_of_its_own() -> None:
    answer = API.error(ProxyError(503, "no", code="overloaded"), "c" * 24)

    assert (answer.status, answer.headers) == (503, ())
    assert json.loads(answer.body)["error"]["status"] == "UNAVAILABLE"
    assert API.answer_headers("c" * 24) == {}


@pytest.mark.parametrize(
    ("query", "content_type"),
    [("alt=sse", "text/event-stream"), ("", "application/json; charset=UTF-8")],
)
def test_g4_e13_each_form_of_a_stream_has_its_type(query: str, content_type: str) -> None:
    form = API.stream_form(a_call(query=query), {})

    assert form.content_type == content_type
    assert form.number_events(relayed=True) is None
    assert form.end_mark == b""


@pytest.mark.parametrize("query", ["alt=sse", ""])
def test_signs_of_life_are_no_content(query: str) -> None:
    form = API.stream_form(a_call(query=query), {})
    frame = b'data: {"candidates":[]}\r\n\r\n' if query else b'[{"candidates":[]}'

    assert not form.has_content(form.heartbeat(is_long=True, first_events_wait=False))
    assert form.has_content(frame)
