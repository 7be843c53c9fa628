"""Usage that the proxy asks for itself: the request, and the chunk that the client does not get."""

import json

import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.asked_usage import (
    UnaskedUsageStream,
    asking_for_usage,
    refuses_usage,
)
from tests.support.raw_upstream import chat_chunk
from tests.support.splits import cut_at

CHAT = "chat/completions"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
HI = chat_chunk("Hi")
STOP = chat_chunk(None, "stop")
USAGE_CHUNK = chat_chunk(choices=[], usage=USAGE)


@pytest.mark.parametrize("endpoint", [CHAT, "completions"])
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": None}}, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
    ],
)
def test_usage_is_asked_for(
    endpoint: str, given: dict[str, object], sent: dict[str, object]
) -> None:
    body = {"model": "m", **given, "stream": True}
    asking = asking_for_usage(endpoint, json.dumps(body).encode())

    assert asking is not None
    assert json.loads(asking) == {**body, "stream_options": sent}


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [
        (CHAT, {"include_usage": True}),
        (CHAT, "yes"),
        (CHAT, [1]),
        (CHAT, 7),
        ("responses", None),
        ("audio/speech", None),
    ],
)
def test_what_needs_no_request_or_cannot_be_changed_stays(endpoint: str, options: object) -> None:
    body = json.dumps({"model": "m", "stream_options": options}).encode()

    assert asking_for_usage(endpoint, body) is None


def test_a_body_with_half_an_emoji_stays_as_it_is_elsewhere() -> None:
    asking = asking_for_usage(CHAT, b'{"messages":"\\ud83d","model":"m"}')

    assert asking == b'{"messages":"\\ud83d","model":"m","stream_options":{"include_usage":true}}'


def run(data: bytes, cuts: list[int]) -> tuple[bytes, TokenUsage | None]:
    stream = UnaskedUsageStream("chat")
    out = b"".join(stream.feed(piece) for piece in cut_at(data, cuts))
    if not stream.done:
        out += stream.feed_eof()
    return out, stream.usage


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


EXTRA = chat_chunk(choices=[], usage=USAGE, citations=["x"])
WITHOUT = json.loads(EXTRA[6:])
del WITHOUT["usage"]
FILTER = chat_chunk(choices=[], prompt_filter_results=[{"prompt_index": 0}])
NULL = chat_chunk("Hi", usage=None)
WORD = chat_chunk('say "usage": {} and choices')
IN_FINISH = chat_chunk(None, "stop", usage=USAGE)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HI + STOP + USAGE_CHUNK + DONE, HI + STOP + DONE),
        (NULL + STOP + USAGE_CHUNK + DONE, NULL + STOP + DONE),
        (HI + STOP + USAGE_CHUNK, HI + STOP + DONE),
        (crlf(HI + STOP + USAGE_CHUNK + DONE), crlf(HI + STOP + DONE)),
        (
            b": x\n\n" + HI + STOP + USAGE_CHUNK + b": y\n\n" + DONE,
            b": x\n\n" + HI + STOP + b": y\n\n" + DONE,
        ),
        (FILTER + HI + STOP + USAGE_CHUNK + DONE, FILTER + HI + STOP + DONE),
        (WORD + STOP + USAGE_CHUNK + DONE, WORD + STOP + DONE),
        (
            HI + STOP + EXTRA + DONE,
            HI
            + STOP
            + b"data: "
            + json.dumps(WITHOUT, separators=(",", ":")).encode()
            + b"\n\n"
            + DONE,
        ),
        (HI + IN_FINISH + DONE, HI + IN_FINISH + DONE),
    ],
    ids=[
        "openai",
        "null-before",
        "no-done",
        "crlf",
        "comments",
        "azure-filter",
        "in-text",
        "citations",
        "with-finish",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 50, 100_000])
def test_the_extra_chunk_is_counted_and_taken_out(data: bytes, expected: bytes, step: int) -> None:
    out, usage = run(data, list(range(step, len(data), step)))

    assert out == expected
    assert usage == TokenUsage(5, 7)


def test_what_stood_before_an_error_lacks_usage_too() -> None:
    stream = UnaskedUsageStream("chat")
    with pytest.raises(ProxyError) as caught:
        stream.feed(HI + USAGE_CHUNK + b'data: {"error":{"message":"x"}}\n\n')
    late = UnaskedUsageStream("chat")
    late.feed(HI)
    assert late.feed(USAGE_CHUNK) == b""
    with pytest.raises(ProxyError) as cut:
        late.feed_eof()

    assert caught.value.completed_events == HI
    assert cut.value.completed_events == b""


@pytest.mark.parametrize(
    ("status", "message", "refuses"),
    [
        (400, "Unknown parameter: 'stream_options'.", True),
        (422, '{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}', True),
        (400, "Unrecognized request argument supplied: include_usage", True),
        (400, "unknown field", True),
        (400, "The context is too long.", False),
        (429, "stream_options", False),
        (500, "stream_options", False),
    ],
)
def test_a_refusal_of_the_proxys_request_is_known(status: int, message: str, refuses: bool) -> None:
    assert refuses_usage(status, message.encode()) is refuses


@pytest.mark.parametrize("comment", [b': "usage" follows\n\n', b': "usage"\ndata: [DONE]\n\n'])
def test_usage_in_a_comment_passes(comment: bytes) -> None:
    assert run(HI + STOP + comment, [])[0].startswith(HI + STOP + comment)
