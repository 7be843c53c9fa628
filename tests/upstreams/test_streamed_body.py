"""A streamed body gives its events, or turns out to be whole JSON, however it is cut."""

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.streamed_body import StreamedBody
from jarvis_proxy.wire.sse import MAX_EVENT_BYTES


def bad_response() -> ProxyError:
    return ProxyError(502, "no answer", code="upstream_bad_response")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_events_are_found_in_pieces(size: int) -> None:
    body, given = StreamedBody(bad_response), b"\n\ndata: 1\n\ndata: 2\n\ndata: 3"

    pieces = [given[at : at + size] for at in range(0, len(given), size)]
    events = [event.data for piece in pieces for event in body.feed(piece)]

    assert events == [b"1", b"2"]
    assert body.whole is None
    last = body.close()
    assert last is not None
    assert last.data == b"3"


def test_json_is_kept_whole() -> None:
    body = StreamedBody(bad_response)

    assert [*body.feed(b' {"a'), *body.feed(b'":1}')] == []
    assert body.whole == b' {"a":1}'
    assert body.held == 8
    body.clear()
    assert body.held == 0


@pytest.mark.parametrize("data", [b"<html>", b"Service down"])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyError, match="no answer"):
        StreamedBody(bad_response).feed(data)


def test_expected_events_may_begin_with_anything() -> None:
    body = StreamedBody(bad_response)
    body.expect_events()

    assert [event.data for event in body.feed(b"hello\ndata: 1\n\n")] == [b"1"]


def test_json_larger_than_an_event_is_refused() -> None:
    body = StreamedBody(bad_response)
    body.feed(b"[" + bytes(MAX_EVENT_BYTES - 1))

    with pytest.raises(ProxyError) as caught:
        body.feed(b"1")

    assert caught.value.code == "upstream_frame_too_large"
