"""Small streams of OpenAI-compatible upstreams, written by hand from the API reference.

Each is raw wire bytes with LF line ends; ``FRAMINGS`` gives them other ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jarvis_proxy.canonical.usage import TokenUsage
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.frames import StreamKind
from jarvis_proxy.upstreams.openai_stream import PassthroughStream
from jarvis_proxy.wire.sse import last_boundary

LINE_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


@dataclass(frozen=True)
class Golden:
    """A whole, good stream. *last* is the event from whose JSON on the answer is complete."""

    kind: StreamKind
    stream: bytes
    last: bytes
    usage: TokenUsage | None = None


@dataclass(frozen=True)
class Outcome:
    """All that came out of a stream: bytes, the error that ended it, what was noted."""

    out: bytes
    code: str | int | None
    done: bool
    usage: TokenUsage | None


def play(kind: StreamKind, pieces: Sequence[bytes]) -> Outcome:
    """Feed *pieces* and the end as the relay does; only whole events may come out on the way."""
    stream = PassthroughStream(kind)
    out, code = b"", None
    try:
        for data in pieces:
            out += stream.feed(data)
            assert last_boundary(out) == len(out) or not out.strip(), "half an event came out"
            if stream.done:
                break
        else:
            out += stream.feed_eof()
    except ProxyError as error:
        out, code = out + error.completed_events, error.code
    assert stream.next_request is None
    return Outcome(out, code, stream.done, stream.usage)


_HEAD = b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o",'

CHAT_LAST = _HEAD + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}'
CHAT = (
    b"data: " + _HEAD + b'"choices":[{"index":0,"delta":{"role":"assistant","content":""},'
    b'"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"xY"}\n\n'
    b"data: "
    + _HEAD
    + '"choices":[{"index":0,"delta":{"content":"Hé €🦀\u2028"},'
    '"finish_reason":null}],"usage":null}\n\n'.encode()
    + b"data: "
    + CHAT_LAST
    + b"\n\n"
    b"data: " + _HEAD + b'"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,'
    b'"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4},'
    b'"completion_tokens_details":{"reasoning_tokens":2}}}\n\n'
    b"data: [DONE]\n\n"
)

TOOLS_LAST = _HEAD + b'"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}'
TOOLS = (
    b"data: " + _HEAD + b'"choices":[{"index":0,"delta":{"role":"assistant","content":null,'
    b'"tool_calls":[{"index":0,"id":"call1","type":"function",'
    b'"function":{"name":"f","arguments":""}}]},"finish_reason":null}]}\n\n'
    b"data: " + _HEAD + b'"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,'
    b'"function":{"arguments":"{\\"a\\":\\"data: [DONE]\\\\n\\\\n\\"}"}}]},'
    b'"finish_reason":null}]}\n\ndata: ' + TOOLS_LAST + b"\n\ndata: [DONE]\n\n"
)

_TEXT = b'data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":['
TWO_LAST = _TEXT[6:] + b'{"text":"","index":0,"logprobs":null,"finish_reason":"length"}]}'
COMPLETIONS_N2 = (
    _TEXT + b'{"text":"a","index":0,"logprobs":null,"finish_reason":null}]}\n\n'
    + _TEXT + b'{"text":"b","index":1,"logprobs":null,"finish_reason":null}]}\n\n'
    + _TEXT + b'{"text":"","index":1,"logprobs":null,"finish_reason":"stop"}]}\n\n'
    + _TEXT + b'{"text":"c","index":0,"logprobs":null,"finish_reason":null}]}\n\n'
    b"data: " + TWO_LAST + b"\n\ndata: [DONE]\n\n"
)  # fmt: skip

RESPONSES_LAST = (
    b'{"type":"response.completed","sequence_number":3,"response":{"id":"resp_1",'
    b'"object":"response","status":"completed","error":null,"usage":{"input_tokens":5,'
    b'"input_tokens_details":{"cached_tokens":1},"output_tokens":7,'
    b'"output_tokens_details":{"reasoning_tokens":6},"total_tokens":12}}}'
)
RESPONSES = (
    b"event: response.created\n"
    b'data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1",'
    b'"object":"response","status":"in_progress","error":null,"usage":null}}\n\n'
    b"event: response.output_text.delta\n"
    b'data: {"type":"response.output_text.delta","sequence_number":1,"delta":"H\xc3\xa9"}\n\n'
    b"event: response.output_text.done\n"
    b'data: {"type":"response.output_text.done","sequence_number":2,"text":"H\xc3\xa9"}\n\n'
    b"event: response.completed\n"
    b"data: " + RESPONSES_LAST + b"\n\n"
)

TRANSCRIPTION = (
    b'data: {"type":"transcript.text.delta","delta":"Hi"}\n\n'
    b'data: {"type":"transcript.text.done","text":"Hi"}\n\n'
)

RUN = b'event: thread.run.created\ndata: {"id":"run_1","object":"thread.run"}\n\n'

GOLDEN = {
    "chat": Golden("chat", CHAT, CHAT_LAST, TokenUsage(9, 3, 4, 2)),
    "tools": Golden("chat", TOOLS, TOOLS_LAST),
    "completions_n2": Golden("chat", COMPLETIONS_N2, TWO_LAST),
    "responses": Golden("responses", RESPONSES, RESPONSES_LAST, TokenUsage(5, 7, 1, 6)),
}

# Single events, to put streams together from.
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"Busy.","type":"server_error","code":"overloaded"}}\n\n'
