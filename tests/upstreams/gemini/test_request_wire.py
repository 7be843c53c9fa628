"""Every recorded OpenAI chat request, and what real clients sent, re-addressed to Gemini models."""

import json
from pathlib import Path
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from tests.upstreams.gemini.chat import JPEG_BYTES, built, make_call, needed
from tests.upstreams.gemini.google_types import assert_conversation_rules, assert_google_accepts

WIRE = Path(__file__).resolve().parents[3] / ".." / "shared" / "wire"

MODELS = (
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-3-flash-preview",
    "gemini-3.1-pro-preview",
    "gemini-3.8-flash",
)

# Requests that cannot be said to Gemini: where the fault is, and its code.
REFUSED = {
    # No messages, a part without a type, a temperature of 99: OpenAI's answer was a 400 as well.
    "ai-gateway__chat-no-messages__0_a169fe": ("messages", "empty_array"),
    "crewAI__test_custom_llm_within_crew__0_4848c5": (
        "messages[1].content[0].type",
        "missing_required_parameter",
    ),
    "rig__chat_completions_validation_error_carries_identity__0_b7d227": (
        "temperature",
        "decimal_above_max_value",
    ),
    # Speech from a model that only writes.
    "ai-gateway__chat-text-to-audio__0_474817": ("modalities", "unsupported_value"),
    # A file that only OpenAI has.
    "pydantic-ai__test_multimodal_tool_return_matrix_"
    "tool_return_content-uploaded_file-d__1_890426": (
        "messages[3].content[0].file.file_id",
        "invalid_file_id",
    ),
}


def _recorded() -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for path in sorted((WIRE / "openai").glob("*.json")):
        exchange = json.loads(path.read_bytes())
        if exchange["kind"] == "chat" and isinstance(exchange["request"].get("body"), dict):
            found.append((exchange["id"], exchange["request"]["body"]))
    return found


def _captured() -> list[tuple[str, dict[str, Any]]]:
    paths = sorted((WIRE / "clients").glob("*.json"))
    return [(path.stem, json.loads(path.read_bytes())["body"]) for path in paths]


@pytest.fixture(scope="module")
def requests() -> list[tuple[str, dict[str, Any]]]:
    if not WIRE.is_dir():
        pytest.skip("the recorded traffic is not here")
    return _recorded() + _captured()


@pytest.mark.parametrize("model", MODELS)
def test_recorded_chat_requests_become_requests_that_google_accepts(
    model: str, requests: list[tuple[str, dict[str, Any]]]
) -> None:
    refused: dict[str, tuple[int, str | None, str | int | None]] = {}
    traits = traits_of(model)
    for name, body in requests:
        call = make_call(body, model)
        try:
            media = {url: Media("image/jpeg", JPEG_BYTES) for url in needed(call).urls}
            body_sent = built(call, media).body
        except ProxyError as error:
            refused[name] = (error.status, error.param, error.code)
            continue
        sent = json.loads(body_sent)
        assert_google_accepts(sent)
        assert_conversation_rules(
            sent, signed=traits.signatures == "required", ids=traits.sends_ids
        )
    print(f"{model}: {len(requests)} requests, {len(refused)} refused")

    assert {name: (400, *fault) for name, fault in REFUSED.items()} == refused
