"""Answers of OpenAI-compatible upstreams that would take gigabytes as objects."""

import tracemalloc

import pytest

from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.json_values import loads
from jarvis_proxy.upstreams.openai_stream import PassthroughStream

MANY = b"{}," * 3_000_000 + b"{}"
EVENTS = {
    "choices": b'data: {"choices":[%b]}\n\n' % MANY,
    "odd": b'data: {"choices":{"a":[%b]}}\n\n' % MANY,
    "list": b"data: [%b]\n\n" % MANY,
    "two": b'data: {"a":1}\n\ndata: {"choices":[%b]}\n\n' % MANY,
}


@pytest.mark.parametrize("data", EVENTS.values(), ids=EVENTS)
def test_event_of_very_many_values_is_refused_before_it_is_decoded(data: bytes) -> None:
    stream = PassthroughStream("chat")
    tracemalloc.start()
    try:
        with pytest.raises(ProxyError) as caught:
            stream.feed(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.code == "upstream_bad_frame"
    assert peak < 5 * len(data)


def test_so_is_a_whole_answer() -> None:
    with pytest.raises(ValueError, match="too many"):
        loads(b"[%b]" % MANY)
