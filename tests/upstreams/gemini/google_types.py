"""Judges request bodies by google-genai's own types and by Google's rules for conversations."""

from itertools import pairwise
from typing import Any

from google.genai import types
from pydantic import BaseModel

Json = dict[str, Any]

_LISTS: dict[str, type[BaseModel]] = {
    "contents": types.Content,
    "tools": types.Tool,
    "safetySettings": types.SafetySetting,
}
_OBJECTS: dict[str, type[BaseModel]] = {
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
}
_DATA = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_VERTEX_ONLY = {"partialArgs", "willContinue", "displayName", "method", "labels", "audioTimestamp"}


def assert_google_accepts(body: Json) -> None:
    """Fail unless *body* is a generateContent request that the Gemini API's types allow.

    google-genai forbids unknown fields on its models; here aliases are the only spelling, enum
    values must be known, and every part holds exactly one kind of data, none of it empty.
    """
    strings = {"cachedContent", "serviceTier"}
    assert body.keys() <= {*_LISTS, *_OBJECTS, *strings}, body.keys()
    for key, model in _LISTS.items():
        for item in body.get(key, []):
            _validate(model, item)
        assert body.get(key) != [], f"{key} is empty"
    for key, model in _OBJECTS.items():
        if key in body:
            _validate(model, body[key])
    assert all(isinstance(body.get(key, ""), str) for key in strings)
    assert body.get("serviceTier", "flex") in {tier.value for tier in types.ServiceTier}
    assert body["contents"]
    for content in [*body["contents"], *_present(body, "systemInstruction")]:
        assert content["parts"], "a content without parts"
        for part in content["parts"]:
            _assert_part(part)


def assert_conversation_rules(body: Json, *, signed: bool, ids: bool) -> None:
    """Fail unless the contents keep Google's rules for turns, calls, results and signatures.

    *signed*: the first call of each step needs a signature. *ids*: calls and results carry ids.
    """
    contents = body["contents"]
    roles = [content["role"] for content in contents]
    assert set(roles) <= {"user", "model"}
    assert all(one != other for one, other in pairwise(roles)), roles
    seen_ids: list[str] = []
    signatures: list[str] = []
    for index, content in enumerate(contents):
        calls = [part for part in content["parts"] if "functionCall" in part]
        results = [part for part in content["parts"] if "functionResponse" in part]
        if content["role"] == "user":
            assert not calls
            asked = _calls(contents[index - 1]) if index else []
            assert len(asked) == len(results), "calls and results differ in number"
            assert content["parts"][: len(results)] == results, "results come first"
            assert all("thoughtSignature" not in part for part in content["parts"])
            continue
        assert not results
        if calls:
            assert index > 0, "a conversation opens with calls"
            assert index + 1 < len(contents), "calls without results"
            answers = contents[index + 1]["parts"][: len(calls)]
            assert len(answers) == len(calls)
            assert all("functionResponse" in answer for answer in answers)
            for call, answer in zip(calls, answers, strict=True):
                asked_call, result = call["functionCall"], answer["functionResponse"]
                assert asked_call["name"] == result["name"] != ""
                assert asked_call.get("id") == result.get("id")
                assert ("id" in asked_call) == ids
                seen_ids += [asked_call["id"]] if ids else []
            assert not signed or calls[0].get("thoughtSignature"), "first call is unsigned"
        signatures += [part["thoughtSignature"] for part in content["parts"] if _real(part)]
    assert len(seen_ids) == len(set(seen_ids)), "an id twice"
    assert len(signatures) == len(set(signatures)), "a signature twice"


def _validate(model: type[BaseModel], value: Json) -> None:
    model.model_validate(value, by_alias=True, by_name=False)


def _assert_part(part: Json) -> None:
    present = [key for key in _DATA if key in part]
    assert len(present) == 1, part
    assert part.get("text") != ""
    assert part.keys() <= {*_DATA, "thought", "thoughtSignature", "mediaResolution"}
    call = part.get("functionCall", {})
    result = part.get("functionResponse", {})
    assert not (call.keys() | result.keys()) & _VERTEX_ONLY
    assert isinstance(call.get("args", {}), dict)
    assert isinstance(result.get("response", {}), dict)


def _calls(content: Json) -> list[Json]:
    return [part for part in content["parts"] if "functionCall" in part]


def _real(part: Json) -> bool:
    return part.get("thoughtSignature") not in (None, "skip_thought_signature_validator")


def _present(body: Json, key: str) -> list[Json]:
    return [body[key]] if key in body else []
