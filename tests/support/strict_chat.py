"""A chat completions service as strict as DeepSeek, at the socket, that plays a loop of calls.

Calls must be answered at once, the reasoning of turns with calls must come back, unknown fields
are refused, and a JSON schema for the answer is not known.
"""

import json
from collections.abc import Sequence
from typing import Any

from tests.support.raw_upstream import Peer, RawUpstream, Received

Json = dict[str, Any]

FIELDS = frozenset(
    (
        "model", "messages", "tools", "tool_choice", "response_format", "temperature", "top_p",
        "max_tokens", "stop", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
        "thinking", "reasoning_effort", "stream", "stream_options", "n",
    )
)  # fmt: skip
_MESSAGE_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}
THOUGHT = "The user wants both, so "
ANSWER = "Köln is sunny, Oslo is not."
USAGE = {
    "prompt_tokens": 120,
    "completion_tokens": 30,
    "total_tokens": 150,
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 56,
    "completion_tokens_details": {"reasoning_tokens": 10},
}

Calls = Sequence[tuple[str, object]]
"""Names of tools with their arguments."""


class RefusedError(Exception):
    """What the service answers 400 to."""


def check(body: Json, *, demands_reasoning: bool = True) -> None:
    """Raise ``RefusedError`` for what a strict service refuses."""
    for name in body:
        _require(name in FIELDS, f"Unknown parameter: '{name}'.")
    one = body.get("n", 1) == 1
    _require(one, "Invalid n value (currently only n = 1 is supported)")
    form = body.get("response_format", {}).get("type", "text")
    _require(form in ("text", "json_object"), "This response_format type is unavailable now")
    for tool in body.get("tools", []):
        _check_tool(tool)
    thinks = body.get("thinking") != {"type": "disabled"}
    if thinks:
        choice = body.get("tool_choice", "auto")
        _require(choice in ("auto", "none"), "Thinking mode does not support this tool_choice")
    messages = body["messages"]
    for number, message in enumerate(messages):
        _check_message(message, number)
        calls = [call["id"] for call in message.get("tool_calls", [])]
        following = [m.get("tool_call_id") for m in messages[number + 1 : number + 1 + len(calls)]]
        _require(
            following == calls,
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'.",
        )
        if message["role"] == "tool":
            _check_tool_message(messages, number)
        _require(
            not (thinks and demands_reasoning and calls and not message.get("reasoning_content")),
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
        )


def _check_tool(tool: Json) -> None:
    _require(tool.get("type") == "function" and set(tool) == {"type", "function"}, "Invalid tool")
    function = tool["function"]
    known = {"name", "description", "parameters", "strict"}
    _require(set(function) <= known, f"Unknown fields in a function: {sorted(function)}")
    name = function["name"]
    legal = name.replace("-", "").replace("_", "")
    _require(0 < len(name) <= 64 and (legal or "a").isalnum() and name.isascii(), f"Name: {name}")
    parameters = function["parameters"]
    _require(parameters.get("type") == "object", "parameters must be of type object")
    _require(isinstance(parameters.get("properties"), dict), "parameters lack properties")


def _check_message(message: Json, number: int) -> None:
    role, content = message["role"], message["content"]
    _require(role in _MESSAGE_FIELDS, f"unknown variant `{role}`")
    unknown = set(message) - _MESSAGE_FIELDS.get(role, set())
    _require(not unknown, f"messages[{number}]: unknown fields {sorted(unknown)}")
    _require(role != "system" or number == 0, "System message must be at the beginning.")
    if isinstance(content, list):
        _require(role == "user", f"messages[{number}]: invalid type: sequence, expected a string")
        kinds = {part["type"] for part in content}
        _require(kinds != {"text"} and bool(kinds), "a list of texts should be a string")
    elif content is None:
        _require(bool(message.get("tool_calls")), f"messages[{number}]: content is null")
    else:
        _require(isinstance(content, str), f"messages[{number}]: content is no string")
        _require(bool(content) or role == "tool", f"messages[{number}]: content is empty")
    for call in message.get("tool_calls", []):
        _require(set(call) == {"id", "type", "function"} and bool(call["id"]), "Invalid tool call")
        arguments = json.loads(call["function"]["arguments"])
        _require(isinstance(arguments, dict), "arguments must be an object")
    ids = [call["id"] for call in message.get("tool_calls", [])]
    _require(len(set(ids)) == len(ids), "tool call ids must be unique")


def _check_tool_message(messages: list[Json], number: int) -> None:
    before = number
    while messages[before]["role"] == "tool" and before:
        before -= 1
    ids = [call["id"] for call in messages[before].get("tool_calls", [])]
    _require(messages[number]["tool_call_id"] in ids, "A tool message answers no call.")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise RefusedError(message)


