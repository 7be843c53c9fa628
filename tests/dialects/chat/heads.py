"""Chat answers in tests: a head, a sink of chunks, and what was written."""

from typing import Any

from jarvis_proxy.canonical.answer import AnswerContext, CallStart
from jarvis_proxy.dialects.chat.chunks import ChunkSink
from jarvis_proxy.dialects.chat.options import ChatHead, ChatOptions
from tests.upstreams.gemini.replies import CREATED, JSON, events_of, ids


def a_head(model: str = "my-model", **options: Any) -> ChatHead:
    context = AnswerContext(call_id="req-1", created=CREATED, model=model, new_id=ids())
    return ChatHead(context, ChatOptions(**options))


def a_sink(out: list[bytes], index: int = 0, **options: Any) -> ChunkSink:
    sink = ChunkSink(a_head(**options), index, out)
    sink.begin("r1", None)
    return sink


def written(out: list[bytes]) -> list[JSON]:
    """Return the choice of every chunk but the first, which brings the role."""
    chunks = events_of(b"".join(out))
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    return [chunk["choices"][0] for chunk in chunks[1:]]


def tell(sink: ChunkSink, start: CallStart, *pieces: str) -> None:
    sink.call_begin(start)
    for piece in pieces:
        sink.call_piece(piece)
    sink.call_end()
