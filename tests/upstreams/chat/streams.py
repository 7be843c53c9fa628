"""Chat completions streams for the tests, and what a reader makes of them."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from jarvis_proxy.canonical.tools import CalledTool
from jarvis_proxy.upstreams.chat.choice_reader import ReaderContext
from jarvis_proxy.upstreams.chat.reader import ChatReader
from tests.support.recorded_answer import RecordedAnswer, RecordedChoice, ids_in_order

Json = dict[str, Any]

OWNER = "chat.deepseek"


def context(
    *,
    tool: Callable[[str], CalledTool] = CalledTool,
    owner: str | None = OWNER,
    shows: bool = True,
    stops: tuple[str, ...] = (),
    one_call: bool = False,
    objects_only: bool = False,
) -> ReaderContext:
    """Return what a reader knows of the request."""
    return ReaderContext(
        tool=tool,
        new_id=ids_in_order(),
        owner=owner,
        shows=shows,
        stops=stops,
        one_call=one_call,
        objects_only=objects_only,
    )


def chunk(delta: Json | None = None, finish: str | None = None, **choice: Any) -> Json:
    """Return a chunk with one choice."""
    one = {"index": 0, "delta": delta or {}, "finish_reason": finish, **choice}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [one]}


def call(
    index: int | None = 0,
    call_id: str | None = None,
    name: str | None = None,
    arguments: object = None,
) -> Json:
    """Return a chunk with a piece of a call, without the fields that are None."""
    function = {"name": name, "arguments": arguments}
    entry: Json = {"index": index, "id": call_id, "type": "function"}
    entry = {key: value for key, value in entry.items() if value is not None}
    entry["function"] = {key: value for key, value in function.items() if value is not None}
    return chunk({"tool_calls": [entry]})


def sse(chunks: Iterable[Json], *, done: bool = True) -> bytes:
    """Return *chunks* as a stream of events."""
    events = [f"data: {json.dumps(one)}\n\n" for one in chunks]
    return "".join([*events, "data: [DONE]\n\n" if done else ""]).encode()


def read(
    stream: bytes | Iterable[bytes],
    given: ReaderContext | None = None,
    answer: RecordedAnswer | None = None,
) -> tuple[ChatReader, RecordedAnswer]:
    """Return a reader that was fed *stream* to its end, and its answer."""
    answer = answer or RecordedAnswer()
    reader = ChatReader(answer, given or context())
    for piece in [stream] if isinstance(stream, bytes) else stream:
        reader.feed(piece)
    reader.feed_eof()
    answer.end(reader.usage)
    return reader, answer


def only_choice(*chunks: Json, given: ReaderContext | None = None) -> RecordedChoice:
    """Return the choice that *chunks*, up to ``[DONE]``, make."""
    _, answer = read(sse(chunks), given)
    return answer.choices[0]


def whole(message: Json, finish: str | None = "stop", **fields: Any) -> bytes:
    """Return a whole answer with one choice."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "choices": [choice], **fields}).encode()


def only_choice_of(body: bytes, given: ReaderContext | None = None) -> RecordedChoice:
    """Return the choice of a whole answer."""
    answer = RecordedAnswer()
    ChatReader(answer, given or context()).read_whole(body)
    return answer.choices[0]
