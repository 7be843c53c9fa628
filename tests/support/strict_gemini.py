"""A Gemini that refuses what Google refuses, at the socket, and plays a loop of tool calls."""

import base64
import json
from collections.abc import Sequence
from itertools import count, pairwise
from typing import Any

from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.upstreams.gemini.google_types import assert_google_accepts

Json = dict[str, Any]
Calls = Sequence[tuple[str, Json]]
"""Names of tools with their arguments."""

SENTINELS = {"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"}
_SAMPLING_ONLY_OLD = ("presencePenalty", "frequencyPenalty", "responseLogprobs", "candidateCount")
ANSWER = "It is 21 degrees in Boston and 31 in Delhi; both in the sun."


class RefusedError(Exception):
    """What Google would answer 400 to."""


class StrictGemini:
    """Plays one conversation: two calls at once, then one more, then text."""

    def __init__(self) -> None:
        self.issued: dict[str, str] = {}  # signature -> the call it belongs to
        self.refusals: list[str] = []
        self.sentinels = 0
        self.real_signatures = 0
        self._number = count(1)

    def running(self) -> RawUpstream:
        """Return the upstream to run."""
        return RawUpstream(self._play, base_path="/v1beta")

    async def _play(self, peer: Peer, request: Received) -> None:
        if request.method == "GET":
            await peer.reply(b'{"models":[]}')
            return
        model = request.path.split("/models/")[1].split(":")[0]
        try:
            body = json.loads(request.body)
            check(body, model, self)
            _check_names(body)
        except (RefusedError, AssertionError, ValueError) as exc:
            self.refusals.append(f"{model}: {exc}")
            error = {"code": 400, "message": str(exc)[:200], "status": "INVALID_ARGUMENT"}
            await peer.reply(json.dumps({"error": error}).encode(), 400)
            return
        frames = self._frames(body, model)
        if ":streamGenerateContent" not in request.path:
            await peer.reply(json.dumps(_merged(frames)).encode())
            return
        await peer.head()
        for frame in frames:
            await peer.chunk(b"data: " + json.dumps(frame).encode() + b"\r\n\r\n")
        await peer.last_chunk()

    def _frames(self, body: Json, model: str) -> list[Json]:
        calls = self._calls(body)
        if not calls:
            return _with_usage([[{"text": ANSWER[:20]}], [{"text": ANSWER[20:]}]], model)
        parts = [self._call(*call, model, first=number == 0) for number, call in enumerate(calls)]
        thoughts = [{"text": "They want two cities.", "thought": True}] if len(calls) > 1 else []
        return _with_usage([[part] for part in (*thoughts, *parts)], model)

    def _calls(self, body: Json) -> Calls:
        """Return what is called now: by how many rounds of results the conversation holds."""
        rounds = sum(
            any("functionResponse" in part for part in content["parts"])
            for content in body["contents"]
        )
        if rounds >= 2 or "tools" not in body:
            return ()
        if rounds == 1:
            return [("get_forecast", {"days": 3})]
        return [("get_weather", {"city": city}) for city in ("Boston", "Delhi")]

    def _call(self, name: str, args: Json, model: str, *, first: bool) -> Json:
        number = next(self._number)
        call: Json = {"name": name, "args": args}
        if _is_new(model):
            call["id"] = f"native{number:02d}"
        part: Json = {"functionCall": call}
        if first and _is_new(model):
            signature = base64.b64encode(f"\x12\x00signature-{number:03d}".encode()).decode()
            self.issued[signature] = json.dumps([name, args])
            part["thoughtSignature"] = signature
        return part


def check(body: Json, model: str, gemini: StrictGemini) -> None:
    """Raise what Google refuses.

    Raises:
        RefusedError, AssertionError, ValueError: with Google's words, where they are known.
    """
    assert_google_accepts(body)
    contents = body["contents"]
    if any(one["role"] == other["role"] for one, other in pairwise(contents)):
        raise RefusedError("Please ensure that roles alternate between user and model")
    for index, content in enumerate(contents):
        _check_content(contents, index, content)
    if contents[-1]["role"] == "model" and not _takes_prefill(model):
        raise RefusedError("Requests ending with a model turn are not supported")
    _check_signatures(contents, model, gemini)
    _check_config(body, model)


def _check_names(body: Json) -> None:
    """Refuse calls of functions that are not declared, in a conversation that declares all of them.

    Google is not known to mind: a client may leave out a tool that it has called before. Here
    it shows a name that was changed in one of the two places only.
    """
    declared = {
        function["name"]
        for tool in body.get("tools", [])
        for function in tool.get("functionDeclarations", [])
    }
    called = {call["name"] for one in body["contents"] for call in _of(one, "functionCall")}
    if declared and not called <= declared:
        raise RefusedError("an undeclared function was called")


