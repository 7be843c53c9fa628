"""The relay of OpenAI's streams.

Oracle: the first byte chooses the kind of stream; bytes, error and usage are the same for every
cut; there is an end or an error, never both and never neither; only whole events come out.
"""

from dataclasses import replace
from typing import Final

from jarvis_proxy.upstreams.frames import StreamKind
from jarvis_proxy.wire.sse import SSEDecoder, SSEEvent
from tests.fuzz.cuts import cuts_of
from tests.upstreams.openai_streams import Outcome, play

TOKENS: Final = (
    b"data: ", b"\n\n", b"\r\n", b"\r", b"data: [DONE]\n\n", b"event: error\n", b"id: 1\n",
    b"retry: 1\n", b": ping\n\n", b"\xef\xbb\xbf", b'"finish_reason":"stop"', b'"error":{}',
    b'"choices":[]', b'"usage":{"prompt_tokens":1}', b'"index":1', b'"type":"response.completed"',
    b"null", b"1e999", b"[[[[", b"\xff",
)  # fmt: skip
DONE_EVENT: Final = SSEEvent("", b"[DONE]")
_KINDS: Final[tuple[StreamKind, ...]] = ("chat", "responses", "other")


def check(data: bytes) -> None:
    """Play the stream whole and in pieces."""
    kind, stream = _KINDS[data[0] % 3 if data else 0], data[1:]
    found = play(kind, [stream])
    assert kind == "other" or found.done is (found.code is None)
    # Comments and unknown fields may hold the very bytes; what counts are events.
    assert found.code is None or DONE_EVENT not in SSEDecoder().feed(found.out)
    for pieces in cuts_of(stream):
        assert _settled(play(kind, pieces)) == _settled(found)


def _settled(found: Outcome) -> Outcome:
    """Return *found* without the line ends behind its end.

    A CR ends the last event at once; whether its LF is still taken depends on when it comes.
    """
    return replace(found, out=found.out.rstrip(b"\r\n")) if found.done else found
