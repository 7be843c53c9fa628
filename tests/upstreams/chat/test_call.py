"""One call to a chat service: asked again where that helps, and remembered for the model."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import NOTHING_NEEDED, Exchange, Media
from jarvis_proxy.canonical.request import CanonicalRequest, SameParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.call import ChatAdapter, ChatCall
from jarvis_proxy.upstreams.chat.target import ChatTarget
from jarvis_proxy.upstreams.openai import OpenAIUpstream
from tests.support.recorded_answer import RecordedAnswer, ids_in_order
from tests.upstreams.chat.requests import USER, WEATHER, Json, called, result
from tests.upstreams.chat.streams import call as call_chunk
from tests.upstreams.chat.streams import chunk, sse, whole

TARGET = ChatTarget("deepseek", "", switches_thinking=True)
TEMPERATURE = {"message": "Unsupported value: 'temperature'.", "param": "temperature"}
EFFORT = {"message": "Unsupported parameter: 'reasoning_effort'."}


def an_adapter(target: ChatTarget = TARGET) -> ChatAdapter:
    return ChatAdapter(target, OpenAIUpstream(target.upstream), ids_in_order())


def a_call(endpoint: str = "responses", **more: Any) -> Call:
    fields: Json = {"stream": False, "now": 100.0, "target_model": "m", **more}
    return Call(endpoint=endpoint, model="alias", body=b"{}", id="i" * 24, created=1000, **fields)


def translated(
    adapter: ChatAdapter, call: Call | None = None, *, sealed: bool = True, **fields: Any
) -> ChatCall:
    body = json.dumps({"messages": [USER], **fields}).encode()
    request = CanonicalRequest(body=body, params=SameParams(), sealed=sealed)
    return adapter.translate(call or a_call(), lambda: request, {})


def sent(call: ChatCall) -> Json:
    (request,) = call.requests
    body: Json = json.loads(request.body)
    return body


def refusal(error: Json) -> bytes:
    return json.dumps({"error": error}).encode()


LINK = "https://example.com/a.pdf"


@pytest.mark.parametrize(
    ("content", "urls"),
    [
        ([{"type": "file", "file": {"file_url": LINK}}] * 2, (LINK,)),
        ([{"type": "image_url", "image_url": {"url": LINK}}], ()),
        ([{"type": "text", "text": 'a "file"'}], ()),
        ("text", ()),
        ([{"type": 5, "file": "file"}], ()),
    ],
)
def test_files_behind_links_are_downloaded_and_pictures_are_not(
    content: object, urls: tuple[str, ...]
) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    request = CanonicalRequest(body=body, params=SameParams())
    off = ChatAdapter(TARGET, OpenAIUpstream("deepseek"), ids_in_order(), fetches=False)

    assert an_adapter().canonical_needs(a_call(), request).urls == urls
    assert off.canonical_needs(a_call(), request).urls == ()


def test_a_download_is_sent_and_sent_again_with_what_helps() -> None:
    content = [{"type": "file", "file": {"file_url": LINK}}]
    body = json.dumps({"messages": [{"role": "user", "content": content}], "temperature": 0.5})
    request = CanonicalRequest(body=body.encode(), params=SameParams())
    media = {LINK: Media("application/pdf", b"%PDF-1.7 x")}
    call = an_adapter().translate(a_call(), lambda: request, media)
    again = call.recover(400, refusal(TEMPERATURE))

    assert again is not None
    assert sent(call)["messages"] == sent(again)["messages"]
    assert sent(again)["messages"][0]["content"][0]["file"]["filename"] == "a.pdf"


def test_too_many_links_are_refused() -> None:
    files = [{"type": "file", "file": {"file_url": f"{LINK}?{n}"}} for n in range(100)]
    body = json.dumps({"messages": [{"role": "user", "content": files}]}).encode()

    with pytest.raises(ProxyError, match="At most"):
        an_adapter().canonical_needs(a_call(), CanonicalRequest(body=body, params=SameParams()))


def test_request_goes_to_chat_completions_with_the_upstreams_model() -> None:
    call = translated(an_adapter(), temperature=0.5)
    (request,) = call.requests

    assert (request.method, request.path) == ("POST", "/chat/completions")
    assert request.headers == {"Content-Type": "application/json"}
    assert sent(call) == {"model": "m", "messages": [USER], "temperature": 0.5}


def test_request_is_asked_again_without_what_was_refused() -> None:
    call = translated(an_adapter(), temperature=0.5, reasoning_effort="high")
    better = call.recover(400, refusal(TEMPERATURE))
    assert better is not None
    assert sent(better).keys() == {"model", "messages", "reasoning_effort"}
    assert better.ignored == ("temperature",)

    best = better.recover(400, refusal(EFFORT))
    assert best is not None
    assert sent(best).keys() == {"model", "messages"}
    assert best.recover(400, refusal(TEMPERATURE)) is None


def test_first_refusal_is_sent_when_the_second_request_is_refused_too() -> None:
    call = translated(an_adapter(), temperature=0.5)
    better = call.recover(400, refusal(TEMPERATURE))
    assert better is not None

    assert better.translate_error(400, {}, refusal({"message": "Other."})).param == "temperature"
    assert better.translate_error(429, {}, refusal({"message": "Slow."})).status == 429
    too_long = refusal({"message": "long", "code": "context_length_exceeded"})
    assert better.translate_error(400, {}, too_long).code == "context_length_exceeded"


def test_next_call_to_the_model_leaves_out_what_was_refused() -> None:
    adapter = an_adapter()
    fields: Json = {"reasoning_effort": "high"}
    better = translated(adapter, **fields).recover(400, refusal(EFFORT))
    assert better is not None
    assert "reasoning_effort" in sent(translated(adapter, **fields))

    better.reader(RecordedAnswer(), 0)  # the request was taken

    assert "reasoning_effort" not in sent(translated(adapter, **fields))
    other, later = a_call(target_model="n"), a_call(now=3701.0)
    assert "reasoning_effort" in sent(translated(adapter, other, **fields))
    assert "reasoning_effort" in sent(translated(adapter, later, **fields))


def test_lost_reasoning_is_found_out_again_at_each_request() -> None:
    adapter = an_adapter()
    fields: Json = {"messages": [USER, called("a"), result("a")]}
    says = refusal({"message": "The `reasoning_content` must be passed back to the API."})
    better = translated(adapter, **fields).recover(400, says)
    assert better is not None
    assert sent(better)["thinking"] == {"type": "disabled"}

    better.reader(RecordedAnswer(), 0)

    assert "thinking" not in sent(translated(adapter, **fields))


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_other_statuses_are_not_asked_again(status: int) -> None:
    call = translated(an_adapter(), temperature=0.5)

    assert call.recover(status, refusal(TEMPERATURE)) is None


def test_refusal_of_a_message_names_the_clients_message() -> None:
    history = [{"role": "system", "content": "A"}, {"role": "system", "content": "B"}, USER]
    call = translated(an_adapter(), messages=history)
    error = call.translate_error(400, {}, refusal({"message": "x", "param": "messages[1].content"}))

    assert error.param == "messages[2].content"


def test_refused_key_is_reported_with_the_upstreams_name() -> None:
    error = translated(an_adapter()).translate_error(401, {}, refusal({"message": "No."}))

    assert "deepseek" in error.message


def test_refusal_behind_a_good_status_can_be_recovered_from() -> None:
    call = translated(an_adapter(), temperature=0.5)
    reader = call.reader(RecordedAnswer(), 0)
    with pytest.raises(ProxyError) as caught:
        reader.feed(b"data: " + refusal({**TEMPERATURE, "code": 400}) + b"\n\n")

    assert call.recover(caught.value.status, caught.value.refusal) is not None


def test_reasoning_is_sealed_with_the_upstreams_name_for_clients_that_return_it() -> None:
    body = whole({"content": "Hi", "reasoning_content": "Hm."})
    for sealed in (True, False):
        answer = RecordedAnswer()
        translated(an_adapter(), sealed=sealed).reader(answer, 0).read_whole(body)
        owners = [said.owner for name, said in answer.choices[0].events if name == "seal"]  # type: ignore[attr-defined]
        assert owners == (["chat.deepseek"] if sealed else [])


@pytest.mark.parametrize(
    ("wanted", "setting", "shown"),
    [(False, False, ""), (True, False, "Hm."), (False, True, "Hm.")],
)
def test_thoughts_are_shown_to_clients_that_want_them(
    wanted: bool, setting: bool, shown: str
) -> None:
    body = json.dumps({"messages": [USER]}).encode()
    request = CanonicalRequest(body=body, params=SameParams(), show_thoughts=wanted)
    call = an_adapter().translate(a_call(show_thoughts=setting), lambda: request, {})
    answer = RecordedAnswer()
    call.reader(answer, 0).read_whole(whole({"content": "Hi", "reasoning_content": "Hm."}))

    assert answer.choices[0].joined("thought") == shown


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("responses", "city=Oslo"),
        ("chat/completions", "city=Oslo"),
        ("messages", '{"_raw_arguments":"city=Oslo"}'),
        ("generateContent", '{"_raw_arguments":"city=Oslo"}'),
    ],
)
def test_arguments_that_are_no_object_are_wrapped_for_some_clients(
    endpoint: str, expected: str
) -> None:
    answer = RecordedAnswer()
    call = translated(an_adapter(), a_call(endpoint, stream=True), tools=[WEATHER])
    chunks = call_chunk(0, "a", "get_weather", "city=Oslo"), chunk(finish="tool_calls")
    call.reader(answer, 0).feed(sse(chunks))

    assert [text for _, text in answer.choices[0].calls()] == [expected]


def test_calls_that_are_not_translated_are_relayed() -> None:
    adapter = an_adapter()
    call = a_call("embeddings")

    assert adapter.needs(call) == NOTHING_NEEDED
    exchange: Exchange = adapter.exchange(call, {})
    assert [request.path for request in exchange.requests] == ["/embeddings"]
    assert not adapter.features(call).draws


def test_request_that_cannot_be_read_again_is_not_sent_again() -> None:
    bodies = [b"{", json.dumps({"messages": [USER], "temperature": 0.5}).encode()]
    call = an_adapter().translate(
        a_call(), lambda: CanonicalRequest(body=bodies.pop(), params=SameParams()), {}
    )

    assert call.recover(400, refusal(TEMPERATURE)) is None
