"""A proxy with a service that speaks the Messages API behind it, and answers of that service."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.conftest import KEY, Proxy, running_proxy
from tests.support.raw_upstream import RawUpstream, Script

Json = dict[str, Any]

SERVICE_KEY = "sk-ant-canary-0123456789"
CLIENT = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
MODEL = "claude-sonnet-5"
ASK: Json = {
    "model": MODEL,
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}
USAGE: Json = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 30,
    "output_tokens": 5,
}


@contextlib.asynccontextmanager
async def proxy_before(script: Script, **env: str) -> AsyncIterator[tuple[Proxy, RawUpstream]]:
    """Start a service that plays *script*, and a proxy before it; *env* are further settings."""
    service = RawUpstream(script, base_path="")
    async with (
        service.running(),
        running_proxy(
            **{
                "ANTHROPIC_BASE_URL": service.base_url,
                "ANTHROPIC_API_KEY": SERVICE_KEY,
                **env,
            }
        ) as proxy,
    ):
        yield proxy, service


def message(*content: Json, stop_reason: str = "end_turn", usage: Json = USAGE) -> bytes:
    """Return a whole answer."""
    fields = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
    ending = {"stop_reason": stop_reason, "stop_sequence": None, "usage": usage}
    blocks = content or ({"type": "text", "text": "Hello!"},)
    return json.dumps({**fields, "content": blocks, **ending}).encode()


def event(kind: str, **fields: Any) -> bytes:
    """Return one event of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


START = event("message_start", message=json.loads(message()) | {"content": [], "stop_reason": None})
TEXT = (
    event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello!"})
    + event("content_block_stop", index=0)
)
ENDING = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5})
STOP = event("message_stop")
STREAM = START + TEXT + ENDING + STOP


def error(kind: str, text: str) -> bytes:
    """Return an error's body."""
    written = {"type": kind, "message": text}
    return json.dumps({"type": "error", "error": written, "request_id": "req_upstream"}).encode()
