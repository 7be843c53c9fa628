"""Properties of the request side for any input: rules of conversations, and only ProxyErrors."""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.signature_store import StoredSignature
from tests.upstreams.gemini.chat import (
    JPEG_BYTES,
    PNG,
    built,
    make_call,
    needed,
    plan_for,
)
from tests.upstreams.gemini.google_types import assert_conversation_rules, assert_google_accepts

pytestmark = pytest.mark.slow

T = TypeVar("T")


def attempt(translate: Callable[[], T]) -> tuple[T | None, ProxyError | None]:
    """Return what *translate* gives, or the one error that it may raise."""
    try:
        return translate(), None
    except ProxyError as error:
        return None, error


MODELS = st.sampled_from(
    (
        "gemini-2.0-flash",
        "gemini-2.5-flash",
        "gemini-3-flash-preview",
        "gemini-3.5-flash",
        "gemini-3.8-flash",
        "gemini-pro-latest",
        "gemini-3-pro-image",
        "gemma-3-27b-it",
    )
)
IDS = st.sampled_from(("", "call_0", "call_1", "call-1", "call_0_1", "ünïcode", "a" * 90))
SIGNATURES = st.sampled_from(("QUJD", "REVG", "skip_thought_signature_validator", "no base64!"))
NAMES = st.sampled_from(("f", "g", "1st", "-x", "a.b", "näme"))
TEXTS = st.sampled_from(("", " ", "hello", '{"a": 1}', "[1, 2]", "1.10", '{"$ref": "x"}', "{"))
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
PARTS = st.one_of(
    TEXTS.map(lambda text: {"type": "text", "text": text}),
    st.just(IMAGE),
    st.just({"type": "image_url", "image_url": "https://example.com/a.jpg"}),
)
CONTENTS = st.one_of(st.none(), TEXTS, st.lists(PARTS, max_size=3))


@st.composite
def tool_calls(draw: st.DrawFn) -> dict[str, Any]:
    call: dict[str, Any] = {
        "id": draw(IDS),
        "type": "function",
        "function": {"name": draw(NAMES), "arguments": draw(TEXTS)},
    }
    if draw(st.booleans()):
        call["extra_content"] = {"google": {"thought_signature": draw(SIGNATURES)}}
    return call


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    role = draw(st.sampled_from(("user", "assistant", "assistant", "tool", "tool", "function")))
    message: dict[str, Any] = {"role": role, "content": draw(CONTENTS)}
    if role == "assistant":
        message["tool_calls"] = draw(st.lists(tool_calls(), max_size=3))
        if draw(st.booleans()):
            message["extra_content"] = {"google": {"thought_signature": draw(SIGNATURES)}}
    if role == "tool":
        message["tool_call_id"] = draw(st.one_of(st.none(), IDS))
    if role in ("tool", "function"):
        message["name"] = draw(st.one_of(st.none(), NAMES))
    return message


VAULTS = st.dictionaries(
    st.sampled_from(("call_0", "call_1", "ünïcode")),
    st.builds(
        StoredSignature,
        st.sampled_from((None, "R0hJ", "QUJD")),
        st.sampled_from((None, "n1", "n2")),
    ),
)
SYSTEM = st.lists(st.just({"role": "system", "content": "Be brief."}), max_size=1)
MEDIA = {"https://example.com/a.jpg": Media("image/jpeg", JPEG_BYTES)}


