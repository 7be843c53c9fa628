"""Requests and answers that take much memory for their size, each built for a number of bytes."""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Literal

CHAT: Final = "/v1/chat/completions"
SPEECH: Final = "/v1/audio/transcriptions"
RESPONSES: Final = "/v1/responses"
_GPT: Final = "gpt-4o-mini"
_GEMINI: Final = "gemini-2.5-flash"
_MIB: Final = 1024 * 1024

Answer = Literal["none", "event", "events", "frame", "whole", "packed", "gemini", "small"]
"""What the upstream does: nothing, an event without end, large events, a frame of Gemini's without
end, a whole answer, a packed one, Gemini's whole answer, or a small whole answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """*body* makes a request of about so many bytes; *reads*: the client reads its answer."""

    name: str
    body: Callable[[int], bytes]
    path: str = CHAT
    answer: Answer = "none"
    kind: str = "application/json"
    coding: str = ""
    reads: bool = True


def _chat(model: str, content: bytes, more: bytes = b"") -> bytes:
    said = b'[{"role":"user","content":%b}]' % content
    return b'{"model":"%b","messages":%b%b}' % (model.encode(), said, more)


def _many(item: bytes, size: int, most: int = 10**9) -> bytes:
    return b"[" + b",".join(repeat(item, min(most, size // (len(item) + 1)))) + b"]"


def _text(piece: bytes, model: str = _GEMINI, last: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: _chat(model, b'"%b%b"' % (piece * (size // len(piece)), last))


def _tool(inner: bytes) -> bytes:
    spec = b'{"type":"object","properties":{"a":{"default":%b}}}' % inner
    return _tools(b'{"type":"function","function":{"name":"f","parameters":%b}}' % spec)


def _tools(listed: bytes) -> bytes:
    return _chat(_GEMINI, b'"a"', b',"tools":[%b]' % listed)


def _refs(size: int) -> bytes:
    names = [f"p{number}" for number in range(size // 40)]
    schema = {
        "type": "object",
        "properties": {name: {"$ref": "#/$defs/d"} for name in names},
        "$defs": {"d": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }
    function = {"name": "f", "parameters": schema}
    return _tools(json.dumps({"type": "function", "function": function}).encode())


def _picture(size: int) -> bytes:
    url = b"data:image/png;base64,iVBORw0KGgoA" + b"AAAA" * (size // 4)
    return _chat(_GEMINI, b'[{"type":"image_url","image_url":{"url":"%b"}}]' % url)


def _calls(size: int) -> bytes:
    text = json.dumps(json.dumps([{}] * (size // 4))).encode()
    call = b'{"id":"c","type":"function","function":{"name":"f","arguments":%b}}' % text
    turns = b'{"role":"user","content":"a"},{"role":"assistant","tool_calls":[%b]}' % call
    return b'{"model":"%b","messages":[%b]}' % (_GEMINI.encode(), turns)


def _response(size: int) -> bytes:
    item = b'{"role":"user","content":[{"type":"input_text","text":"%b"}]}' % (b"a" * 900)
    return b'{"model":"%b","input":%b}' % (_GEMINI.encode(), _many(item, size, 19_000))


def _form(size: int) -> bytes:
    head = b'--bench\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + b"\0" * size


def _small(model: str = _GPT, more: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: _chat(model, b'"a"', more)


_STREAM: Final = b',"stream":true'
_USER: Final = b'{"role":"user","content":"a"}'

REQUESTS: Final = (
    Shape("text to OpenAI", _text(b"word ", _GPT)),
    Shape("escapes to OpenAI", _text(b'\\"[', _GPT)),
    Shape("text with an emoji to OpenAI", _text(b"word ", _GPT, "🦀".encode())),
    Shape("gzip", lambda size: gzip.compress(_text(b"word ", _GPT)(size)), coding="gzip"),
    Shape("text", _text(b"word ")),
    Shape("escapes", _text(b'\\"[')),
    Shape("halves of emojis", _text(rb"\ud83d")),
    Shape("text with an emoji", _text(b"word ", last="🦀".encode())),
    Shape("picture", _picture),
    Shape("parts of one letter", lambda size: _chat(_GEMINI, _many(b'"a"', size))),
    Shape("as many parts as may be", lambda size: _chat(_GEMINI, _many(b'"a"', size, 20_000))),
    Shape("messages", lambda size: b'{"model":"gemini-2.5-flash","messages":%b}'
          % _many(_USER, size, 20_000)),
    Shape("tools", lambda size: _tools(_many(b'{"type":"x"}', size)[1:-1])),
    Shape("empty objects in a schema", lambda size: _tool(_many(b'{"":0}', size))),
    Shape("as many values as may be", lambda size: _tool(_many(b'{"":0}', size, 249_000))),
    Shape("references", _refs),
    Shape("objects in arguments", _calls),
    Shape("input items", _response, RESPONSES),
    Shape("embeddings of tokens", lambda size: b'{"model":"gemini-embedding-001","input":%b}'
          % _many(b"1000", size), "/v1/embeddings"),
    Shape("form before its model", _form, SPEECH, kind="multipart/form-data; boundary=bench"),
)  # fmt: skip

ANSWERS: Final = (
    Shape("event without end", _small(more=_STREAM), answer="event"),
    Shape("large events, not read", _small(more=_STREAM), answer="events", reads=False),
    Shape("Gemini's frame without end", _small(_GEMINI, _STREAM), answer="frame"),
    Shape("whole answer", _small(), answer="whole"),
    Shape("whole answer, not read", _small(), answer="whole", reads=False),
    Shape("packed answer", _small(), answer="packed"),
    Shape("Gemini's answer of 8 choices", _small(_GEMINI, b',"n":8'), answer="gemini"),
    Shape("echo, not read", lambda size: _chat("jarvis-echo", b'"%b"' % (b"a " * 49_000), _STREAM),
          reads=False),
)  # fmt: skip


def links(url: str) -> Shape:
    """Return a request with as many links as may be, all to *url*."""
    part = {"type": "image_url", "image_url": {"url": url}}
    parts = [{**part, "image_url": {"url": f"{url}?{number}"}} for number in range(16)]
    body = _chat(_GEMINI, json.dumps(parts).encode())
    return Shape("links", lambda size: body)
