"""Google's API as the shell sees it."""

import json

import msgspec
import pytest

from jarvis_proxy.dialects.generate_content.client_api import GenerateContentApi
from jarvis_proxy.dialects.generate_content.stream_forms import ArrayForm, EventForm
from jarvis_proxy.errors import ProxyError
from tests.canonical.fakes import a_call


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

    told = json.loads(answer.body)["error"]
    assert (told["code"], told["message"]) == (answer.status, "Slow down.")
    assert told["status"] == "RESOURCE_EXHAUSTED"
    assert answer.headers == ()
    assert api.answer_headers("a" * 24) == {}
