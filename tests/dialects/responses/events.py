"""What the tests of Responses share: exchanges, and a plain reader of a response's events."""

import json
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.translation import Translation
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.signature_store import MemorySignatureStore
from tests.support.translated import gemini
from tests.upstreams.gemini.replies import a_call, ids, replied, streamed_by

JSON = dict[str, Any]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NAMES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "tool_search_call": "tsc",
    "local_shell_call": "lsh",
    "shell_call": "sh",
    "apply_patch_call": "apc",
    "image_generation_call": "ig",
}


def a_request(
    body: JSON | None = None, *, stream: bool = False, target: str = "gemini-3.5-flash"
) -> Call:
    """Return a call of /v1/responses."""
    asked = {"model": "my-model", "input": "Hi", **(body or {})}
    call = a_call(stream=stream, target=target)
    return replace(call, endpoint="responses", body=json.dumps(asked).encode())


def responding(
    body: JSON | None = None,
    *,
    stream: bool = False,
    target: str = "gemini-3.5-flash",
    store: MemorySignatureStore | None = None,
) -> Translation:
    """Return the exchange of a call of /v1/responses."""
    upstream = gemini(store, ids())
    exchange = upstream.exchange(a_request(body, stream=stream, target=target), {})
    assert isinstance(exchange, Translation)
    return exchange


def whole(*frames: JSON, body: JSON | None = None, **more: Any) -> JSON:
    """Return the response for *frames*, which OpenAI's types must take."""
    exchange = responding(body, **more)
    assert replied(exchange, json.dumps(frames).encode()) is None
    raw = exchange.answer()
    Response.model_validate_json(raw)
    response: JSON = json.loads(raw)
    return response


def outcome(
    pieces: Iterable[bytes], body: JSON | None = None, **more: Any
) -> tuple[bytes, ProxyError | None]:
    """Feed *pieces*; return all that reaches the client, and the error that ends it."""
    exchange = responding(body, stream=True, **more)
    translator, out, error = streamed_by(exchange, pieces)
    assert translator.done is (error is None)
    return out, error


def streamed(data: bytes, body: JSON | None = None, **more: Any) -> list[JSON]:
    """Return the events of a stream that must not fail."""
    out, error = outcome([data], body, **more)
    if error is not None:
        raise error
    return read(out)


def read(data: bytes) -> list[JSON]:
    """Return events, each of which OpenAI's types must take and whose name is its type."""
    blocks = data.split(b"\n\n")
    assert blocks.pop() == b""
    events: list[JSON] = []
    for number, block in enumerate(blocks):
        name, _, payload = block.partition(b"\n")
        event: JSON = json.loads(payload.removeprefix(b"data: "))
        EVENT.validate_python(event)
        assert name == f"event: {event['type']}".encode()
        assert event["sequence_number"] == number
        events.append(event)
    return events


def rebuild(events: list[JSON]) -> list[JSON]:
    """Put the items together from the deltas alone, as a client does that shows progress."""
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    items: list[JSON] = []
    done = 0
    for event in events[2:-1]:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == len(items) == done, "one item after the other"
            item = event["item"]
            assert item["id"].startswith(NAMES[item["type"]] + "_")
            items.append(item)
            continue
        assert event["output_index"] == len(items) - 1
        if kind == "response.output_item.done":
            done += 1
            items[-1] = _settled(items[-1], event["item"])
            continue
        assert event["item_id"] == items[-1]["id"]
        _apply(items[-1], kind, event)
    assert done == len(items)
    return items


def _settled(item: JSON, item_at_end: JSON) -> JSON:
    """Compare what the deltas gave with what the last event tells; return the latter."""
    later = ["status", "result"]
    if item["type"] != "function_call":
        later += ["arguments", "action", "operation"]  # no event has pieces of them
    known = {key: value for key, value in item.items() if key not in later}
    assert known == {key: value for key, value in item_at_end.items() if key in known}
    return item_at_end


def _apply(item: JSON, kind: str, event: JSON) -> None:
    match kind.removeprefix("response."):
        case "content_part.added":
            assert event["content_index"] == len(item["content"]) == 0
            item["content"].append(event["part"])
        case "output_text.delta":
            item["content"][0]["text"] += event["delta"]
        case "output_text.annotation.added":
            notes = item["content"][0]["annotations"]
            assert event["annotation_index"] == len(notes)
            notes.append(event["annotation"])
        case "output_text.done":
            assert item["content"][0]["text"] == event["text"]
            item["content"][0]["logprobs"] = event["logprobs"]
        case "content_part.done":
            assert item["content"][0] == event["part"]
        case "reasoning_summary_part.added":
            assert event["summary_index"] == len(item["summary"]) == 0
            item["summary"].append(event["part"])
        case "reasoning_summary_text.delta":
            item["summary"][0]["text"] += event["delta"]
        case "reasoning_summary_text.done":
            assert item["summary"][0]["text"] == event["text"]
        case "reasoning_summary_part.done":
            assert item["summary"][0] == event["part"]
        case "function_call_arguments.delta":
            item["arguments"] += event["delta"]
        case "function_call_arguments.done":
            assert (item["arguments"], item["name"]) == (event["arguments"], event["name"])
        case "custom_tool_call_input.delta":
            item["input"] += event["delta"]
        case "custom_tool_call_input.done":
            assert item["input"] == event["input"]
        case other:
            assert other.startswith("image_generation_call.")
