"""The faults of clients that get an answer, row by row. No IO.

What an SDK can be made to send goes through all of them; the rest are bytes on a socket.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.conftest import KEY
from tests.faults.rows import Sight, refused

MEGABYTE: Final = 1024 * 1024
SETTINGS: Final[Mapping[str, str]] = {
    "MAX_BODY_MB": "1",
    "BODY_IDLE_TIMEOUT": "0.5",
    "GEMINI_API_KEY": "",
}
_MESSAGES: Final = [{"role": "user", "content": "Hi"}]
_LINE: Final = b"POST /v1/chat/completions HTTP/1.1\r\nHost: proxy\r\n"


@dataclass(frozen=True)
class Fault:
    """A request at fault: what an SDK is given, or what a socket is."""

    name: str
    fault: str
    sight: Sight
    body: Mapping[str, Any] | None = None
    key: str = KEY
    raw: bytes = b""
    """For the raw client only, in place of *body*: the request as it is on the wire."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Which the answer must have."""
    env: Mapping[str, str] = field(default_factory=dict)


def _raw(
    name: str,
    fault: str,
    body: bytes,
    sight: Sight,
    *lines: bytes,
    authorization: bytes = b"Authorization: Bearer " + KEY.encode() + b"\r\n",
    **more: Any,
) -> Fault:
    head = _LINE + authorization + b"".join(line + b"\r\n" for line in lines)
    if not any(line.lower().startswith((b"content-length", b"transfer-enc")) for line in lines):
        head += b"Content-Length: %d\r\n" % len(body)
    return Fault(name, fault, sight, raw=head + b"\r\n" + body, **more)


def _chat(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": _MESSAGES, **fields}


def _bad(name: str, fault: str, body: bytes) -> Fault:
    return _raw(name, fault, body, refused(400, "invalid_json"))


_HEAD: Final = b'{"model":"gpt-4o-mini","messages":[],'
KEYS: Final = (
    Fault(
        "wrong-key",
        "A key that is not one of the proxy's.",
        refused(401, "invalid_api_key", "false", calls=0),
        _chat(),
        key="sk-not-one-of-ours",
        headers={"www-authenticate": "Bearer"},
    ),
    _raw(
        "no-key",
        "No key.",
        b"{}",
        refused(401, "invalid_api_key", "false"),
        authorization=b"",
        headers={"www-authenticate": "Bearer"},
    ),
    _raw(
        "odd-key",
        "A key of bytes that are no text.",
        b"{}",
        refused(401, "invalid_api_key", "false"),
        authorization=b"Authorization: Bearer \xff\xfe\r\n",
    ),
    _raw(
        "other-scheme",
        "Another scheme than Bearer.",
        b"{}",
        refused(401, "invalid_api_key", "false"),
        authorization=b"Authorization: Digest username=x\r\n",
    ),
)
MODELS: Final = (
    Fault(
        "unknown-model",
        "A model of an upstream that has no key.",
        refused(404, "model_not_found", calls=0),
        _chat(model="gemini-3-flash"),
    ),
    Fault(
        "model-type",
        "A model that is not a string.",
        refused(400, "invalid_type", calls=0),
        _chat(model=["gpt-4o"]),
    ),
    Fault(
        "stream-type",
        "A `stream` that is not a boolean.",
        refused(400, "invalid_type", calls=0),
        _chat(stream="yes"),
    ),
)
BODIES: Final = (
    _bad("not-json", "A body that is not JSON.", b"{oops"),
    _bad("no-body", "An empty body.", b""),
    _bad("not-an-object", "A body that is a JSON list.", b"[1]"),
    _bad("not-utf-8", "A body that is not UTF-8.", _HEAD + b'"user":"\xff"}'),
    _bad("utf-16", "A body in UTF-16.", json.dumps(_chat()).encode("utf-16")),
    _bad("nan", "A number that is none.", _HEAD + b'"temperature":NaN}'),
    _bad("endless-number", "A number of 5,000 digits.", _HEAD + b'"seed":' + b"9" * 5000 + b"}"),
    _bad("two-models", "Two models.", _HEAD + b'"model":"other"}'),
    _bad("deep", "JSON nested 100,000 deep.", _HEAD + b'"x":' + b"[" * 100_000),
    _raw(
        "wrong-type",
        "A body that says that it is XML.",
        b"<x/>",
        refused(415, "unsupported_media_type"),
        b"Content-Type: text/xml",
    ),
    _raw(
        "wrong-charset",
        "A body that says that it is in Latin-1.",
        json.dumps(_chat()).encode(),
        refused(415, "unsupported_media_type"),
        b"Content-Type: application/json; charset=latin-1",
    ),
    _raw(
        "wrong-coding",
        "A body in a compression that is not known.",
        b"x",
        refused(415, "unsupported_encoding"),
        b"Content-Encoding: br",
    ),
    _raw(
        "broken-archive",
        "A compressed body that is cut.",
        b"\x1f\x8b\x08\x00\x00",
        refused(400, "invalid_encoding"),
        b"Content-Encoding: gzip",
    ),
)
SIZES: Final = (
    _raw(
        "huge-length",
        "A body of 100 MB, by its length: refused before it is read.",
        b"",
        refused(413, "request_too_large", "false"),
        b"Content-Length: 100000000",
    ),
    _raw(
        "huge-chunks",
        "A body larger than the limit, in chunks.",
        b"200000\r\n" + b" " * 0x200000 + b"\r\n0\r\n\r\n",
        refused(413, "request_too_large", "false"),
        b"Transfer-Encoding: chunked",
    ),
    Fault(
        "large-body",
        "A body larger than the limit, from an SDK.",
        refused(413, "request_too_large", "false", calls=0),
        _chat(user="x" * 2 * MEGABYTE),
    ),
    _raw(
        "silent-body",
        "A body that does not come.",
        b"{",
        refused(408, "request_timeout"),
        b"Content-Length: 99",
    ),
    _raw(
        "expectation",
        "An expectation other than 100-continue.",
        b"",
        refused(417, "expectation_failed"),
        b"Expect: miracles",
        b"Content-Length: 2",
    ),
)
GROUPS: Final = (
    ("Keys", KEYS),
    ("Models", MODELS),
    ("Bodies", BODIES),
    ("Sizes and times", SIZES),
)
FAULTS: Final[tuple[Fault, ...]] = tuple(fault for _, faults in GROUPS for fault in faults)
