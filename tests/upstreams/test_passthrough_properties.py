"""Streams of any bytes, cut anywhere: one outcome, and no exception but the proxy's."""

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jarvis_proxy.upstreams.frames import StreamKind
from jarvis_proxy.wire.sse import DONE
from tests.support.splits import cut_at
from tests.upstreams.openai_streams import (
    CHAT_LAST,
    CHUNK,
    ERROR,
    FINISH,
    GOLDEN,
    Golden,
    Outcome,
    play,
)

FRAGMENTS = st.sampled_from(
    [
        CHUNK,
        FINISH,
        ERROR,
        DONE,
        CHAT_LAST,
        b"data: ",
        b"data: {}",
        b"\n\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"id: 1",
        b"retry: 1\n",
        b"event: ping\n",
        b"event: error\n",
        b": ping\n\n",
        b": x",
        b"\xef\xbb\xbf",
        b"\xe2\x82",
        b'data: {"type":"response.completed"}',
        b'data: {"usage":{"prompt_tokens":1}}\n\n',
    ]
)
STREAMS = st.lists(FRAGMENTS | st.binary(max_size=3), max_size=12).map(b"".join)
KINDS: st.SearchStrategy[StreamKind] = st.sampled_from(["chat", "responses", "other"])


def outcome(kind: StreamKind, pieces: list[bytes]) -> Outcome:
    """Return what *pieces* come to. A stream that is done at a CR leaves the LF after it."""
    found = play(kind, pieces)
    if found.done and found.out.endswith(b"\r\n"):
        return replace(found, out=found.out.removesuffix(b"\n"))
    return found


@settings(deadline=None)
@example("responses", b'data: {"type":"response.completed"}\n\r\n', [37])
@given(KINDS, STREAMS, st.lists(st.integers(0, 400), max_size=8))
def test_any_bytes_cut_anywhere_come_to_the_same(
    kind: StreamKind, stream: bytes, cuts: list[int]
) -> None:
    assert outcome(kind, cut_at(stream, cuts)) == outcome(kind, [stream])


@settings(deadline=None)
@given(KINDS, STREAMS)
def test_any_bytes_one_by_one_come_to_the_same(kind: StreamKind, stream: bytes) -> None:
    assert outcome(kind, [bytes([byte]) for byte in stream]) == outcome(kind, [stream])


@settings(deadline=None)
@given(KINDS, st.binary())
def test_arbitrary_bytes_raise_nothing_but_proxy_errors(kind: StreamKind, stream: bytes) -> None:
    """`play` lets every other exception through."""
    found = play(kind, [stream])

    assert found.done or found.code is not None or kind == "other"


@settings(deadline=None)
@given(st.sampled_from(list(GOLDEN.values())), st.data())
def test_stream_with_a_hole_is_complete_or_an_error(golden: Golden, data: st.DataObject) -> None:
    """A stretch is lost on the way: no end is made up."""
    start = data.draw(st.integers(0, len(golden.stream)))
    stop = data.draw(st.integers(start, len(golden.stream)))

    found = play(golden.kind, [golden.stream[:start], golden.stream[stop:]])

    assert found.done is (found.code is None)
    assert found.done or DONE not in found.out