def _check_content(contents: list[Json], index: int, content: Json) -> None:
    calls = _of(content, "functionCall")
    results = _of(content, "functionResponse")
    if calls:
        if index + 1 >= len(contents):
            raise RefusedError("a function call turn must be followed by function responses")
        answers = _of(contents[index + 1], "functionResponse")
        if len(answers) != len(calls):
            raise RefusedError(
                "number of function response parts is equal to the number of function call parts"
            )
        for call, answer in zip(calls, answers, strict=True):
            if call["name"] != answer["name"]:
                raise RefusedError("function response name does not match its call")
            if call.get("id") != answer.get("id"):
                raise RefusedError("functionResponse.id does not match functionCall.id")
            if not isinstance(answer["response"], dict) or "$ref" in json.dumps(answer["response"]):
                raise RefusedError("The referenced name does not match to a display_name")
    if results and not (index and _of(contents[index - 1], "functionCall")):
        raise RefusedError("function response turn comes immediately after a function call turn")


def _check_signatures(contents: list[Json], model: str, gemini: StrictGemini) -> None:
    """Check section 5.1: the first call of each step of the current turn, and only real ones."""
    turn_start = max(
        index
        for index, content in enumerate(contents)
        if content["role"] == "user" and not _of(content, "functionResponse")
    )
    seen: list[str] = []
    for index, content in enumerate(contents):
        calls = [part for part in content["parts"] if "functionCall" in part]
        for position, part in enumerate(calls):
            signature = part.get("thoughtSignature")
            if signature is None:
                if position == 0 and index > turn_start and _is_new(model):
                    raise RefusedError(
                        "Function call is missing a thought_signature in functionCall parts."
                    )
                continue
            if position > 0:
                raise RefusedError("a parallel sibling carries a signature")
            _check_signature(signature, part["functionCall"], gemini)
            seen += [signature] if signature not in SENTINELS else []
        if any("thoughtSignature" in p for p in content["parts"] if "functionResponse" in p):
            raise RefusedError("a functionResponse carries a signature")
    if len(seen) != len(set(seen)):
        raise RefusedError("a signature was sent twice")


def _check_signature(signature: str, call: Json, gemini: StrictGemini) -> None:
    if signature in SENTINELS:
        gemini.sentinels += 1
    elif gemini.issued.get(signature) != json.dumps([call["name"], call["args"]]):
        raise RefusedError("Thought signature is not valid")
    else:
        gemini.real_signatures += 1


def _check_config(body: Json, model: str) -> None:
    config = body.get("generationConfig", {})
    if any(name in config for name in _SAMPLING_ONLY_OLD):
        raise RefusedError("Penalty, Logprobs or Multiple candidates is not enabled")
    thinking = config.get("thinkingConfig", {})
    level = thinking.get("thinkingLevel")
    if "thinkingBudget" in thinking and level:
        raise RefusedError("You can only set only one of thinking budget and thinking level.")
    if level and not _is_new(model):
        raise RefusedError("Thinking level is not supported for this model.")
    if level == "MINIMAL" and model in ("gemini-3.1-pro-preview", "gemini-3.8-flash"):
        raise RefusedError("Thinking level MINIMAL is not supported for this model.")
    if "responseMimeType" in config and "tools" in body and not _is_new(model):
        raise RefusedError(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )


def _of(content: Json, kind: str) -> list[Json]:
    return [part[kind] for part in content["parts"] if kind in part]


def _is_new(model: str) -> bool:
    return not model.startswith("gemini-2")


def _takes_prefill(model: str) -> bool:
    return model in ("gemini-2.5-flash", "gemini-2.5-pro", "gemini-3-flash-preview") or (
        model.startswith("gemini-3.1")
    )


def _with_usage(frames: list[list[Json]], model: str) -> list[Json]:
    """Return frames in Google's form: usage on each, the finish reason on an empty last one."""
    built: list[Json] = []
    for parts in [*frames, [{"text": ""}]]:
        usage = {"promptTokenCount": 10, "candidatesTokenCount": len(built) + 1}
        usage |= {"thoughtsTokenCount": 5, "totalTokenCount": 16 + len(built)}
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        built.append({"candidates": [candidate], "usageMetadata": usage, "modelVersion": model})
    built[-1]["candidates"][0]["finishReason"] = "STOP"
    return built


def _merged(frames: list[Json]) -> Json:
    last = frames[-1]
    parts = [p for frame in frames for p in frame["candidates"][0]["content"]["parts"]]
    last["candidates"][0]["content"]["parts"] = [p for p in parts if p != {"text": ""}]
    return last
