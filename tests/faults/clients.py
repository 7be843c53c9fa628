"""What each kind of client saw of one call, told in the same words. IO.

The official SDK for Python with and without asyncio, the one for Node.js (node.py), and a client of
raw sockets, which keeps every byte.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import openai

from tests.conftest import BEARER
from tests.faults.dialects import DONE, Dialect
from tests.support.raw_client import RawResponse, fetch

_HEARTBEAT: Final = re.compile(
    rb": keepalive\n\n"
    rb"|data: [^\n]*\"choices\":\[\][^\n]*\n\n"
    rb"|event: (?:response\.in_progress|keepalive)\n[^\n]*\n\n"
)
"""No dialect here has an event of these shapes of its own."""


@dataclass
class Observed:
    """What a client saw. *error* is the class of the SDK's exception, "" where there was none."""

    status: int = 200
    text: str = ""
    finish: str | None = None
    error: str = ""
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    """The raw client only: the body, de-chunked."""
    whole: bool = True
    """The raw client only: the body ended as HTTP says that it should."""
    words: str = ""
    """Everything that could be read in an error."""


def read_event(seen: Observed, item: Any) -> None:
    """Record one event of an SDK's stream, or its whole answer."""
    kind = getattr(item, "type", "")
    if kind == "response.output_text.delta":
        seen.text += item.delta
    elif kind.startswith("response."):
        if kind in ("response.completed", "response.failed"):
            seen.finish = "stop" if kind == "response.completed" else "failed"
    else:
        for choice in item.choices:
            piece = getattr(choice, "delta", None) or choice.message
            seen.text += piece.content or ""
            seen.finish = choice.finish_reason or seen.finish


def note_error(seen: Observed, error: openai.APIError) -> None:
    """Record the error that an SDK raised."""
    seen.error = type(error).__name__
    seen.code = None if error.code is None else str(error.code)
    seen.words = f"{error} {error.body} {error.__cause__}"
    if isinstance(error, openai.APIStatusError):
        seen.status = error.status_code
        seen.headers = {name.lower(): value for name, value in error.response.headers.items()}


def ask(client: openai.OpenAI, dialect: Dialect, request: Mapping[str, Any]) -> Observed:
    """Make one call with the SDK without asyncio."""
    seen = Observed()
    try:
        answer = cast(
            Any,
            client.responses.create(**request)
            if dialect.surface == "responses"
            else client.chat.completions.create(**request),
        )
        for item in cast(Iterator[Any], answer) if request.get("stream") else [answer]:
            read_event(seen, item)
    except openai.APIError as error:
        note_error(seen, error)
    return seen


async def ask_async(
    client: openai.AsyncOpenAI, dialect: Dialect, request: Mapping[str, Any]
) -> Observed:
    """Make one call with the SDK for asyncio."""
    seen = Observed()
    try:
        answer = cast(
            Any,
            await (
                client.responses.create(**request)
                if dialect.surface == "responses"
                else client.chat.completions.create(**request)
            ),
        )
        if request.get("stream"):
            async for item in cast(AsyncIterator[Any], answer):
                read_event(seen, item)
        else:
            read_event(seen, answer)
    except openai.APIError as error:
        note_error(seen, error)
    return seen


async def ask_raw(
    port: int,
    dialect: Dialect,
    request: Mapping[str, Any],
    headers: Mapping[str, str] = BEARER,
) -> Observed:
    """Make one call over a raw socket."""
    return observe(await fetch(port, dialect.path, dict(request), headers), dialect)


def observe(response: RawResponse, dialect: Dialect) -> Observed:
    """Return what a raw response says."""
    seen = Observed(
        response.status, headers=response.headers, body=response.body, whole=response.whole
    )
    if response.status != 200:
        seen.error = "refused"
        seen.code = str(response.error()["code"])
        seen.words = f"{response.headers} {response.body!r}"
    elif dialect.surface == "whole":
        _read_completion(seen, json.loads(response.body))
    else:
        _read_stream(seen)
    return seen


def _read_completion(seen: Observed, body: dict[str, Any]) -> None:
    (choice,) = body["choices"]
    seen.text, seen.finish = choice["message"]["content"], choice["finish_reason"]


def _read_stream(seen: Observed) -> None:
    stream = re.sub(rb"\r\n|\r", b"\n", seen.body).removeprefix(b"\xef\xbb\xbf")
    for block in stream.split(b"\n\n"):
        lines = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
        payload = b"\n".join(lines)
        if not payload or payload == DONE[6:-2]:
            continue
        item = json.loads(payload)
        if error := item.get("error"):
            seen.error, seen.code = "event", str(error["code"])
            seen.words = repr(block)
        elif item.get("type") == "response.output_text.delta":
            seen.text += item["delta"]
        elif item.get("type") in ("response.completed", "response.failed"):
            seen.finish = "stop" if item["type"] == "response.completed" else "failed"
        for choice in item.get("choices", ()):
            seen.text += choice["delta"].get("content") or ""
            seen.finish = choice.get("finish_reason") or seen.finish


def without_heartbeats(body: bytes) -> bytes:
    """Return a stream's bytes without what the proxy put between its events."""
    return _HEARTBEAT.sub(b"", body)
