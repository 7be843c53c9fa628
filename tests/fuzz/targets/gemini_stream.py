"""The translator of Gemini's streams.

Oracle: chunks, error and usage are the same for every cut; every event is a JSON object with
``choices``; the stream ends in ``[DONE]``, once and last, or in an error and without it; each
choice that was begun has one finish reason by then; nothing is raised but ProxyError.
"""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from jarvis_proxy.wire.sse import DONE
from tests.fuzz.cuts import cuts_of
from tests.fuzz.outcomes import attempt
from tests.upstreams.gemini.replies import a_plan, an_exchange

TOKENS: Final = (
    b"data: ", b"\r\n\r\n", b"\n\n", b'"finishReason":"STOP"', b'"finishReason":"MAX_TOKENS"',
    b'"candidates":[]', b'"text":""', b'"thought":true', b'"thoughtSignature":"QUJD"',
    b'"functionCall":{"name":"f","args":{}}', b'"inlineData":{"mimeType":"image/png","data":"QQ"}',
    b'"index":1', b'"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}', b"null", b"[{", b"}]",
    b'"usageMetadata":{"promptTokenCount":1}', b"1e999", b"\xff", b"\xf0\x9f",
    b'"promptFeedback":{"blockReason":"SAFETY"}',
)  # fmt: skip
_REASONS: Final = {"stop", "length", "tool_calls", "content_filter", "function_call"}


def check(data: bytes) -> None:
    """Translate the stream whole and in pieces."""
    found = _play([data])
    _judge(*found[:2])
    for pieces in cuts_of(data):
        assert _play(pieces) == found


def _play(pieces: list[bytes]) -> tuple[bytes, str | int | None, object]:
    stream = an_exchange(a_plan(include_usage=True), stream=True).stream_translator()
    out = b""
    feeds: list[Callable[[], bytes]] = [partial(stream.feed, piece) for piece in pieces]
    for feed in (*feeds, stream.feed_eof):
        if stream.done:
            break
        events, error = attempt(feed)
        if error is not None:
            assert 400 <= error.status < 600
            return out + error.completed_events, error.code or "?", stream.usage
        assert events is not None
        out += events
    return out, None, stream.usage


def _judge(out: bytes, code: str | int | None) -> None:
    assert not out or out.endswith(b"\n\n")
    *events, last = [block.removeprefix(b"data: ") for block in out.split(b"\n\n")]
    assert last == b""
    if code is None:
        assert events.pop() == DONE[6:-2]
    begun: set[int] = set()
    finished: Counter[int] = Counter()
    for event in events:
        chunk: dict[str, Any] = json.loads(event)
        for choice in chunk["choices"]:
            begun.add(choice["index"])
            reason = choice["finish_reason"]
            assert reason is None or reason in _REASONS
            finished[choice["index"]] += reason is not None
            assert not (choice["delta"].get("content") and choice["delta"].get("reasoning_content"))
    assert max(finished.values(), default=0) <= 1
    assert code is not None or all(finished[index] == 1 for index in begun)
