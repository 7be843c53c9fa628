"""What the shell relies on in each client API: errors, heartbeats and failures."""

import msgspec
import pytest

from jarvis_proxy.canonical.client_api import ClientApi
from jarvis_proxy.dialects.generate_content.client_api import GenerateContentApi
from jarvis_proxy.dialects.messages.client_api import MessagesApi
from jarvis_proxy.dialects.openai_api import OpenAIApi
from jarvis_proxy.errors import ProxyError
from tests.canonical.fakes import a_call

ERROR = ProxyError(503, "All upstreams rest.", code="overloaded")
APIS = [
    pytest.param(OpenAIApi(), "chat/completions", "", id="chunks"),
    pytest.param(OpenAIApi(), "responses", "", id="responses"),
    pytest.param(MessagesApi(), "messages", "", id="messages"),
    pytest.param(GenerateContentApi(), "streamGenerateContent", "alt=sse", id="events"),
    pytest.param(GenerateContentApi(), "streamGenerateContent", "", id="array"),
]


@pytest.mark.parametrize(("api", "endpoint", "query"), APIS)
def test_an_error_says_its_message_once_as_an_answer_and_in_a_stream(
    api: ClientApi, endpoint: str, query: str
) -> None:
    call = msgspec.structs.replace(a_call(b"{}", endpoint=endpoint), query=query)
    whole = api.error(ERROR, call.id)
    form = api.stream_form(call, {})

    assert whole.status >= 500
    assert b"All upstreams rest." in whole.body
    assert b"All upstreams rest." in form.failure(ERROR)


@pytest.mark.parametrize(("api", "endpoint", "query"), APIS)
def test_before_an_answer_a_stream_has_no_content(
    api: ClientApi, endpoint: str, query: str
) -> None:
    call = msgspec.structs.replace(a_call(b"{}", endpoint=endpoint), query=query)
    form = api.stream_form(call, {})

    assert not form.has_content(b"")
    assert form.heartbeat(is_long=False, first_events_wait=False)
    assert form.error_pause >= 0
