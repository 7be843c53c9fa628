"""What Anthropic refuses, as a checker of request bodies: none of the proxy's code is in it.

Source: https://platform.claude.com/docs/en/api/messages, its guides, and recorded refusals (read
2026-11).
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

Json = dict[str, Any]

_FIELDS = {
    "model",
    "max_tokens",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "cache_control",
    "service_tier",
}
_BLOCKS = {
    "user": {"text", "image", "document", "search_result", "tool_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
    "result": {"text", "image", "document", "search_result", "tool_reference"},
}
_THINKING = ("thinking", "redacted_thinking")
_EFFORTS = {"low", "medium", "high", "xhigh", "max"}
_SCHEMA_WORDS = {
    "type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions", "properties",
    "required", "additionalProperties", "items", "description", "title", "format", "minItems",
    "default",
}  # fmt: skip
_LIMITS = {(3, 0): 4096, (3, 5): 8192, (3, 7): 64_000, (4, 6): 128_000}


class RefusedError(Exception):
    """What Anthropic would answer 400 to."""


def version_of(model: str) -> tuple[int, int]:
    """Return the version in a model's name; (99, 0) for a name without one."""
    found = re.search(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)", model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


def check(body: Json, issued: Iterable[Json] = ()) -> None:
    """Raise what Anthropic refuses in *body*. *issued* are the thinking blocks that it gave out.

    Raises:
        RefusedError: with Anthropic's words, where they are known.
    """
    _require(body.keys() <= _FIELDS, f"{body.keys() - _FIELDS}: Extra inputs are not permitted")
    version = version_of(body["model"])
    _check_limit(body, version)
    _check_turns(body["messages"])
    _check_ends(body, version)
    _check_calls(body["messages"])
    _check_tools(body, version)
    _check_thinking(body, version, [json.dumps(block, sort_keys=True) for block in issued])
    _check_sampling(body, version)
    _check_output(body.get("output_config", {}), version)
    _check_cache(body)
    for text in body.get("system", []):
        _check_block(text, "system", {"text"})
    _require(all(s.strip() for s in body.get("stop_sequences", [])), "stop_sequences: whitespace")


def _require(good: object, words: str) -> None:
    if not good:
        raise RefusedError(words)


def _check_limit(body: Json, version: tuple[int, int]) -> None:
    most = max(limit for least, limit in _LIMITS.items() if version >= least)
    if "opus" in body["model"] and (4, 0) <= version < (4, 5):
        most = 32_000
    limit = body["max_tokens"]
    _require(isinstance(limit, int) and limit >= 1, "max_tokens: must be at least 1")
    _require(limit <= most, f"max_tokens: {limit} > {most}, which is the maximum allowed number")


def _check_turns(turns: list[Json]) -> None:
    _require(turns, "messages: at least one message is required")
    _require(turns[0]["role"] == "user", "messages: first message must use the user role")
    for index, turn in enumerate(turns):
        role = turn["role"]
        _require(turn["content"], f"messages.{index}: content must be non-empty")
        for block in turn["content"]:
            _check_block(block, f"messages.{index}", _BLOCKS[role])
    for one, other in pairwise(turns):
        _require(one["role"] != other["role"], "messages: roles must alternate")


def _check_block(block: Json, where: str, kinds: set[str]) -> None:
    kind = block["type"]
    _require(kind in kinds, f"{where}: {kind} is not allowed here")
    match kind:
        case "text":
            _require(block["text"].strip(), f"{where}: text content blocks must be non-empty")
        case "image" if block["source"]["type"] == "base64":
            media = block["source"]["media_type"]
            known = {"image/jpeg", "image/png", "image/gif", "image/webp"}
            _require(media in known, f"{where}: {media} is not an image")
        case "tool_result" if isinstance(block.get("content"), list):
            _require(block["content"], f"{where}: content is empty")
            for inner in block["content"]:
                _check_block(inner, where, _BLOCKS["result"])
        case "tool_use":
            _require(isinstance(block["input"], dict), f"{where}: input must be an object")
            _require(re.fullmatch(r"[a-zA-Z0-9_-]+", block["id"]), f"{where}: id")
            _require(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block["name"]), f"{where}: name")


def _check_ends(body: Json, version: tuple[int, int]) -> None:
    last = body["messages"][-1]
    if last["role"] == "user":
        return
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    _require(version < (4, 6), "This model does not support assistant message prefill")
    _require(not thinks, "prefill with thinking")
    _require("format" not in body.get("output_config", {}), "prefill with a format")
    block = last["content"][-1]
    ends_well = block["type"] == "text" and block["text"] == block["text"].rstrip()
    _require(ends_well, "final assistant content cannot end with trailing whitespace")


def _check_calls(turns: list[Json]) -> None:
    seen: list[str] = []
    for index, turn in enumerate(turns):
        uses = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        seen += uses
        behind = turns[index + 1]["content"] if index + 1 < len(turns) else []
        results = [block["tool_use_id"] for block in behind if block["type"] == "tool_result"]
        _require(
            not uses or results[: len(uses)] == uses,
            f"messages.{index}: `tool_use` ids were found without `tool_result` blocks",
        )
        _require(
            turn["role"] == "user" or results == uses,
            f"messages.{index + 1}: unexpected `tool_use_id` found in `tool_result` blocks",
        )
        first = [block["type"] == "tool_result" for block in turn["content"]]
        _require(first == sorted(first, reverse=True), "tool_result blocks must come first")
    _require(len(seen) == len(set(seen)), "`tool_use` ids must be unique")
    first_results = [b for b in turns[0]["content"] if b["type"] == "tool_result"]
    _require(not first_results, "messages.0: unexpected `tool_use_id`")


