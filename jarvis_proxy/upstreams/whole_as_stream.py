"""Converts a whole answer to the stream that was requested. Pure.

Some upstreams ignore ``stream``. SDKs parse no JSON there, so they would see an empty answer.

Source: https://platform.openai.com/docs/api-reference/chat-streaming,
https://platform.openai.com/docs/api-reference/responses-streaming,
https://docs.claude.com/en/api/messages-streaming (read 2026-11).
"""

from collections.abc import Iterator
from typing import Final

from jarvis_proxy.upstreams.json_values import Fields, dumps, fields_of, items_of
from jarvis_proxy.wire.response_events import SequenceNumbers
from jarvis_proxy.wire.sse import DONE

_EMPTIED: Final[Fields] = {"text": "", "thinking": "", "signature": "", "input": {}}
"""Fields of a content block that are sent as deltas, with their values in the block's start."""
_DELTAS: Final = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "signature": "signature_delta",
}
_ENDS: Final = frozenset({"completed", "failed", "incomplete"})
_IMAGE: Final = ("background", "output_format", "quality", "size")


def chat_stream(answer: Fields, *, asks_usage: bool) -> bytes | None:
    """Return a chat or text completion's chunks and ``[DONE]``; None if it has no choices.

    Clients that requested usage get it in a separate chunk. Others get it in the chunk with the
    finish reason, because a chunk without choices breaks some clients.
    """
    choices = [
        fields for choice in items_of(answer.get("choices")) if (fields := fields_of(choice))
    ]
    if not choices:
        return None
    is_text = not any("message" in choice for choice in choices)
    kind = "text_completion" if is_text else "chat.completion.chunk"
    head = {k: v for k, v in answer.items() if k not in ("choices", "usage")} | {"object": kind}
    usage = {} if answer.get("usage") is None else {"usage": answer["usage"]}
    begun = [_begun(choice, is_text=is_text) for choice in choices]
    ended = [_ended(choice, is_text=is_text) for choice in choices]
    chunks: list[Fields] = [
        {**head, "choices": begun},
        {**head, "choices": ended, **({} if asks_usage else usage)},
    ]
    if asks_usage and usage:
        chunks.append({**head, "choices": [], **usage})
    return b"".join(b"data: %b\n\n" % dumps(chunk) for chunk in chunks) + DONE


def _begun(choice: Fields, *, is_text: bool) -> Fields:
    rest = {k: v for k, v in choice.items() if k not in ("message", "finish_reason")}
    if not is_text:
        rest["delta"] = _delta(fields_of(choice.get("message")))
    return {"index": 0, **rest, "finish_reason": None}


def _delta(message: Fields) -> Fields:
    delta = {"role": "assistant", **{k: v for k, v in message.items() if v is not None}}
    calls = [fields_of(call) for call in items_of(message.get("tool_calls"))]
    if calls:
        delta["tool_calls"] = [{**call, "index": index} for index, call in enumerate(calls)]
    return delta


def _ended(choice: Fields, *, is_text: bool) -> Fields:
    calls = fields_of(choice.get("message")).get("tool_calls")
    reason = choice.get("finish_reason") or ("tool_calls" if calls else "stop")
    return {
        "index": choice.get("index", 0),
        **({"text": ""} if is_text else {"delta": {}}),
        "logprobs": None,
        "finish_reason": reason,
    }


def image_stream(answer: Fields, *, edits: bool = False) -> bytes | None:
    """Return one event per finished picture; None if they are links, or there are none.

    *edits*: pictures were edited, not generated.
    """
    pictures = [fields_of(picture) for picture in items_of(answer.get("data"))]
    if not pictures or not all(isinstance(p.get("b64_json"), str) for p in pictures):
        return None
    kind = "image_edit.completed" if edits else "image_generation.completed"
    shared = {name: answer[name] for name in _IMAGE if name in answer}
    shared |= {"created_at": answer.get("created"), "usage": answer.get("usage")}
    return b"".join(
        _event({"type": kind, "b64_json": picture["b64_json"], **shared}) for picture in pictures
    )


