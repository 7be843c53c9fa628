"""OpenAI-compatible upstreams: the request goes on as it came, the answer comes back so."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import Exchange, Prerequisites, UpstreamRequest
from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.openai import OpenAIUpstream, PassthroughExchange
from tests.upstreams.openai_streams import CHAT, RESPONSES, TRANSCRIPTION

BODY = b'{ "model" : "fast",  "messages":[ {"role":"user","content":"H\\u00e9"} ] }'
CALL = Call(
    endpoint="chat/completions",
    model="fast",
    target_model="fast",
    stream=False,
    body=BODY,
    id="0001",
    created=1_700_000_000,
    now=5.0,
    headers={"content-type": "application/json", "openai-beta": "x"},
)
UPSTREAM = OpenAIUpstream("deepseek")


def exchange(**changes: object) -> PassthroughExchange:
    return UPSTREAM.exchange(replace(CALL, **changes), {})


def test_request_goes_on_as_it_came() -> None:
    (request,) = exchange().requests

    assert request == UpstreamRequest("POST", "/chat/completions", CALL.headers, BODY)
    assert request.body is BODY


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"endpoint": "files/file-1/content", "method": "GET"}, "/files/file-1/content"),
        ({"endpoint": "files", "method": "DELETE", "query": "a=1&b=%20"}, "/files?a=1&b=%20"),
        ({"endpoint": "responses", "query": ""}, "/responses"),
    ],
)
def test_path_is_the_normalised_one_with_the_query_as_it_came(
    changes: dict[str, str], expected: str
) -> None:
    (request,) = exchange(**changes).requests

    assert request.path == expected
    assert request.method == changes.get("method", "POST")


def test_alias_changes_the_model_and_nothing_else() -> None:
    (request,) = exchange(target_model="deepseek-chat").requests

    assert request.body == BODY.replace(b"fast", b"deepseek-chat")


def test_request_without_a_body_gets_none() -> None:
    """An upload's body is streamed past, and a GET has none."""
    (request,) = exchange(body=b"", model="", target_model="x").requests

    assert request.body == b""


def test_nothing_is_looked_up_before() -> None:
    assert UPSTREAM.needs(CALL) == Prerequisites()


def test_answers_of_any_type_pass_without_headers_of_the_proxy() -> None:
    passing: Exchange = exchange()

    assert passing.raw is True
    assert passing.headers == ()
    assert passing.recover(400, b"{}") is None


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500, 503])
def test_errors_of_the_upstream_pass_on(status: int) -> None:
    assert exchange().translate_error(status, {}, b'{"error":{}}') is None


def test_our_key_refused_is_a_502() -> None:
    """The client would relate a 401 to its own key; OpenAI's text shows parts of the proxy's."""
    error = exchange().translate_error(401, {}, b'{"error":{"message":"Incorrect: sk-abcd"}}')

    assert error is not None
    assert (error.status, error.code) == (502, "upstream_auth_failed")
    assert "deepseek" in error.message
    assert "sk-" not in error.message


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b"{}", None),
        (b'{"usage":null}', None),
        (
            b'{"usage":{"prompt_tokens":9,"completion_tokens":3,'
            b'"prompt_tokens_details":{"cached_tokens":4},'
            b'"completion_tokens_details":{"reasoning_tokens":2}}}',
            TokenUsage(9, 3, 4, 2),
        ),
        (
            b'{"usage":{"input_tokens":5,"output_tokens":7,'
            b'"input_tokens_details":{"cached_tokens":1},'
            b'"output_tokens_details":{"reasoning_tokens":6}}}',
            TokenUsage(5, 7, 1, 6),
        ),
        (b'{"usage":{"prompt_tokens":5,"total_tokens":5}}', TokenUsage(5)),
        (b'{"usage":{"prompt_tokens":"five"}}', None),
        (b'{"usage":[1]}', None),
        (b'{"usage"', None),
        (b'["usage"]', None),
        (b'{"\xff":1,"usage":{"prompt_tokens":5}}', TokenUsage(5)),
        (b'{"a":' + b"[" * 200_000 + b'"usage"', None),
        (b'WEBVTT\n\n"usage"', None),
        (b"\x00\xff", None),
        (b"", None),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_answer_is_the_upstreams_very_bytes_and_its_usage_is_noted(
    body: bytes, usage: TokenUsage | None
) -> None:
    passing = exchange()
    assert (passing.usage, passing.partial_usage) == (None, None)

    passing.translate_reply(body)

    assert passing.answer() is body
    assert passing.usage == usage


@settings(deadline=None)
@given(st.binary().map(lambda tail: b'{"usage"' + tail))
def test_answer_of_any_bytes_passes(body: bytes) -> None:
    passing = exchange()

    passing.translate_reply(body)

    assert passing.answer() == body


@pytest.mark.parametrize(
    ("endpoint", "stream", "done"),
    [
        ("chat/completions", CHAT, True),
        ("completions", CHAT, True),
        ("responses", RESPONSES, True),
        ("audio/transcriptions", TRANSCRIPTION, False),
    ],
)
def test_stream_is_watched_by_the_rules_of_its_endpoint(
    endpoint: str, stream: bytes, done: bool
) -> None:
    translator = exchange(endpoint=endpoint, stream=True).stream_translator()

    assert translator.feed(stream) == stream
    assert translator.done is done
    assert translator.feed_eof() == b""


@pytest.mark.parametrize("endpoint", ["chat/completions", "responses"])
def test_stream_of_another_api_is_not_complete(endpoint: str) -> None:
    translator = exchange(endpoint=endpoint, stream=True).stream_translator()
    translator.feed(TRANSCRIPTION)

    with pytest.raises(ProxyError, match="before it was complete"):
        translator.feed_eof()


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers()), st.text(min_size=1))
def test_body_under_an_alias_says_the_same_but_for_the_model(
    fields: dict[str, int], target: str
) -> None:
    body = json.dumps({**fields, "model": "an alias"}).encode()

    (request,) = exchange(body=body, model="an alias", target_model=target).requests

    assert json.loads(request.body) == {**fields, "model": target}


def test_a_whole_answer_that_is_no_json_is_no_stream() -> None:
    passed = exchange(stream=True)
    passed.translate_reply(b"hello")

    assert passed.as_stream(None, asks_usage=False) is None


def test_a_whole_answer_with_pictures_becomes_their_events() -> None:
    passed = exchange(stream=True, endpoint="images/generations")
    passed.translate_reply(b'{"created":1,"data":[{"b64_json":"QQ=="}]}')

    assert b"image_generation.completed" in (passed.as_stream(None, asks_usage=False) or b"")


def test_a_folder_stands_before_each_path() -> None:
    (request,) = OpenAIUpstream("a", "v1beta/").exchange(replace(CALL, endpoint="x"), {}).requests

    assert request.path == "/v1beta/x"
