"""Frames: what is read, what is passed over, what is refused."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.reply.frames import Frame, decode_frame, decode_frames


def test_null_stands_for_absent_everywhere() -> None:
    assert decode_frame(b'{"candidates":null,"promptFeedback":null}') == Frame()
    frame = decode_frame(
        b'{"candidates":[{"content":null,"finishReason":null,"index":null},'
        b'{"content":{"parts":null}},{"content":{"parts":[{"text":null,"functionCall":null}]}}]}'
    )

    assert frame.candidates is not None
    assert [candidate.index for candidate in frame.candidates] == [None, None, None]


def test_unknown_fields_are_passed_over() -> None:
    frame = decode_frame(b'{"turnToken":"x","candidates":[{"newThing":[{}]}],"responseId":"r"}')

    assert frame.response_id == "r"


def test_an_array_is_a_sequence_of_frames() -> None:
    frames = decode_frames(b' [{"responseId":"a"}\n,\r\n{"responseId":"b"}]')

    assert [frame.response_id for frame in frames] == ["a", "b"]
    assert decode_frames(b'{"responseId":"c"}')[0].response_id == "c"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        b'{"candidates":[',
        b'{"candidates":{}}',
        b'{"responseId":"\xff"}',
        b'{"candidates":[' + b"[" * 100_000,
        b"[1]",
        b"[{}",
    ],
)
def test_what_is_no_frame_is_a_bad_frame(data: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        decode_frames(data)

    assert (caught.value.status, caught.value.code) == (502, "upstream_bad_frame")
    assert caught.value.__suppress_context__  # the decoder's words show what is in the frame


@given(st.binary())
def test_any_bytes_give_frames_or_the_error(data: bytes) -> None:
    try:
        frames = decode_frames(data)
    except ProxyError as error:
        assert error.code == "upstream_bad_frame"  # noqa: PT017 - either outcome is right
    else:
        assert all(isinstance(frame, Frame) for frame in frames)


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    assert decode_frame(b'{"responseId":"a\\ud800"}').response_id == "a\ufffd"


@pytest.mark.parametrize(
    "body",
    [
        b'{"candidates":[%b{}]}' % (b"{}," * 3_000_000),
        b"[%b{}]" % (b"{}," * 3_000_000),
        b'{"candidates":[{"content":{"parts":[%b{}]}}]}' % (b"{}," * 3_000_000),
    ],
    ids=["candidates", "frames", "parts"],
)
def test_frame_of_very_many_values_is_refused_before_it_is_decoded(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProxyError) as caught:
            decode_frames(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.code == "upstream_bad_frame"
    assert peak < 2 * len(body)
