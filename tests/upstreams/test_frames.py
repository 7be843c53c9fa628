"""Events looked into: what is odd in them hides nothing, and an error is found in any spelling."""

import json

import msgspec
import pytest

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.frames import (
    FRAMES,
    FrameChoice,
    StreamKind,
    broken_choice,
    error_of,
    is_odd,
    read_frame,
)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("payload", "choices", "usage"),
    [
        (b'{"choices":[{"index":1,"finish_reason":"stop"}]}', [(1, "stop")], None),
        (b'{"choices":[{"index":1.0,"finish_reason":"stop"}]}', [(1, "stop")], None),
        (b'{"choices":[{"index":"x","finish_reason":1}]}', [(0, "1")], None),
        (b'{"choices":[{"index":1e999}]}', [(0, None)], None),
        (b'{"choices":[{"x":"\\ud83d"}]}', [(0, None)], None),
        (b'{"choices":[null,5,{}]}', [], None),
        (b'{"choices":5}', None, None),
        (b'{"choices":[],"usage":{"prompt_tokens":"3"}}', [], TokenUsage(3)),
        (b'{"usage":[],"x_groq":{"usage":{"prompt_tokens":3}}}', None, TokenUsage(3)),
        (b'{"x_groq":{"usage":{"prompt_tokens":3}}}', None, TokenUsage(3)),
        (b'{"choices":[{"usage":{"prompt_tokens":3}}]}', [(0, None)], TokenUsage(3)),
        (b'{"type":"x","response":{"usage":{"input_tokens":3}}}', None, TokenUsage(3)),
        (b'{"type":"x","response":{"usage":{"input_tokens":3.0}}}', None, TokenUsage(3)),
        (b'{"type":7,"response":5}', None, None),
    ],
)
def test_a_frame_is_read_field_by_field(
    payload: bytes, choices: list[tuple[int, str | None]] | None, usage: TokenUsage | None
) -> None:
    frame = read_frame(payload)

    found = None if frame.choices is None else [(c.index, c.finish_reason) for c in frame.choices]
    assert (found, frame.tokens()) == (choices, usage)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b"null", b'"x"', b"{'a':1}", b"[[]]"])
def test_what_no_sdk_reads_is_an_error(payload: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        read_frame(payload)

    assert caught.value.code == "upstream_bad_frame"


def test_an_error_in_a_list_is_that_error() -> None:
    with pytest.raises(ProxyError) as caught:
        read_frame(b'[{"error":{"message":"m","code":429}}]')

    assert (caught.value.status, caught.value.message) == (429, "m")


@pytest.mark.parametrize(
    ("payload", "event", "kind", "message"),
    [
        (b'{"error":{"message":"m"}}', "", "chat", "m"),
        (b'{"error":{"message":"m"},"choices":[{}]}', "", "chat", "m"),
        (b'{"error":{"message":"m"},"x":"\\ud83d","choices":[{}]}', "", "chat", "m"),
        (b'{"error":{"message":"m"},"x":"\xff"}', "", "chat", "m"),
        (b'{"base_resp":{"status_code":1,"status_msg":"m"},"choices":[{}]}', "", "chat", "m"),
        (b'{"base_resp":{"status_code":"1","status_msg":"m"}}', "", "chat", "m"),
        (b'{"code":500,"message":"m","object":"x"}', "", "chat", "m"),
        (b'{"code":500,"message":"m"}', "", "other", "m"),
        (b'{"detail":"m"}', "", "responses", "m"),
        (b'{"message":"m"}', "error", "other", "m"),
        (b'{"type":"error","message":"m"}', "", "other", "m"),
        (b'{"type":"error","error":{"message":"m"}}', "", "responses", "m"),
    ],
)
def test_an_error_is_found_in_any_spelling(
    payload: bytes, event: str, kind: StreamKind, message: str
) -> None:
    error = error_of(read_frame(payload), payload, event, kind)

    assert error is not None
    assert error.message == message


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b'{"choices":[{}],"error":null}', "chat"),
        (b'{"choices":[{}],"error":{}}', "chat"),
        (b'{"choices":[],"message":"m","code":500}', "chat"),
        (b'{"choices":[{}],"base_resp":{"status_code":0}}', "chat"),
        (b"{}", "chat"),
        (b'{"usage":{}}', "chat"),
        (b'{"object":"thread.run","code":"x","message":"m"}', "other"),
        (b'{"type":"transcript.text.delta","message":"m","code":5}', "other"),
        (b'{"type":"response.failed","response":{"error":{"message":"m"}}}', "responses"),
    ],
)
def test_what_is_no_error_passes(payload: bytes, kind: StreamKind) -> None:
    assert error_of(read_frame(payload), payload, "", kind) is None


def test_a_common_chunk_is_not_looked_at_twice() -> None:
    chunks = [{"choices": [{"index": 0}], "usage": None}, {"choices": [], "usage": {}}]
    frames = FRAMES.decode(json.dumps(chunks))

    assert not any(is_odd(frame, "chat") for frame in frames)
    (delta,) = FRAMES.decode(b'[{"type":"response.output_text.delta"}]')
    assert not is_odd(delta, "responses")


def test_a_choice_says_that_it_failed() -> None:
    error = broken_choice(FrameChoice(finish_reason="error", error=msgspec.Raw(b'{"message":"m"}')))

    assert error is not None
    assert error.message == "m"
    assert broken_choice(FrameChoice(finish_reason="error")) is not None
    assert broken_choice(FrameChoice(finish_reason="stop")) is None
