"""Chat completions answers, cut anywhere, become canonical events or an error; nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.chat.reader import ChatReader, chat_usage
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails
from tests.support.recorded_answer import RecordedAnswer
from tests.support.recordings import recordings, response_of
from tests.support.splits import assert_same_for_every_split, cut_at
from tests.upstreams.chat.interleaved import TEXTS, answers
from tests.upstreams.chat.streams import (
    Json,
    call,
    chunk,
    context,
    only_choice,
    only_choice_of,
    read,
    sse,
    whole,
)

USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
STREAM = sse(
    [
        chunk({"role": "assistant", "reasoning_content": "Hm … "}),
        chunk({"content": "Héllo"}),
        call(0, "call_a", "f", '{"city":'),
        call(1, "call_b", "g", "{}"),
        call(0, None, None, '"Köln"}'),
        chunk(finish="tool_calls"),
        {"id": "chatcmpl-1", "choices": [], "usage": USAGE},
    ]
)


def error_of(stream: bytes | list[bytes], answer: RecordedAnswer) -> ProxyError | None:
    """Return the error of a stream that is read into *answer*, None if it has none."""
    try:
        read(stream, answer=answer)
    except ProxyError as error:
        return error
    return None


def failure(stream: bytes | list[bytes]) -> ProxyError:
    """Return the error of a stream."""
    error = error_of(stream, RecordedAnswer())
    assert error is not None
    return error


@pytest.mark.slow
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_stream_reads_the_same_however_it_is_cut(end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)

    def events(pieces: Any) -> object:
        reader, answer = read(pieces)
        return answer.choices[0].events, reader.usage, reader.done, reader.held

    found = assert_same_for_every_split(events, stream)
    assert found[1:] == (ChatUsage(9, 3, 12), True, 0)  # type: ignore[index]


def test_whole_answer_reads_as_its_stream() -> None:
    calls = [
        {"id": "call_a", "function": {"name": "f", "arguments": '{"city":"Köln"}'}},
        {"id": "call_b", "function": {"name": "g", "arguments": "{}"}},
    ]
    message = {"content": "Héllo", "reasoning_content": "Hm … ", "tool_calls": calls}
    choice = only_choice_of(whole(message, "tool_calls"))

    assert choice.events == read(STREAM)[1].choices[0].events


@pytest.mark.slow
def test_stream_cut_before_its_finish_reason_is_truncated() -> None:
    complete = STREAM.index(b'"finish_reason": "tool_calls"') + 32

    for length in range(len(STREAM)):
        answer = RecordedAnswer()
        error = error_of(STREAM[:length], answer)
        if length < complete:
            assert error is not None
            assert (error.status, error.code) == (502, "upstream_truncated")
            assert not any(choice.finished for choice in answer.choices.values())
        else:
            assert error is None


def test_done_without_a_finish_reason_is_truncated() -> None:
    assert failure(sse([chunk({"content": "Hi"})])).code == "upstream_truncated"
    assert failure(sse([])).code == "upstream_truncated"
    assert failure(b"").code == "upstream_truncated"


def test_each_choice_needs_its_reason() -> None:
    second = chunk({"content": "B"})
    second["choices"][0]["index"] = 1

    assert failure(sse([chunk({"content": "A"}, "stop"), second])).code == "upstream_truncated"


def test_stream_may_end_without_done() -> None:
    reader, answer = read(sse([chunk({"content": "Hi"}, "stop")], done=False))

    assert reader.done
    assert answer.choices[0].events == [("text", "Hi"), ("finish", "stop")]


def test_finish_reason_may_come_more_than_once_and_before_the_rest() -> None:
    choice = only_choice(
        chunk({"content": "A"}, "stop"), call(0, "call_a", "f", "{}"), chunk(finish="tool_calls")
    )

    assert [name for name, _ in choice.events] == ["text", "call", "arguments", "finish"]


def test_choices_are_kept_apart() -> None:
    second = chunk({"content": "B"}, "length")
    second["choices"][0]["index"] = 1
    _, answer = read(sse([second, chunk({"content": "A"}, "stop")]))

    assert answer.choices[0].events == [("text", "A"), ("finish", "stop")]
    assert answer.choices[1].events == [("text", "B"), ("finish", "length")]


@pytest.mark.parametrize("index", [None, -1, "0", 10**9, True])
def test_odd_index_of_a_choice_is_the_first(index: object) -> None:
    odd = chunk({"content": "A"}, "stop")
    odd["choices"][0]["index"] = index
    _, answer = read(sse([odd]))

    assert sum(len(choice.events) for choice in answer.choices.values()) == 2


def test_last_usage_counts() -> None:
    first = {**chunk({"content": "Hi"}), "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}
    last = {"choices": [], "usage": usage}
    reader, _ = read(sse([first, chunk(finish="stop"), last, {"choices": [], "usage": None}]))

    expected = PromptTokensDetails(cached_tokens=4)
    assert reader.usage == ChatUsage(9, 3, 12, prompt_tokens_details=expected)


def test_service_tier_is_noted() -> None:
    reader, _ = read(sse([{**chunk({"content": "Hi"}, "stop"), "service_tier": "flex"}]))

    assert reader.service_tier == "flex"


@pytest.mark.parametrize(
    ("frame", "status", "code"),
    [
        (
            {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}},
            429,
            "rate_limit_exceeded",
        ),
        ({"error": {"message": "Bad gateway.", "code": 502}}, 502, 502),
        ({"error": "It broke."}, 502, "upstream_error"),
        ({"object": "error", "message": "It broke.", "code": 400}, 400, 400),
        ({**chunk(), "error": {"message": "It broke.", "code": 503}}, 503, 503),
        (chunk(finish="error", error={"message": "It broke.", "code": 503}), 503, 503),
    ],
)
def test_error_in_a_stream_is_the_error(frame: Json, status: int, code: object) -> None:
    answer = RecordedAnswer()
    with pytest.raises(ProxyError) as caught:
        read(sse([chunk({"content": "Hi"}), frame]), answer=answer)

    assert (caught.value.status, caught.value.code) == (status, code)
    assert answer.choices[0].events[0] == ("text", "Hi")
    assert answer.choices[0].finished is None


def test_named_error_event_is_the_error() -> None:
    stream = b'event: error\ndata: {"message":"It broke.","code":503}\n\n'

    assert failure(stream).status == 503


def test_refused_key_in_a_stream_is_the_proxys_own_fault() -> None:
    error = {"message": "Incorrect API key sk-abcdef", "code": "invalid_api_key"}

    assert failure(sse([{"error": error}])).code == "upstream_auth_failed"


@pytest.mark.parametrize(
    "nothing",
    [
        b'data: {"choices":[]}\n\n',
        b": keepalive\n\n",
        b"event: ping\ndata: {}\n\n",
        b"event: ping\ndata: not JSON\n\n",
        b"data:\n\n",
        b'data: {"id":"x","object":"chat.completion.chunk","prompt_filter_results":[]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{}}],"error":null}\n\n',
        b'data: {"choices":[null],"base_resp":{"status_code":0}}\n\n',
    ],
)
def test_events_that_say_nothing_are_nothing(nothing: bytes) -> None:
    stream = nothing + sse([chunk({"content": "Hi"}, "stop")]) + nothing

    assert read(stream)[1].choices[0].events == [("text", "Hi"), ("finish", "stop")]


def test_broken_event_is_an_error_until_the_answer_is_there() -> None:
    broken = b'data: {"choices":\n\n'

    assert failure(broken).code == "upstream_bad_frame"
    done = read(sse([chunk({"content": "Hi"}, "stop")], done=False) + broken)[1]
    assert done.choices[0].events[-1] == ("finish", "stop")


def test_error_after_the_last_finish_reason_is_ignored() -> None:
    _, answer = read(sse([chunk({"content": "Hi"}, "stop"), {"error": {"message": "Late."}}]))

    assert answer.choices[0].events[-1] == ("finish", "stop")


def test_whole_json_for_a_stream_is_read_as_whole() -> None:
    body = b"\n " + whole({"content": "Hello"}, usage=USAGE)

    def events(pieces: Any) -> object:
        reader, answer = read(pieces)
        return answer.choices[0].events, reader.usage

    found = assert_same_for_every_split(events, body)
    assert found == ([("text", "Hello"), ("finish", "stop")], ChatUsage(9, 3, 12))


def test_error_as_whole_json_for_a_stream_is_the_error() -> None:
    body = json.dumps({"error": {"message": "Slow.", "code": "rate_limit_exceeded"}}).encode()

    assert failure(body).status == 429


def test_whole_json_that_is_cut_is_an_error() -> None:
    assert failure(whole({"content": "Hello"})[:-9]).code == "upstream_bad_response"


def test_stream_for_a_whole_answer_is_read_as_a_stream() -> None:
    assert only_choice_of(STREAM).events == read(STREAM)[1].choices[0].events


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"Service unavailable", b" \n<!doctype"])
def test_page_instead_of_a_stream_is_a_bad_response(page: bytes) -> None:
    error = failure(page)

    assert (error.status, error.code) == (502, "upstream_bad_response")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":[]}', b"<html>", b"null"])
def test_whole_body_without_a_choice_is_a_bad_response(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        only_choice_of(body)

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_response")


def test_whole_answer_without_a_finish_reason_is_complete() -> None:
    choice = only_choice_of(whole({"content": "Hi"}, None))

    assert choice.events == [("text", "Hi"), ("finish", "stop")]


def test_event_past_the_limit_is_refused() -> None:
    assert failure([b"data: {", *[b" " * 1024 * 1024] * 40]).code == "upstream_frame_too_large"


def test_json_past_the_limit_is_refused() -> None:
    assert failure([b"{", *[b" " * 1024 * 1024] * 40]).code == "upstream_frame_too_large"


def test_halves_of_surrogate_pairs_become_replacement_characters() -> None:
    choice = only_choice(chunk({"content": "a\ud83d"}), chunk({"content": "\ude00b"}, "stop"))

    assert choice.joined("text").encode() == "a\ufffd\ufffdb".encode()


def test_event_that_only_lenient_readers_take_is_read() -> None:
    stream = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"x":NaN}]}\n\n'

    choice = read(stream + sse([chunk(finish="stop")]))[1].choices[0]
    assert choice.joined("text") == "a"


def test_event_with_too_many_halves_of_surrogate_pairs_is_refused() -> None:
    stream = b'data: {"choices":[],"x":"' + b"\\ud83d" * 60_000 + b'"}\n\n'

    assert failure(stream).code == "upstream_bad_frame"


def test_event_with_very_many_values_is_refused() -> None:
    stream = b'data: {"choices":[' + b"{}," * 4_000_000 + b"{}]}\n\n"

    assert failure(stream).code == "upstream_bad_frame"


def test_half_an_event_at_the_end_is_a_cut() -> None:
    whole_event = sse([chunk({"content": "Hi"})], done=False)

    assert failure(whole_event + b'data: {"choices":[{"del').code == "upstream_truncated"


def test_error_at_the_end_that_lacks_its_blank_line_is_reported() -> None:
    assert failure(b'data: {"error":{"message":"It broke.","code":503}}').status == 503


def test_prompt_that_is_too_long_is_said_in_a_stream_too() -> None:
    says = "prompt is too long: 210000 tokens > 200000 maximum"
    error = failure(sse([{"error": {"message": says, "code": 400}}]))

    assert (error.status, error.code) == (400, "context_length_exceeded")


def test_held_bytes_are_counted() -> None:
    reader = ChatReader(RecordedAnswer(), context())
    thoughts, text = "t" * 5000, "x" * 7000
    reader.feed(sse([chunk({"reasoning_content": thoughts})], done=False))
    assert reader.held > 5000

    reader.feed(sse([call(0, "a", "f", "{"), chunk({"content": text})], done=False))
    assert 7000 < reader.held < 8000


def test_finish_without_content_is_an_empty_answer() -> None:
    assert only_choice(chunk(finish="length")).events == [("finish", "length")]


def test_nothing_is_read_behind_the_end() -> None:
    answer = RecordedAnswer()
    reader = ChatReader(answer, context())
    reader.feed(sse([chunk({"content": "Hi"}, "stop")]))
    assert reader.done

    reader.feed(sse([chunk({"content": "more"}, "stop")]))
    reader.feed_eof()

    assert answer.choices[0].joined("text") == "Hi"


def is_chat_answer(recording: dict[str, Any] | None) -> bool:
    """Return whether *recording* has an answer of chat completions; None: there is none."""
    if recording is None:
        return True
    is_chat = recording["request"]["path"].endswith("/chat/completions")
    return bool(is_chat and recording["response"]["status"] == 200)


@pytest.mark.parametrize(
    "recording", [one for one in recordings("openai") if is_chat_answer(one.values[0])]
)
def test_recorded_answers_of_openai_are_read(recording: dict[str, Any]) -> None:
    body, _ = response_of(recording)

    reader, answer = read(body)

    assert reader.done
    assert all(choice.finished for choice in answer.choices.values())


# --- properties ---------------------------------------------------------------------------------


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(answers(), st.lists(st.integers(0, 5000), max_size=8))
def test_any_interleaving_and_any_cut_gives_nested_calls(
    made: tuple[list[Json], list[tuple[str, str]], str, str], cuts: list[int]
) -> None:
    chunks, calls, text, thoughts = made
    stream = sse(chunks)

    reader, answer = read(cut_at(stream, [min(cut, len(stream)) for cut in cuts]))
    choice = answer.choices[0]  # it has checked the order of what it was given

    found = {start.id: (start.name, arguments) for start, arguments in choice.calls()}
    assert found == {f"call_{number}": one for number, one in enumerate(calls)}
    assert (choice.joined("text"), choice.joined("thought")) == (text, thoughts)
    assert "".join(s.payload for n, s in choice.events if n == "seal") == thoughts  # type: ignore[attr-defined]
    assert choice.events[-1] == ("finish", "tool_calls" if calls else "stop")
    assert reader.held == 0


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(answers(), st.data())
def test_damaged_stream_gives_nested_calls_or_an_error(
    made: tuple[list[Json], list[tuple[str, str]], str, str], data: st.DataObject
) -> None:
    stream = bytearray(sse(made[0]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    answer = RecordedAnswer()
    error = error_of(bytes(stream), answer)
    assert error is None or 400 <= error.status < 600
    for choice in answer.choices.values():
        assert all(isinstance(start, CallStart) for start, _ in choice.calls())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
KEYS = (
    "content", "reasoning_content", "reasoning", "reasoning_details", "refusal", "tool_calls",
    "function_call", "images", "annotations",
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON_VALUES), max_size=4), st.booleans())
def test_fields_of_any_type_give_an_answer_or_an_error(deltas: list[Json], stream: bool) -> None:
    answer = RecordedAnswer()
    events = sse([*map(chunk, deltas), chunk(finish="stop")])
    error = error_of(events if stream else whole(deltas[0] if deltas else {}), answer)

    assert error is None or error.status == 502
    assert error is not None or answer.choices[0].finished is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}},
        {"choices": [{"usage": {"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 4}}]},
        {"x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "cached_tokens": 4}}},
    ],
)
def test_cached_tokens_of_deepseek_and_others_are_counted(fields: dict[str, Any]) -> None:
    expected = ChatUsage(9, 3, 12, prompt_tokens_details=PromptTokensDetails(cached_tokens=4))

    assert chat_usage(fields) == expected


def test_details_are_kept() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }

    assert chat_usage({"usage": usage}) == ChatUsage(
        9,
        3,
        12,
        PromptTokensDetails(cached_tokens=2, cache_write_tokens=5),
        CompletionTokensDetails(reasoning_tokens=1),
    )


@pytest.mark.parametrize("written", [-5, True, "five", None])
def test_odd_count_of_written_tokens_is_zero(written: object) -> None:
    details = {"cache_write_tokens": written}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": details}

    assert chat_usage({"usage": usage}) == ChatUsage(9, 3, 12)


@pytest.mark.parametrize("fields", [{}, {"usage": None}, {"usage": {}}, {"choices": []}])
def test_no_usage_is_none(fields: dict[str, Any]) -> None:
    assert chat_usage(fields) is None