def _check_tools(body: Json, version: tuple[int, int]) -> None:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    _require(len(names) == len(set(names)), "tools: Tool names must be unique.")
    for index, tool in enumerate(tools):
        if "type" in tool:
            continue
        where = f"tools.{index}.custom"
        _require(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool["name"]), f"{where}.name")
        schema = tool["input_schema"]
        _require(schema.get("type") == "object", f"{where}.input_schema.type: Field required")
        combined = {"anyOf", "oneOf", "allOf"} & schema.keys()
        _require(not combined, f"{where}.input_schema does not support oneOf at the top level")
        if tool.get("strict"):
            _require(version >= (4, 5), f"{where}: strict is not supported")
            _check_schema(schema, where)
    _require(sum("strict" in tool for tool in tools) <= 20, "at most 20 strict tools")
    used = any(b["type"] == "tool_use" for turn in body["messages"] for b in turn["content"])
    _require(tools or not used, "Requests which include `tool_use` blocks must define tools")
    choice = body.get("tool_choice")
    if choice is not None:
        _require(tools, "tool_choice may only be specified while providing tools")
        _require(choice["type"] in {"auto", "any", "none", "tool"}, "tool_choice.type")
        _require(choice["type"] != "tool" or choice["name"] in names, "tool_choice: no such tool")


def _check_schema(schema: Json, where: str) -> None:
    unknown = schema.keys() - _SCHEMA_WORDS
    _require(not unknown, f"{where}: {unknown} is not supported")
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        _require(closed, f"{where}: For 'object' type, 'additionalProperties' must be false")
    for inner in _inner_schemas(schema):
        _require(isinstance(inner, dict), f"{where}: boolean schemas are not supported")
        _check_schema(inner, where)


def _inner_schemas(schema: Json) -> Iterator[Any]:
    for key in ("properties", "$defs", "definitions"):
        yield from schema.get(key, {}).values()
    for key in ("anyOf", "allOf"):
        yield from schema.get(key, [])
    if "items" in schema:
        yield schema["items"]


def _check_thinking(body: Json, version: tuple[int, int], issued: list[str]) -> None:
    thinking = body.get("thinking", {})
    match thinking.get("type"):
        case "enabled":
            _require((3, 7) <= version < (4, 7), '"thinking.type.enabled" is not supported')
            budget = thinking["budget_tokens"]
            _require(budget >= 1024, "thinking.budget_tokens: must be at least 1024")
            _require(budget < body["max_tokens"], "`max_tokens` must be greater than the budget")
            forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
            _require(not forced, "Thinking may not be enabled when tool_choice forces tool use.")
            _check_last_step(body["messages"])
        case "adaptive":
            _require(version >= (4, 6), "adaptive thinking is not supported on this model")
    seen: list[str] = []
    for turn in body["messages"]:
        blocks = [block for block in turn["content"] if block["type"] in _THINKING]
        last = turn["content"][-1]["type"]
        _require(
            last not in _THINKING, "The final block in an assistant message cannot be thinking"
        )
        for block in blocks:
            shown = json.dumps(block, sort_keys=True)
            _require(shown in issued, "Invalid `signature` in `thinking` block")
            seen.append(shown)
    _require(len(seen) == len(set(seen)), "a thinking block was sent twice")
    _require(seen == sorted(seen, key=issued.index), "thinking blocks out of order")


def _check_last_step(turns: list[Json]) -> None:
    if len(turns) < 2 or turns[-1]["content"][0]["type"] != "tool_result":
        return
    first = turns[-2]["content"][0]["type"]
    _require(first in _THINKING, f"Expected `thinking` or `redacted_thinking`, but found `{first}`")


def _check_sampling(body: Json, version: tuple[int, int]) -> None:
    named = {"temperature", "top_p", "top_k"} & body.keys()
    _require(not named or version < (4, 7), f"{named}: is deprecated for this model")
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        _require(named <= {"temperature"}, "sampling with thinking")
        _require(body.get("temperature", 1) == 1, "`temperature` may only be set to 1")
    _require(0 <= body.get("temperature", 0) <= 1, "temperature: range: 0..1")
    both = {"temperature", "top_p"} <= named and version >= (4, 1)
    _require(not both, "`temperature` and `top_p` cannot both be specified for this model.")


def _check_output(config: Json, version: tuple[int, int]) -> None:
    _require(config.keys() <= {"effort", "format"}, "output_config: Extra inputs")
    if "effort" in config:
        _require(version >= (4, 5), "This model does not support the effort parameter.")
        _require(config["effort"] in _EFFORTS, "output_config.effort")
    if "format" in config:
        _require(version >= (4, 5), "output format is not supported")
        _require(config["format"]["type"] == "json_schema", "output_config.format.type")
        _check_schema(config["format"]["schema"], "output_config.format.schema")


def _check_cache(body: Json) -> None:
    def marks(value: object) -> int:
        if isinstance(value, list):
            return sum(map(marks, value))
        if not isinstance(value, dict):
            return 0
        inner = (one for key, one in value.items() if key not in ("input", "input_schema"))
        return ("cache_control" in value) + sum(map(marks, inner))

    found = marks(body)
    _require(
        found <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {found}."
    )
