"""Errors of upstreams, in both dialects, on their way to the client.

Oracle: any bytes give an error of a status from 400 to 599 whose body is JSON; no key of a form
that providers use is in it.
"""

import json
import re
from typing import Final

from jarvis_proxy.upstreams.gemini.reply.errors import translate_error
from jarvis_proxy.upstreams.openai_errors import error_from_body

TOKENS: Final = (
    b'"error"', b'"message":"key sk-c4nary0123456789 is wrong"', b'"code":401', b'"code":"x"',
    b'"status":"INVALID_ARGUMENT"', b"AIzac4nary0123456789", b"Bearer c4nary0123456789", b"sk-",
    b'"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]',
    b"null", b"1e999", b"[", b"{", b'"type":"insufficient_quota"', b"\\u0073k-c4nary0123456789",
    b"?key=c4nary0123456789", b"\xff",
)  # fmt: skip
_KEYS: Final = re.compile(r"(?:\bsk-|\bAIza|\bBearer\s)c4nary")
_STATUSES: Final = (400, 401, 403, 404, 429, 500, 503, 529)


def check(data: bytes) -> None:
    """Translate the error in both dialects."""
    status = _STATUSES[data[0] % len(_STATUSES)] if data else 500
    body = data[1:]
    for error in (error_from_body(body), translate_error(status, body, model="m")):
        assert 400 <= error.status < 600
        written = json.loads(error.body())["error"]
        assert written["message"]
        assert not _KEYS.search(json.dumps(written, ensure_ascii=False))
        json.loads(error.event()[len(b"data: ") :])
