"""Whatever comes in, a Responses call gives an answer or a ProxyError, and never a made-up end."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.errors import ProxyError
from tests.dialects.responses.events import a_request, outcome, read, rebuild
from tests.support.translated import gemini
from tests.upstreams.gemini.chat import JPEG_BYTES, DictSignatureStore
from tests.upstreams.gemini.google_types import assert_google_accepts
from tests.upstreams.gemini.replies import a_frame, a_function_call, ids, sse
from tests.upstreams.gemini.test_request_properties import SCALARS, VALUES, attempt

pytestmark = pytest.mark.slow

KINDS = st.sampled_from(
    (
        None, "message", "function_call", "function_call_output", "custom_tool_call",
        "custom_tool_call_output", "reasoning", "image_generation_call", "item_reference",
        "web_search_call", "made_up",
    )
)  # fmt: skip
PART_KINDS = st.sampled_from(
    ("input_text", "output_text", "input_image", "input_file", "input_audio", "refusal", "odd")
)
TEXTS = st.sampled_from(("", "a", "data:,", "data:image/png;base64,iVBORw0KGgo=", "https://x/a"))
PARTS = st.fixed_dictionaries(
    {"type": PART_KINDS},
    optional={
        "text": TEXTS,
        "image_url": TEXTS,
        "file_id": st.sampled_from(("files/a", "file-a")),
        "file_data": TEXTS,
        "filename": TEXTS,
        "input_audio": VALUES,
        "refusal": TEXTS,
    },
)
CONTENT = st.one_of(TEXTS, st.lists(PARTS, max_size=3), SCALARS)
NAMES = st.sampled_from(("call_1", "call_2", "", "msg_1"))
ITEMS = st.fixed_dictionaries(
    {"type": KINDS},
    optional={
        "id": NAMES,
        "role": st.sampled_from(("user", "assistant", "system", "tool")),
        "content": CONTENT,
        "call_id": NAMES,
        "name": st.sampled_from(("f", "")),
        "arguments": st.sampled_from(("{}", "", "{", "[1]")),
        "input": SCALARS,
        "output": CONTENT,
        "encrypted_content": st.sampled_from(("gemini:c2ln", "gemini:", "x")),
        "result": st.sampled_from(("iVBORw0KGgo=", "?", None)),
    },
)
FIELDS = st.sampled_from(
    (
        "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls",
        "reasoning", "text", "tool_choice", "tools", "top_logprobs", "top_p", "temperature",
        "truncation", "include", "service_tier", "google", "user", "background", "prompt",
        "conversation", "previous_response_id", "made_up",
    )
)  # fmt: skip


@given(
    fields=st.dictionaries(FIELDS, VALUES, max_size=3),
    items=st.one_of(TEXTS, st.lists(ITEMS, max_size=4)),
    model=st.sampled_from(("gemini-2.5-flash", "gemini-3.8-flash")),
    strict=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
def test_any_json_becomes_an_accepted_request_or_a_proxy_error(
    fields: dict[str, Any], items: Any, model: str, strict: bool
) -> None:
    upstream = gemini(DictSignatureStore(), ids())
    call = replace(a_request({"input": items, **fields}, target=model), strict_params=strict)
    wanted, error = attempt(lambda: upstream.needs(call))
    media = {url: Media("image/jpeg", JPEG_BYTES) for url in (wanted.urls if wanted else ())}
    exchange, later = attempt(lambda: upstream.exchange(call, media))

    for fault in filter(None, (error, later)):
        assert (fault.status, bool(fault.code)) == (400, True)
        assert not (fault.param or "").startswith("messages")
    assert error is None or later is not None
    if exchange is not None:
        assert_google_accepts(json.loads(exchange.requests[0].body))
        assert all(name == "x-jarvis-ignored" for name, _ in exchange.headers)


@given(body=st.one_of(st.binary(max_size=40), VALUES.map(lambda v: json.dumps(v).encode())))
def test_any_body_that_is_no_request_is_a_proxy_error(body: bytes) -> None:
    upstream = gemini(DictSignatureStore(), ids())

    with pytest.raises(ProxyError) as caught:
        upstream.needs(replace(a_request(), body=body))

    assert caught.value.status == 400


@given(data=st.one_of(st.binary(max_size=60), st.lists(VALUES, max_size=3)))
def test_any_stream_gives_events_or_a_proxy_error(data: Any) -> None:
    raw = data if isinstance(data, bytes) else sse(*data)

    out, error = outcome([raw])

    events = read(out)
    assert error is None or 400 <= error.status < 600
    assert (error is None) == (bool(events) and events[-1]["type"] == "response.completed")


FRAMES = st.lists(
    st.one_of(
        st.text(max_size=5).map(lambda text: a_frame({"text": text})),
        st.text(max_size=5).map(lambda text: a_frame({"text": text, "thought": True})),
        st.just(a_frame({**a_function_call("f"), "thoughtSignature": "c2ln"})),
        st.just(a_frame({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})),
    ),
    max_size=6,
)


@given(frames=FRAMES, sealed=st.booleans())
def test_deltas_add_up_to_the_response(frames: list[Any], sealed: bool) -> None:
    include = {"include": ["reasoning.encrypted_content"]} if sealed else {}

    out, error = outcome([sse(*frames, a_frame(finish="STOP"))], include)

    events = read(out)
    assert error is None
    assert rebuild(events) == events[-1]["response"]["output"]


def test_an_end_is_never_made_up() -> None:
    frames = [a_frame({"text": "a"}), a_frame(a_function_call("f")), a_frame(finish="STOP")]
    whole_stream = sse(*frames)

    for length in range(len(whole_stream)):
        out, error = outcome([whole_stream[:length]])
        complete = length >= len(whole_stream.rstrip())
        assert (error is None) == complete == (b"event: response.completed" in out)
