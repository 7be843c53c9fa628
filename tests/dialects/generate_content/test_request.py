"""Requests of Google's API become canonical ones."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.dialects.generate_content.request import read_request
from jarvis_proxy.errors import ProxyError
from tests.dialects.generate_content.requests import MODEL, chat, outcome, read, refusal, user
from tests.support.recordings import WIRE, recordings, request_of


@pytest.mark.parametrize("threshold", ["OFF", "block_none", None])
def test_filters_that_are_off_are_not_named(threshold: str | None) -> None:
    settings = [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": threshold}]

    assert read(safetySettings=settings).ignored == ()


def test_filters_that_are_on_are_named() -> None:
    settings = [{"threshold": "OFF"}, {"threshold": "BLOCK_LOW_AND_ABOVE"}]

    assert read(safetySettings=settings).ignored == ("safetySettings",)


def test_a_cache_of_googles_is_refused() -> None:
    error = refusal(cachedContent="cachedContents/abc")

    assert (error.status, error.param) == (400, "cachedContent")


def test_what_no_upstream_could_mean_is_dropped_without_a_word() -> None:
    request = read(labels={"a": "b"}, serviceTier="flex", store=False, stream=True, model="x")

    assert request.ignored == ()
    assert json.loads(request.body).keys() == {"messages"}


def test_unknown_fields_are_dropped_and_named() -> None:
    request = read(newField=1, generationConfig={"newKnob": 2, "topK": 3})

    assert request.ignored == ("newField", "generationConfig.newKnob")
    error = refusal(newField=1, strict=True)
    assert (error.code, error.param) == ("unsupported_parameter", "newField")


@pytest.mark.parametrize("contents", [[], None, "", [{"parts": []}], [{"parts": [{"text": ""}]}]])
def test_contents_are_required(contents: Any) -> None:
    error = refusal(contents=contents, systemInstruction="Be brief.")

    assert (error.status, error.message, error.param) == (400, "contents are required", "contents")


def test_too_many_contents_are_refused() -> None:
    error = refusal(contents=["x"] * 20_001)

    assert (error.code, error.param) == ("array_above_max_length", "contents")


def test_a_wrong_type_is_reported_with_its_path() -> None:
    error = refusal(contents=[user({"text": 3})])

    assert (error.code, error.param) == ("invalid_type", "contents[0].parts[0].text")


def test_a_null_says_nothing() -> None:
    assert chat(generationConfig=None, tools=None, safetySettings=None).keys() == {"messages"}


CAPTURED = sorted((WIRE / "agents").glob("gemini_cli*.json")) if WIRE.is_dir() else []


@pytest.mark.skipif(not CAPTURED, reason="the captured requests are not next to this checkout")
@pytest.mark.parametrize("file", CAPTURED, ids=lambda file: file.stem)
def test_every_captured_request_of_gemini_cli_translates(file: Any) -> None:
    body = json.dumps(json.loads(file.read_text())["body"]).encode()
    if file.stem.endswith("web_search"):
        with pytest.raises(ProxyError, match="googleSearch is not served"):
            read_request(body, model=MODEL)
        return

    request = read_request(body, model=MODEL)

    assert request.ignored == ()
    asked = msgspec.json.decode(request.body, type=ChatRequest)
    assert asked.messages[0].role == "system"
    calls = [call.id for message in asked.messages for call in message.tool_calls or ()]
    answered = [message.tool_call_id for message in asked.messages if message.role == "tool"]
    assert calls == answered


@pytest.mark.parametrize("recording", recordings("gemini"))
def test_every_recorded_request_translates_or_is_refused_with_its_path(
    recording: dict[str, Any],
) -> None:
    if recording["kind"] != "generate" or recording["request"]["body"] is None:
        return
    body, _ = request_of(recording)

    request = outcome(body)

    if isinstance(request, ProxyError):
        assert (request.status, bool(request.param)) == (400, True)
        return
    asked = msgspec.json.decode(request.body, type=ChatRequest)
    calls = [call.id for message in asked.messages for call in message.tool_calls or ()]
    answered = {message.tool_call_id for message in asked.messages if message.role == "tool"}
    assert answered <= set(calls)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "text",
                    "parts",
                    "role",
                    "functionCall",
                    "function_response",
                    "name",
                    "args",
                    "type",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["contents", "tools", "toolConfig", "generationConfig", "systemInstruction", "x"]
        ),
        JSON,
    )
)
def test_any_body_translates_or_is_refused(body: dict[str, Any]) -> None:
    request = outcome(json.dumps(body).encode())

    if isinstance(request, ProxyError):
        assert request.status == 400
        return
    assert msgspec.json.decode(request.body, type=ChatRequest).messages
