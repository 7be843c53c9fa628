"""Records of calls, and what the log makes of them."""

import io
import json
import logging
from collections.abc import Callable

from jarvis_proxy.call_record import CallRecord
from jarvis_proxy.observability.logging import (
    LogFormat,
    ThreadedLineWriter,
    configure_logging,
)
from tests.conftest import BEARER

CHAT = "/v1/chat/completions"


def record(**fields: object) -> CallRecord:
    """Return the record of a call with some of its fields."""
    made = CallRecord("req_1", started_at=1.0, timestamp=0.0, route=CHAT, status=200, ended_at=1.5)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def logged(write: Callable[[ThreadedLineWriter], object]) -> list[str]:
    """Return the lines that *write* wrote."""
    stream = io.StringIO()
    writer = ThreadedLineWriter(stream)
    write(writer)
    writer.close()
    return stream.getvalue().splitlines()


def request(agent: bytes) -> bytes:
    """Return a call whose agent and model are *agent*."""
    body = json.dumps({"model": agent.decode("latin-1"), "messages": []}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: {BEARER['Authorization']}\r\n"
    size = b"Content-Length: %d\r\n" % len(body)
    return head.encode() + size + b"User-Agent: " + agent + b"\r\n\r\n" + body


def said(log_format: LogFormat, speak: Callable[[], object], level: str = "debug") -> list[str]:
    """Return the lines that come of what *speak* logs."""
    stream = io.StringIO()
    writer, _ = configure_logging(log_format, level, stream)
    speak()
    writer.close()
    return stream.getvalue().splitlines()


def fail() -> None:
    try:
        raise ValueError("canary in the message")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error from %s", "canary-address")