class StrictChat:
    """Plays a loop: each of *rounds* asks for its calls at once, then comes the answer.

    Of a round the pieces of the calls interleave. *thought* is what it thinks in each round.
    """

    def __init__(self, rounds: Sequence[Calls] = (), *, thought: str = THOUGHT) -> None:
        self._rounds = rounds
        self._thought = thought
        self.refusals: list[str] = []
        self.bodies: list[Json] = []
        """The requests that were not refused."""

    def running(self) -> RawUpstream:
        """Return the upstream to run."""
        return RawUpstream(self.play)

    async def play(self, peer: Peer, request: Received) -> None:
        """Answer one request."""
        if not request.path.endswith("/chat/completions"):
            await peer.reply(b'{"detail":"Not Found"}', 404)
            return
        body = json.loads(request.body)
        try:
            self._check(body)
        except RefusedError as refusal:
            self.refusals.append(str(refusal))
            error = {"message": str(refusal), "type": "invalid_request_error", "param": None}
            await peer.reply(json.dumps({"error": {**error, "code": None}}).encode(), 400)
            return
        self.bodies.append(body)
        calls = self._calls(body)
        if not body.get("stream"):
            await peer.reply(json.dumps(self.whole(calls)).encode())
            return
        await peer.head()
        for event in self.events(calls, usage=body.get("stream_options") is not None):
            await peer.chunk(event)
        await peer.last_chunk()

    def _check(self, body: Json) -> None:
        check(body)
        self._check_reasoning(body)

    def _check_reasoning(self, body: Json) -> None:
        """Refuse reasoning that is not what was thought, such as a made-up text."""
        for message in body["messages"]:
            said = message.get("reasoning_content")
            _require(said in (None, self._thought), "The `reasoning_content` is not valid.")

    def _calls(self, body: Json) -> Calls:
        """Return what is called now: by how many rounds of results stand behind the last user."""
        rounds = 0
        for message in reversed(body["messages"]):
            if message["role"] == "user" and isinstance(message["content"], str):
                break
            rounds += "tool_calls" in message
        return self._rounds[rounds] if "tools" in body and rounds < len(self._rounds) else ()

    def whole(self, calls: Calls) -> Json:
        """Return a whole answer."""
        message: Json = {"role": "assistant", "content": None if calls else ANSWER}
        message["reasoning_content"] = self._thought
        if calls:
            message["tool_calls"] = [_call(n, *one) for n, one in enumerate(calls)]
        choice = {"index": 0, "message": message, "finish_reason": _reason(calls)}
        return {"id": "chat-1", "object": "chat.completion", "choices": [choice], "usage": USAGE}

    def events(self, calls: Calls, *, usage: bool = True) -> list[bytes]:
        """Return the events of a stream."""
        half = len(self._thought) // 2
        deltas: list[Json] = [
            {"role": "assistant", "content": None, "reasoning_content": ""},
            {"content": None, "reasoning_content": self._thought[:half]},
            {"content": None, "reasoning_content": self._thought[half:]},
        ]
        if not calls:
            deltas += [{"content": ANSWER[:9], "reasoning_content": None}, {"content": ANSWER[9:]}]
        deltas += _interleaved(calls)
        chunks = [_chunk(delta) for delta in deltas] + [_chunk({}, _reason(calls))]
        if usage:
            chunks.append({"id": "chat-1", "choices": [], "usage": USAGE})
        events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
        return [b": keep-alive\n\n", *events, b"data: [DONE]\n\n"]


def _reason(calls: Calls) -> str:
    return "tool_calls" if calls else "stop"


def _chunk(delta: Json, finish: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {"id": "chat-1", "object": "chat.completion.chunk", "choices": [choice]}


def _call(number: int, name: str, arguments: object) -> Json:
    text = json.dumps(arguments, ensure_ascii=False)
    function = {"name": name, "arguments": text}
    return {
        "index": number,
        "id": f"call_{number}_{name}",
        "type": "function",
        "function": function,
    }


def _interleaved(calls: Calls) -> list[Json]:
    """Return the pieces of the calls: all heads, then all first halves, then all second halves."""
    whole = [_call(number, *one) for number, one in enumerate(calls)]
    heads = [{**call, "function": {**call["function"], "arguments": ""}} for call in whole]
    pieces: list[Json] = []
    for half in (0, 1):
        for call in whole:
            text = call["function"]["arguments"]
            middle = len(text) // 2
            piece = text[middle:] if half else text[:middle]
            pieces.append({"index": call["index"], "function": {"arguments": piece}})
    return [{"tool_calls": [one]} for one in (*heads, *pieces)]
