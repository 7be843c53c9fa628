"""Compares what a client saw with what it was to see. No IO."""

from typing import Final

from tests.conftest import GEMINI_KEY, KEY, OPENAI_KEY
from tests.faults.clients import Observed, without_heartbeats
from tests.faults.dialects import DONE, Dialect
from tests.faults.kinds import ClientKind, sdk_class
from tests.faults.rows import Sight

SECRETS: Final = (KEY, OPENAI_KEY, GEMINI_KEY, "127.0.0.1", "Traceback", "/site-packages/")
"""What no answer may hold; the keys of pools begin like OPENAI_KEY."""


_VAGUE: Final = "Error"
"""What Google's SDK for Node.js raises where it reads the last frame and the error at once."""


def judge(
    client: ClientKind, dialect: Dialect, sight: Sight, seen: Observed, sent: bytes
) -> list[str]:
    """Return what is wrong, one line each. *sent* is the body that the upstream sent."""
    wrong: list[str] = []

    def compare(what: str, expected: object, actual: object) -> None:
        if expected != actual:
            wrong.append(f"{what}: {expected!r} was expected, {actual!r} came")

    if sight.text != "…":
        compare("text", sight.text, seen.text)
    if client == "google-node" and seen.error == _VAGUE and sight.code and sight.text:
        return wrong
    compare("status", sight.status, seen.status)
    compare("code", sight.code, seen.code)
    if sight.code is None:
        compare("finish reason", sight.finish, seen.finish)
    for name, expected in (
        ("x-should-retry", sight.should_retry),
        ("retry-after", sight.retry_after),
    ):
        if expected != "any":
            compare(name, expected, seen.headers.get(name))
    if client == "raw":
        _judge_bytes(dialect, sight, seen, sent, wrong)
    else:
        compare("exception", sdk_class(sight, client), seen.error)
    for secret in SECRETS:
        if secret in seen.words:
            wrong.append(f"the error tells {secret!r}")
    return wrong


def _judge_bytes(
    dialect: Dialect, sight: Sight, seen: Observed, sent: bytes, wrong: list[str]
) -> None:
    if not seen.whole:
        wrong.append("the connection was cut")
    if sight.status != 200 or dialect.surface == "whole":
        return
    plain = without_heartbeats(seen.body)
    if sight.beats and plain == seen.body:
        wrong.append("no heartbeat came")
    if sight.code is not None:
        if b"[DONE]" in plain:
            wrong.append("[DONE] came although the answer is not whole")
        if not plain.endswith(b"}\n\n") or b'"error":{' not in plain.rpartition(b"data: ")[2]:
            wrong.append("the error is not the last event")
    elif dialect.surface == "gemini":
        if not plain.endswith(DONE) or plain.count(DONE) != 1:
            wrong.append("there is not one [DONE] at the end")
    elif plain != (sent if sight.as_sent else dialect.stream):
        wrong.append(f"the bytes are not the upstream's: {plain[:2000]!r}")
