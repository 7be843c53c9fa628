"""Tells what became of a streamed answer: complete and equal, or an explicit error. No IO.

Everything else (a silent end, other bytes, half an event) is what the proxy promises never to do.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.exchange import EmptyAnswerError, Exchange
from tests.support.raw_client import RawResponse
from tests.support.translated import gemini

DONE: Final = b"data: [DONE]\n\n"
_CREATED: Final = re.compile(rb'"created":(\d+)')

_OWN_BEGINNING: Final = re.compile(
    rb"\Aevent: response\.created\ndata: [^\n]*\n\nevent: response\.in_progress\ndata: [^\n]*\n\n"
)
"""How the proxy begins a response of which nothing came but a failure."""
Kind = Literal["complete", "error event", "refused", "cut", "wrong"]


@dataclass(frozen=True)
class Outcome:
    """What a client saw; *why* tells what is wrong with a "wrong" one."""

    kind: Kind
    code: str = ""
    why: str = ""

    @property
    def is_explicit(self) -> bool:
        """Whether a client can tell that it has not got the whole answer."""
        return self.kind in ("error event", "refused")


def outcome(response: RawResponse, good: Callable[[bytes], bytes]) -> Outcome:
    """Return what *response* is; *good* gives the bytes of the whole answer, from what came."""
    if response.status != 200:
        return Outcome("refused", str(response.error()["code"]))
    body = response.body.replace(b": keepalive\n\n", b"")
    if not response.whole:
        return Outcome("cut")
    full = good(body)
    if body == full:
        return Outcome("complete")
    written = without_failed_response(body)
    before, mark, last = written.rpartition(b"data: ")
    code = error_code(last) if mark else None
    if code is None:
        return Outcome("wrong", why=f"{body[-300:]!r} is neither the good end nor an error")
    before = before.removesuffix(b"event: error\n")
    if not full.startswith(before):
        before = _OWN_BEGINNING.sub(b"", before)
    if not full.startswith(before) or not ends_at_boundary(before, full):
        return Outcome("wrong", why=f"{before[-300:]!r} is no part of the good answer")
    if b"[DONE]" in before:
        return Outcome("wrong", why="an error came behind [DONE]")
    return Outcome("error event", code)


def without_failed_response(body: bytes) -> bytes:
    """Return *body* without the ``response.failed`` that must follow a response's error event."""
    before, mark, last = body.rpartition(b"event: response.failed\ndata: ")
    if not mark:
        return body
    error = json.loads(before.rpartition(b"data: ")[2])
    failed = json.loads(last)
    assert failed["sequence_number"] == error["sequence_number"] + 1
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["message"] == error["message"]
    return before


def error_code(data: bytes) -> str | None:
    """Return the code of an error event's data, None if it is none."""
    try:
        found = json.loads(data)
    except ValueError:
        return None
    error = found.get("error") if isinstance(found, dict) else None
    return str(error["code"]) if isinstance(error, dict) else None


def ends_at_boundary(part: bytes, full: bytes) -> bool:
    """Return whether *part*, the beginning of *full*, is whole events."""
    return not part or part == full or part.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))


def same(stream: bytes) -> Callable[[bytes], bytes]:
    """Return that the good answer is *stream*, byte for byte."""
    return lambda body: stream


def translated(model: str, request: bytes, stream: bytes) -> Callable[[bytes], bytes]:
    """Return what Gemini's *stream* is in OpenAI's form, in the second in which it was answered."""

    def good(body: bytes) -> bytes:
        found = _CREATED.search(body)
        call = Call(
            endpoint="chat/completions",
            model=model,
            target_model=model,
            stream=True,
            body=request,
            id="none",
            created=int(found[1]) if found else 0,
            now=0.0,
        )
        upstream = gemini()
        exchange = upstream.exchange(call, {})
        try:
            return _whole(exchange, stream)
        except EmptyAnswerError:
            return _whole(exchange, stream)  # it is asked for again, and then taken

    return good


def _whole(exchange: Exchange, stream: bytes) -> bytes:
    assert exchange.requests
    translator = exchange.stream_translator()
    return translator.feed(stream) + translator.feed_eof()