@given(
    history=st.lists(messages(), max_size=10),
    system=SYSTEM,
    model=MODELS,
    store=VAULTS,
    sentinel_only=st.booleans(),
)
def test_any_history_becomes_contents_that_keep_googles_rules(
    history: list[dict[str, Any]],
    system: list[dict[str, Any]],
    model: str,
    store: dict[str, StoredSignature],
    sentinel_only: bool,
) -> None:
    sent = system + history or [{"role": "user", "content": ""}]
    plan = plan_for(
        {"messages": sent},
        model,
        store=store,
        media=MEDIA,
        fallbacks=RequestFallbacks(sentinel_signatures=sentinel_only),
    )
    body = json.loads(plan.body)
    traits = traits_of(model)

    assert_google_accepts(body)
    assert_conversation_rules(body, signed=traits.signatures == "required", ids=traits.sends_ids)
    assert traits.prefill or body["contents"][-1]["role"] == "user"
    assert not (sentinel_only and set(plan.signature_sources) - {"placeholder"})


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(("", "auto", "none", "high", "text", "function", "x", "data:,", "gs://b/c")),
    st.text(max_size=8),
)
KEYS = st.sampled_from(
    (
        "role", "content", "type", "text", "image_url", "url", "tool_calls", "id", "function",
        "name", "arguments", "parameters", "properties", "$ref", "allOf", "enum", "google",
        "thinking_config", "thinking_level", "schema", "json_schema", "extra_content", "mode",
        "tools", "allowed_tools", "custom", "format", "file", "file_data", "input_audio", "data",
    )
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    (
        "messages", "temperature", "top_p", "top_k", "n", "max_tokens", "max_completion_tokens",
        "stop", "seed", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs",
        "logit_bias", "response_format", "tools", "tool_choice", "parallel_tool_calls",
        "functions", "function_call", "reasoning_effort", "reasoning", "thinking",
        "include_thoughts", "verbosity", "modalities", "audio", "moderation", "service_tier",
        "web_search_options", "safety_settings", "safetySettings", "cached_content", "google",
        "extra_body", "stream_options", "made_up",
    )
)  # fmt: skip
MESSAGES = st.one_of(st.just([{"role": "user", "content": "hi"}]), st.lists(messages(), max_size=3))


@given(
    fields=st.dictionaries(FIELDS, VALUES, max_size=5),
    base=MESSAGES,
    model=MODELS,
    strict=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_json_becomes_an_accepted_request_or_a_proxy_error(
    fields: dict[str, Any], base: list[dict[str, Any]], model: str, strict: bool
) -> None:
    call = make_call({"messages": base, **fields}, model, strict_params=strict)
    wanted, error = attempt(lambda: needed(call))
    media = {url: Media("image/jpeg", JPEG_BYTES) for url in (wanted.urls if wanted else ())}
    plan, later = attempt(lambda: built(call, media))

    assert error is None or (error.status == 400 and error.code)
    assert later is None or (later.status == 400 and later.code)
    assert error is None or later is not None
    if plan is not None:
        assert_google_accepts(json.loads(plan.body))
        assert all(name.isascii() and name.isprintable() for name in plan.ignored)


@given(body=st.one_of(st.binary(max_size=40), VALUES.map(lambda v: json.dumps(v).encode())))
def test_any_body_that_is_no_request_is_a_proxy_error(body: bytes) -> None:
    _, error = attempt(lambda: needed(make_call(body)))

    assert error is not None
    assert (error.status, bool(error.code)) == (400, True)


DEEP_PLACES = (
    '{"messages":[{"role":"user","content":"hi","extra_content":DEEP}]}',
    '{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f",'
    '"arguments":TEXT}}]},{"role":"tool","tool_call_id":"a","content":TEXT}]}',
    '{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f",'
    '"arguments":DEEP}}]}]}',
    '{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":'
    '{"name":"f","parameters":{"type":"object","properties":{"a":{"default":DEEP}}}}}]}',
    '{"messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema",'
    '"json_schema":{"schema":{"not":DEEP,"enum":[DEEP]}}}}',
)


@given(
    depth=st.integers(80, 1200),
    opening=st.sampled_from(("[", '{"a":')),
    place=st.sampled_from(DEEP_PLACES),
)
def test_deep_nesting_anywhere_is_an_answer_or_a_proxy_error(
    depth: int, opening: str, place: str
) -> None:
    deep = opening * depth + "1" + ("]" if opening == "[" else "}") * depth
    body = place.replace("DEEP", deep).replace("TEXT", json.dumps(deep))
    plan, error = attempt(lambda: built(make_call(body.encode()), {}))

    assert (error is None) == (plan is not None)
    assert plan is None or json.loads(plan.body)
    assert error is None or error.status == 400