def response_stream(answer: Fields, numbers: SequenceNumbers) -> bytes | None:
    """Return the events of a whole response; None if *answer* is not a response."""
    if not isinstance(answer.get("output"), list) and answer.get("object") != "response":
        return None
    begun = {**answer, "status": "in_progress", "output": [], "usage": None, "error": None}
    status = answer.get("status")
    end = status if status in _ENDS else "completed"
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(items_of(answer.get("output"))):
        for event in _item(fields_of(item)):
            events.append({**event, "output_index": index})
    events.append({"type": f"response.{end}", "response": answer})
    return b"".join(_event({**event, "sequence_number": numbers.take()}) for event in events)


def message_stream(answer: Fields) -> bytes | None:
    """Return the events of a whole message of Anthropic's API; None if *answer* is not one."""
    if answer.get("type") != "message":
        return None
    ending = {name: answer.get(name) for name in ("stop_reason", "stop_sequence")}
    begun = {**answer, "content": [], **dict.fromkeys(ending)}
    events: list[dict[str, object]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(items_of(answer.get("content"))):
        events += ({**event, "index": index} for event in _block(fields_of(block)))
    usage = answer.get("usage") or {"output_tokens": 0}
    events += [
        {"type": "message_delta", "delta": ending, "usage": usage},
        {"type": "message_stop"},
    ]
    return b"".join(map(_event, events))


def _block(block: Fields) -> Iterator[dict[str, object]]:
    begun = {**block, **{name: empty for name, empty in _EMPTIED.items() if name in block}}
    yield {"type": "content_block_start", "content_block": begun}
    for name, kind in _DELTAS.items():
        if isinstance(text := block.get(name), str) and text:
            yield {"type": "content_block_delta", "delta": {"type": kind, name: text}}
    if block.get("input"):
        json = dumps(block["input"]).decode("utf-8", "replace")
        delta = {"type": "input_json_delta", "partial_json": json}
        yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}


def _item(item: Fields) -> Iterator[dict[str, object]]:
    empty = {"content": [], "summary": [], "arguments": "", "input": ""}
    begun = {**item, **{name: value for name, value in empty.items() if item.get(name)}}
    if "status" in item:
        begun["status"] = "in_progress"
    yield {"type": "response.output_item.added", "item": begun}
    place = {"item_id": item.get("id", "")}
    for name, event in (
        ("arguments", "response.function_call_arguments"),
        ("input", "response.custom_tool_call_input"),
    ):
        if isinstance(text := item.get(name), str) and text:
            yield {"type": f"{event}.delta", **place, "delta": text}
            yield {"type": f"{event}.done", **place, name: text}
    if item.get("type") == "message":
        for index, part in enumerate(items_of(item.get("content"))):
            yield from _part(fields_of(part), {**place, "content_index": index}, "content_part")
    for index, part in enumerate(items_of(item.get("summary"))):
        where = {**place, "summary_index": index}
        yield from _part(fields_of(part), where, "reasoning_summary_part")
    yield {"type": "response.output_item.done", "item": item}


def _part(part: Fields, place: Fields, event: str) -> Iterator[dict[str, object]]:
    name = "refusal" if part.get("type") == "refusal" else "text"
    kinds = {"refusal": "refusal", "summary_text": "reasoning_summary_text"}
    kind = f"response.{kinds.get(str(part.get('type')), 'output_text')}"
    logprobs = {"logprobs": part.get("logprobs") or []} if kind == "response.output_text" else {}
    yield {"type": f"response.{event}.added", **place, "part": {**part, name: ""}}
    if isinstance(text := part.get(name), str):
        yield {"type": f"{kind}.delta", **place, "delta": text, **logprobs}
        yield {"type": f"{kind}.done", **place, name: text, **logprobs}
    yield {"type": f"response.{event}.done", **place, "part": part}


def _event(event: Fields) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), dumps(event))
