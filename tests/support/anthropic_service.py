"""An Anthropic at the socket that refuses what Anthropic refuses, and plays a loop of tools."""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.strict_anthropic import RefusedError, check

Json = dict[str, Any]
Calls = Sequence[tuple[str, Json]]
"""Names of tools with their arguments."""

KEY = "sk-ant-test-0123456789"
ANSWER = "It is 21 degrees in Boston and 31 in Delhi; both in the sun."
_USAGE = {"input_tokens": 20, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 7}


class StrictAnthropic:
    """Plays one conversation: two calls at once, then one more, then text; each thought over."""

    def __init__(self) -> None:
        self.issued: list[Json] = []
        self.refusals: list[str] = []
        self.bodies: list[Json] = []
        self._number = itertools.count(1)
        self.upstream = RawUpstream(self._play)

    def env(self) -> dict[str, str]:
        """Return the proxy's settings for it."""
        base_url = self.upstream.base_url.removesuffix("/v1")
        return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": base_url}

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"data":[]}')
            return
        try:
            body = self._checked(request)
        except (RefusedError, AssertionError) as exc:
            self.refusals.append(str(exc))
            error = {"type": "invalid_request_error", "message": str(exc)}
            await peer.reply(json.dumps({"type": "error", "error": error}).encode(), 400)
            return
        message = self._message(body)
        if body.get("stream"):
            await self._stream(peer, message)
        else:
            await peer.reply(json.dumps(message).encode())

    def _checked(self, request: Received) -> Json:
        body: Json = json.loads(request.body)
        assert request.path.partition("?")[0] == "/v1/messages"
        assert request.header("x-api-key") == KEY
        assert request.header("anthropic-version") == "2023-06-01"
        self.bodies.append(body)
        self._check(body)
        return body

    def _check(self, body: Json) -> None:
        check(body, self.issued)

    def _message(self, body: Json) -> Json:
        made = self._calls(body)
        content: list[Json] = []
        if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
            content.append(self._thought())
        if not made:
            content.append({"type": "text", "text": ANSWER})
        elif len(made) > 1:
            content.append({"type": "text", "text": "I look it up."})
        content += [self._call(*call) for call in made]
        return {
            "id": f"msg_{len(self.bodies):02d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "stop_reason": "tool_use" if made else "end_turn",
            "stop_sequence": None,
            "usage": {**_USAGE, "output_tokens": 9},
        }

    def _calls(self, body: Json) -> Calls:
        """Return what is called now: by how many rounds of results the conversation holds."""
        rounds = sum(turn["content"][0]["type"] == "tool_result" for turn in body["messages"])
        if rounds >= 2 or "tools" not in body:
            return ()
        if rounds == 1:
            return [("get_forecast", {"days": 3})]
        return [("get_weather", {"city": city}) for city in ("Boston", "Delhi")]

    def _thought(self) -> Json:
        number = next(self._number)
        thought = {
            "type": "thinking",
            "thinking": f"Hm, “{number}”.\n",
            "signature": f"S{number}/+==",
        }
        self.issued.append(thought)
        return thought

    def _call(self, name: str, arguments: Json) -> Json:
        call_id = f"toolu_{next(self._number):02d}"
        return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}

    async def _stream(self, peer: Peer, message: Json) -> None:
        await peer.head()
        for event in stream_of(message):
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            await peer.chunk(data.encode())
        await peer.last_chunk()


def stream_of(message: Json) -> Iterator[Json]:
    """Yield the events of *message* as a stream."""
    head = message | {"content": [], "stop_reason": None}
    yield {"type": "message_start", "message": head}
    yield {"type": "ping"}
    for index, block in enumerate(message["content"]):
        empty, deltas = _opened(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 9}}
    yield {"type": "message_stop"}


def _opened(block: Json) -> tuple[Json, list[Json]]:
    """Return how a block begins, and its deltas."""
    match block["type"]:
        case "text":
            pieces = block["text"][:9], block["text"][9:]
            return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
        case "thinking":
            said = {"type": "thinking_delta", "thinking": block["thinking"]}
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return block | {"thinking": "", "signature": ""}, [said, signed]
        case _:
            whole = json.dumps(block["input"])
            parts = "", whole[:5], whole[5:]
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in parts]
            return block | {"input": {}}, deltas
