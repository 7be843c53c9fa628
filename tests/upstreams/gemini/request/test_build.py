"""request: a chat request becomes a generateContent request."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Media, Prerequisites
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.request.build import PLACEHOLDER, TranslatedRequest
from jarvis_proxy.upstreams.gemini.request.schema.form import SchemaForm
from jarvis_proxy.upstreams.gemini.signature_store import StoredSignature
from tests.upstreams.gemini.chat import (
    JPEG_BYTES,
    NEWEST,
    OLD,
    PNG,
    asking,
    body_for,
    called,
    function,
    make_call,
    needed,
    plan_for,
    result,
    user,
)
from tests.upstreams.gemini.google_types import assert_conversation_rules, assert_google_accepts

WEB = "https://example.com/a.jpg"
PICTURE = {"type": "image_url", "image_url": {"url": WEB}}

# A whole tool turn, written after the requests of clients: what goes in and what comes out.
CHAT = {
    "model": "gemini-3.5-flash",
    "messages": [
        {"role": "system", "content": "Be brief."},
        user([{"type": "text", "text": "Weather?"}]),
        called("call_1", "call_2", name="get_weather", arguments='{"city": "Oslo"}'),
        result("call_2", '["rain"]'),
        result("call_1", "sunny"),
        user("And tomorrow?"),
    ],
    "tools": [
        function(
            "get_weather",
            {
                "type": "object",
                "properties": {"city": {"type": "string"}, "unit": {"type": ["string", "null"]}},
                "required": ["city"],
                "additionalProperties": False,
                "$schema": "http://json-schema.org/draft-07/schema#",
            },
            description="Current weather",
            strict=True,
        )
    ],
    "tool_choice": "auto",
    "temperature": 0.2,
    "max_completion_tokens": 1000,
    "stop": "END",
    "seed": 7,
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "service_tier": "default",
    "stream": True,
    "stream_options": {"include_usage": True},
    "store": False,
    "user": "u",
    "metadata": {"a": "b"},
    "logit_bias": {"1": 2},
    "frequency_penalty": 0,
}

GENERATE = {
    "contents": [
        {"role": "user", "parts": [{"text": "Weather?"}]},
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {
                        "name": "get_weather",
                        "args": {"city": "Oslo"},
                        "id": "jm4owj31",
                    },
                    "thoughtSignature": "QUJD",
                },
                {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}, "id": "call_2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "get_weather",
                        "response": {"output": "sunny"},
                        "id": "jm4owj31",
                    }
                },
                {
                    "functionResponse": {
                        "name": "get_weather",
                        "response": {"output": ["rain"]},
                        "id": "call_2",
                    }
                },
                {"text": "And tomorrow?"},
            ],
        },
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "Current weather",
                    "parametersJsonSchema": {
                        "type": "object",
                        "properties": {
                            "city": {"type": "string"},
                            "unit": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                        },
                        "required": ["city"],
                        "additionalProperties": False,
                    },
                }
            ]
        }
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
    "generationConfig": {
        "temperature": 0.2,
        "maxOutputTokens": 1000,
        "stopSequences": ["END"],
        "seed": 7,
        "responseMimeType": "application/json",
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
    },
    "serviceTier": "standard",
}


def test_a_tool_turn_is_translated_whole() -> None:
    store = {"call_1": StoredSignature("QUJD", "jm4owj31")}
    plan = plan_for(CHAT, "gemini-3.5-flash", store=store)

    assert json.loads(plan.body) == GENERATE
    assert plan == TranslatedRequest(
        body=plan.body,
        choice_count=1,
        ignored=("logit_bias",),
        names=plan.names,
        custom_tools=frozenset(),
        legacy_functions=False,
        first_call_only=False,
        signature_sources={"store": 1},
    )
    assert plan.names.declared == {"get_weather"}
    assert plan.names.renamed == {}
    assert_google_accepts(GENERATE)
    assert_conversation_rules(GENERATE, signed=True, ids=True)


def test_the_smallest_request_asks_for_nothing() -> None:
    plan = plan_for({"messages": [user("hi")]})

    assert plan.body == b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
    assert (plan.choice_count, plan.ignored) == (1, ())


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"n": 3}, "choice_count", 3),
        ({"parallel_tool_calls": False}, "first_call_only", True),
        ({"parallel_tool_calls": True}, "first_call_only", False),
        (
            {"tools": [{"type": "custom", "custom": {"name": "c"}}]},
            "custom_tools",
            frozenset({"c"}),
        ),
        ({"functions": [{"name": "f"}]}, "legacy_functions", True),
        ({"functions": [{"name": "f"}]}, "first_call_only", True),
    ],
    ids=str,
)
def test_the_way_back_knows_what_was_asked(
    fields: dict[str, Any], attribute: str, value: object
) -> None:
    assert value == getattr(plan_for(asking(**fields)), attribute)


def test_the_way_back_knows_the_clients_names() -> None:
    names = plan_for(asking(tools=[function("9f")])).names

    assert (names.renamed, names.client("_9f")) == ({"_9f": "9f"}, "9f")


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"", None, "invalid_json"),
        (b"{", None, "invalid_json"),
        (b'{"messages":[{"role":"\xff"}]}', None, "invalid_json"),
        (b'{"x":' + b"[" * 100_000, None, "invalid_json"),
        (b"[]", "", "invalid_type"),
        (b"{}", "messages", "missing_required_parameter"),
        ({"messages": None}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": [3]}, "messages[0]", "invalid_type"),
        ({"messages": [{}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": {}}]}]},
            "messages[0].content[0].text",
            "invalid_type",
        ),
        (asking(temperature="warm"), "temperature", "invalid_type"),
        (asking(max_tokens=1.5), "max_tokens", "invalid_type"),
        (asking(n="2"), "n", "invalid_type"),
        (asking(tools={}), "tools", "invalid_type"),
        (asking(stop=[1]), "stop[0]", "invalid_type"),
        (asking(safety_settings=3), "safety_settings", "invalid_type"),
        (asking(safetySettings=[3]), "safetySettings[0]", "invalid_type"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bodies_that_cannot_be_are_a_400_with_their_path(
    body: object, param: str | None, code: str
) -> None:
    with pytest.raises(ProxyError) as caught:
        plan_for(body)

    assert (400, param, code) == (caught.value.status, caught.value.param, caught.value.code)


def test_half_an_emoji_does_not_stop_a_request() -> None:
    body = rb'{"messages":[{"role":"user","content":"cut \ud83d"}]}'

    assert body_for(body)["contents"][0]["parts"] == [{"text": "cut \ufffd"}]


def test_the_deepest_values_that_pass_can_be_written() -> None:
    schema: dict[str, Any] = {"type": "string", "default": [[[]]]}
    for _ in range(97):
        schema["default"] = [schema["default"]]
    for _ in range(99):
        schema = {"type": "object", "properties": {"a": schema}}
    arguments = '{"a":' * 100 + "1" + "}" * 100
    body = body_for(
        {
            "messages": [user(), called("a", arguments=arguments), result("a", arguments)],
            "tools": [function("f", schema)],
        }
    )

    sent = body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]
    assert schema == sent
    assert json.loads(arguments) == body["contents"][1]["parts"][0]["functionCall"]["args"]


@pytest.mark.parametrize(
    ("model", "sent"),
    [
        ("gemini-2.5-flash", {"thinkingBudget": 0}),
        ("gemini-3.8-flash", {"thinkingLevel": "LOW"}),
    ],
)
def test_the_target_model_decides(model: str, sent: dict[str, Any]) -> None:
    body = body_for(asking(model="gemini-2-flash", reasoning_effort="none"), model)

    assert sent == body["generationConfig"]["thinkingConfig"]


def test_thoughts_show_where_the_operator_wants_them() -> None:
    body = body_for(asking(), show_thoughts=True)

    assert body["generationConfig"] == {"thinkingConfig": {"includeThoughts": True}}
    assert "generationConfig" not in body_for(asking())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"google": {"new": 1}}, "google.new"),
        ({"reasoning_effort": "none"}, "reasoning_effort"),
        ({"service_tier": "scale"}, "service_tier"),
    ],
    ids=str,
)
def test_strict_mode_refuses_what_would_be_ignored(fields: dict[str, Any], param: str) -> None:
    assert plan_for(asking(**fields)).ignored == (param,)
    with pytest.raises(ProxyError) as caught:
        plan_for(asking(**fields), strict_params=True)

    assert (400, "unsupported_parameter", param) == (
        caught.value.status,
        caught.value.code,
        caught.value.param,
    )


def test_a_system_that_a_model_does_not_know_comes_first_of_all() -> None:
    system = {"role": "system", "content": "Be brief."}
    gemma = "gemma-3-27b-it"
    before_user = body_for({"messages": [system, user("hi")]}, gemma)
    before_model = body_for({"messages": [system, {"role": "assistant", "content": "a"}]}, gemma)

    assert before_user == {
        "contents": [{"role": "user", "parts": [{"text": "Be brief."}, {"text": "hi"}]}]
    }
    assert [content["role"] for content in before_model["contents"]] == ["user", "model"]
    assert before_model["contents"][0]["parts"] == [{"text": "Be brief."}]


def test_a_system_alone_gets_a_turn_to_answer() -> None:
    assert body_for({"messages": [{"role": "system", "content": "Speak."}]}) == {
        "contents": [{"role": "user", "parts": [{"text": " "}]}],
        "systemInstruction": {"parts": [{"text": "Speak."}]},
    }


def test_a_json_answer_with_tools_is_an_instruction_on_older_models() -> None:
    asked = asking(tools=[function()], response_format={"type": "json_object"})
    body = body_for(asked, OLD)

    assert "generationConfig" not in body
    assert body["systemInstruction"]["parts"][0]["text"].startswith("Answer with JSON only")


@pytest.mark.parametrize(
    "fields",
    [
        {"cached_content": "cachedContents/a"},
        {"cachedContent": "cachedContents/a"},
        {"google": {"cached_content": "cachedContents/a"}},
    ],
    ids=str,
)
def test_cached_content_is_sent_but_never_with_what_it_holds(fields: dict[str, Any]) -> None:
    assert body_for(asking(**fields))["cachedContent"] == "cachedContents/a"
    for conflict in (
        {"tools": [function()]},
        {"messages": [{"role": "system", "content": "s"}, user()]},
    ):
        with pytest.raises(ProxyError) as caught:
            plan_for({**asking(**fields), **conflict})
        assert caught.value.param == "cached_content"


@pytest.mark.parametrize("place", ["safety_settings", "safetySettings", "google"])
def test_safety_settings_are_taken_from_every_place(place: str) -> None:
    wishes = [{"category": "HARASSMENT", "threshold": "OFF"}]
    fields = {place: {"safety_settings": wishes} if place == "google" else wishes}

    assert body_for(asking(**fields))["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}
    ]


def test_needs_are_the_links_to_download_and_the_calls_to_look_up() -> None:
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        user([PICTURE, PICTURE]),
        called("call_1", "", "call_1__thought__QUJD", "call_2"),
        result("call_1", [{"type": "image_url", "image_url": "http://x.test/b"}]),
    ]
    call = make_call({"messages": messages})

    assert needed(call) == Prerequisites((WEB, "http://x.test/b"), ("call_1", "call_2"))
    assert needed(call, "pass") == needed(call, "refuse") == Prerequisites((), ("call_1", "call_2"))


def test_needs_are_the_messages_of_responses_too() -> None:
    messages = [user(), called("call_1", id="msg_1"), called("call_2", id="run-1"), user()]

    assert needed(make_call({"messages": messages})) == Prerequisites(
        (), ("call_1", "call_2", "msg_1")
    )


def test_needs_of_a_broken_body_are_a_400() -> None:
    with pytest.raises(ProxyError):
        needed(make_call({"messages": []}))


def test_downloaded_links_go_inline_and_failures_name_their_part() -> None:
    asked = {"messages": [user("a"), user([PICTURE])]}
    body = body_for(asked, media={WEB: Media("image/jpeg", JPEG_BYTES)})

    assert body["contents"][0]["parts"][1]["inlineData"]["mimeType"] == "image/jpeg"
    with pytest.raises(ProxyError) as caught:
        plan_for(asked, media={WEB: ProxyError(400, "No.", code="invalid_image_url")})
    assert caught.value.param == "messages[1].content[0]"


def test_links_can_be_left_to_google_or_refused() -> None:
    asked = {"messages": [user([PICTURE])]}

    assert body_for(asked, image_urls="pass")["contents"][0]["parts"] == [
        {"fileData": {"fileUri": WEB, "mimeType": "image/jpeg"}}
    ]
    with pytest.raises(ProxyError, match="data URL"):
        plan_for(asked, image_urls="refuse")


def test_older_models_get_one_resolution_for_the_request() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"},
    }
    asked = {"messages": [user([image])]}

    assert body_for(asked, OLD)["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_LOW"}
    assert "generationConfig" not in body_for(asked, NEWEST)


SIGNED = called("a", extra_content=None)
SIGNED["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": "QUJD"}}


def test_after_a_refused_signature_calls_go_with_the_placeholder() -> None:
    asked = {"messages": [user(), SIGNED, result("a")]}
    before = plan_for(asked)
    after = plan_for(asked, fallbacks=RequestFallbacks(sentinel_signatures=True))

    assert before.signature_sources == {"extra_content": 1}
    assert after.signature_sources == {"placeholder": 1}
    assert PLACEHOLDER.encode() in after.body
    assert before.body == after.body.replace(PLACEHOLDER.encode(), b"QUJD")


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"reasoning_effort": "high"}, ("reasoning_effort",)),
        ({"google": {"thinking_config": {"thinking_budget": 5}}}, ("google.thinking_config",)),
        ({}, ()),
    ],
    ids=str,
)
def test_after_a_refused_thinking_level_none_is_sent(
    fields: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    fallbacks = RequestFallbacks(no_thinking=True)
    plan = plan_for(asking(**fields), fallbacks=fallbacks, show_thoughts=True)

    assert (b"thinking" in plan.body, ignored) == (False, plan.ignored)
    assert plan_for(asking(**fields), fallbacks=fallbacks, strict_params=True).choice_count == 1


def test_after_too_many_states_schemas_go_without_bounds() -> None:
    bounded = {"type": "object", "properties": {"n": {"type": "array", "maxItems": 3}}}
    asked = asking(
        tools=[function("f", bounded)],
        response_format={"type": "json_schema", "json_schema": {"schema": bounded}},
    )
    plan = plan_for(asked, fallbacks=RequestFallbacks(schemas=SchemaForm(limits=False)))

    assert b"maxItems" in plan_for(asked).body
    assert b'"maxItems"' not in plan.body
    assert plan.ignored == (
        "tools[0].function.parameters",
        "response_format.json_schema.schema",
    )


def test_after_a_refused_prefill_results_that_come_last_are_named() -> None:
    asked = {"messages": [user(), called("a"), result("a"), user("b")]}
    plan = plan_for(asked, fallbacks=RequestFallbacks(user_last=True))

    assert plan.ignored == ("messages.order",)
    assert plan.body.index(b'"b"') < plan.body.index(b"functionResponse")
