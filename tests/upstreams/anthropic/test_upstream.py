"""Anthropic's adapter: requests, continuations, errors and recoveries of one call."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.anthropic.upstream import VERSION
from tests.support.recorded_answer import RecordedAnswer
from tests.support.strict_anthropic import check
from tests.upstreams.anthropic.answers import block, end, sse, start, text
from tests.upstreams.anthropic.chat import NEWEST, PNG, V35, Json, asking, function, user
from tests.upstreams.anthropic.upstream import call_for, canonical, new_call, new_upstream

SEARCH: Json = {"tools": [{"type": "web_search"}]}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def body_of(request: Any) -> Json:
    """Return a request's body."""
    decoded: Json = json.loads(request.body)
    return decoded


@pytest.mark.parametrize("stream", [False, True])
def test_the_request_names_the_upstreams_model_and_version(stream: bool) -> None:
    (request,) = call_for(asking(), NEWEST, stream=stream).requests

    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers == {"Content-Type": "application/json", "anthropic-version": VERSION}
    assert body_of(request)["model"] == NEWEST
    assert body_of(request).get("stream", False) is stream


def test_links_are_downloaded_first() -> None:
    upstream, call = new_upstream(), new_call()
    request = canonical(asking(user([IMAGE])))
    needed = upstream.canonical_needs(call, request)
    media = {url: Media("image/png", b"\x89PNG\r\n\x1a\n") for url in needed.urls}
    (sent,) = upstream.translate(call, lambda: request, media, needed.decoded).requests

    source = body_of(sent)["messages"][0]["content"][0]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": PNG}


def test_a_request_is_read_again_without_what_was_decoded() -> None:
    upstream, call = new_upstream(), new_call()
    request = canonical(asking(reasoning_effort="high"), show_thoughts=True)
    read: list[int] = []

    def reads() -> Any:
        read.append(1)
        return request

    made = upstream.translate(call, reads, {})
    better = made.recover(400, b'{"error":{"message":"max_tokens: 5 > 4"}}')

    assert better is not None
    assert len(read) == 2
    assert body_of(better.requests[0])["max_tokens"] == 4


def test_thoughts_are_shown_to_clients_that_want_them() -> None:
    upstream, call = new_upstream(), new_call()
    request = canonical(asking(thinking={"type": "adaptive"}), show_thoughts=True)
    needed = upstream.canonical_needs(call, request)
    (sent,) = upstream.translate(call, lambda: request, {}, needed.decoded).requests

    assert body_of(sent)["thinking"]["display"] == "summarized"


def test_the_answer_is_read_with_the_clients_names() -> None:
    made = call_for(asking(tools=[function("a.b")]))
    answer = RecordedAnswer()
    reader = made.reader(answer, 0)
    tool = {"type": "tool_use", "id": "toolu_1", "name": "a_b", "input": {}}
    reader.feed(sse(start(), *block(0, tool), *end("tool_use")))

    assert answer.choice(0).calls()[0][0].name == "a.b"


def test_a_paused_turn_is_continued_with_its_own_blocks() -> None:
    made = call_for(asking(**SEARCH), stream=True)
    reader = made.reader(RecordedAnswer(), 0)
    reader.feed(sse(start(), *text(0, "So far."), *end("pause_turn")))
    reader.feed_eof()

    assert reader.next_request is not None
    (first,) = made.requests
    assert reader.next_request.path == first.path
    expected = body_of(first)
    said = {"role": "assistant", "content": [{"type": "text", "text": "So far."}]}
    expected["messages"].append(said)
    assert body_of(reader.next_request) == expected


def test_without_tools_of_the_upstreams_nothing_is_kept() -> None:
    reader = call_for(asking()).reader(RecordedAnswer(), 0)
    reader.feed(sse(start(), *text(0, "So far. " * 100), *end("pause_turn")))
    reader.feed_eof()

    assert reader.next_request is None
    assert reader.done
    assert reader.held < 100


def test_errors_name_the_clients_model() -> None:
    error = call_for(asking()).translate_error(404, {}, b'{"error":{"message":"model: x"}}')

    assert (error.code, "my-claude" in error.message) == ("model_not_found", True)


@pytest.mark.parametrize("model", ["", "a b", "x" * 300, "a\nb"])
def test_a_name_that_no_model_has_is_not_found(model: str) -> None:
    with pytest.raises(ProxyError) as caught:
        call_for(asking(), model)

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_other_endpoints_are_not_served() -> None:
    upstream, call = new_upstream(), new_call(endpoint="embeddings")

    assert upstream.needs(call).urls == ()
    with pytest.raises(ProxyError) as caught:
        upstream.exchange(call, {})
    assert (caught.value.status, caught.value.code) == (400, "unsupported_endpoint")


def test_what_is_left_out_is_reported() -> None:
    made = call_for(asking(seed=1, reasoning_effort="low"), V35)

    assert made.ignored == ("seed", "reasoning_effort")
    assert made.headers == ()
    check(body_of(made.requests[0]))
