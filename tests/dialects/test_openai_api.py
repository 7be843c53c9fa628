"""OpenAI's APIs as the shell sees them."""

import json

from jarvis_proxy.dialects.openai_api import ChunkForm, OpenAIApi, ResponseForm, SoundForm
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.wire.sse import KEEPALIVE
from tests.canonical.fakes import a_call

ERROR = ProxyError(503, "All upstreams rest.", code="overloaded")


def test_responses_have_a_form_of_their_own() -> None:
    api = OpenAIApi()

    assert isinstance(api.stream_form(a_call(b"{}", endpoint="responses"), {}), ResponseForm)
    assert isinstance(api.stream_form(a_call(b"{}"), {}), ChunkForm)
    assert isinstance(api.stream_form(a_call(b"{}", endpoint="completions"), {}), ChunkForm)


def test_an_error_is_openais() -> None:
    answer = OpenAIApi().error(ERROR, "a" * 24)

    assert (answer.status, answer.headers) == (503, ())
    assert json.loads(answer.body)["error"]["code"] == "overloaded"


def test_chunks_fail_with_one_event_and_have_no_numbers() -> None:
    form = OpenAIApi().stream_form(a_call(b"{}"), {})
    event = form.failure(ERROR)

    assert event == ERROR.event()
    assert form.number_events(relayed=False) is None
    assert form.end_mark == b"data: [DONE]\n\n"


def test_a_short_silence_of_chunks_is_a_comment() -> None:
    form = OpenAIApi().stream_form(a_call(b"{}"), {})

    assert form.heartbeat(is_long=False, first_events_wait=False) == KEEPALIVE
    assert not form.has_content(KEEPALIVE)


def test_a_response_fails_with_both_events() -> None:
    form = OpenAIApi().stream_form(a_call(b"{}", endpoint="responses"), {})
    events = form.failure(ERROR)

    assert b'"type":"error"' in events
    assert b'"type":"response.failed"' in events
    assert form.end_mark == b""


def test_events_of_a_response_are_numbered_from_the_start() -> None:
    form = OpenAIApi().stream_form(a_call(b"{}", endpoint="responses"), {})

    assert form.number_events(relayed=False) is not None


def test_a_long_silence_of_chunks_is_what_the_client_needs() -> None:
    form = OpenAIApi().stream_form(a_call(b"{}"), {"x-stainless-lang": "js"})
    form.passed(b'data: {"id":"c1","created":7,"model":"n","choices":[]}\n\n')
    beat = json.loads(form.heartbeat(is_long=True, first_events_wait=False)[6:])

    assert (beat["id"], beat["created"], beat["model"]) == ("c1", 7, "n")
    assert beat["choices"][0]["delta"] == {}


def test_nothing_but_sound_stands_in_a_stream_of_sound() -> None:
    body = b'{"model":"m","input":"Hi","voice":"v","response_format":"pcm",'
    body += b'"stream_format":"audio"}'
    form = OpenAIApi().stream_form(a_call(body, endpoint="audio/speech"), {})
    form.passed(b"\0\0")

    assert isinstance(form, SoundForm)
    assert form.has_content(b"\0\0")
    assert not form.has_content(b"")
    assert form.number_events(relayed=False) is None
    assert form.heartbeat(is_long=True, first_events_wait=False) == b""
    assert form.failure(ERROR) == b""


def test_a_silence_of_a_response_is_an_event_for_clients_that_count_these() -> None:
    call = a_call(b"{}", endpoint="responses")
    headers = {"user-agent": "codex_cli_rs/0.50"}
    counting, other = OpenAIApi().stream_form(call, headers), OpenAIApi().stream_form(call, {})

    beats = [form.heartbeat(is_long=True, first_events_wait=False) for form in (counting, other)]
    assert b'"type":"response.in_progress"' in beats[0]
    assert beats[1] == KEEPALIVE
