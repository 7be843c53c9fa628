"""Bugs known from other gateways, and what clients need, each shown in a whole request."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.exchange import Media
from jarvis_proxy.upstreams.gemini.recovery import RequestFallbacks
from jarvis_proxy.upstreams.gemini.request.build import PLACEHOLDER
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

PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
BLOB = {"inlineData": {"mimeType": "image/png", "data": PNG}}
REAL = "EsgBCsUBAXLI2nxs"


def said(text: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


def contents(*messages: Any, model: str = NEWEST, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_for({"messages": messages}, model, **options)["contents"]
    return found


def roles(built: list[dict[str, Any]]) -> list[str]:
    return [content["role"] for content in built]


def parameters(schema: Any, **options: Any) -> Any:
    body = body_for(asking(tools=[function("f", schema)]), **options)
    return body["tools"][0]["functionDeclarations"][0].get("parametersJsonSchema")


def prop(schema: Any) -> Any:
    return parameters({"type": "object", "properties": {"p": schema}})["properties"]["p"]


def response_of(content: Any, model: str = NEWEST) -> Any:
    built = contents(user(), called("a"), result("a", content), model=model)
    return built[2]["parts"][0]["functionResponse"]["response"]


def signatures(built: list[dict[str, Any]]) -> list[str | None]:
    parts = [part for content in built for part in content["parts"] if "functionCall" in part]
    return [part.get("thoughtSignature") for part in parts]


@pytest.mark.parametrize("empty", ["", None, []])
def test_empty_assistant_text_leaves_no_turn_behind(empty: Any) -> None:
    assert contents(user("a"), said(empty), user("b")) == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}
    ]


def test_texts_are_not_joined() -> None:
    two = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert contents(user(two))[0]["parts"] == [{"text": "a"}, {"text": "b"}]


def test_every_system_and_developer_message_counts() -> None:
    body = body_for(
        {
            "messages": [
                {"role": "system", "content": "one"},
                {"role": "developer", "content": "two"},
                user(),
                {"role": "system", "content": "three"},
            ]
        }
    )

    assert body["systemInstruction"]["parts"] == [{"text": t} for t in ("one", "two", "three")]


def test_a_result_that_is_no_json_is_fine() -> None:
    assert response_of("22 degrees, sunny") == {"output": "22 degrees, sunny"}


def test_text_with_tool_calls_is_kept() -> None:
    parts = contents(user(), called("a", content="One moment."), result("a"))[1]["parts"]

    assert [next(iter(part)) for part in parts] == ["text", "functionCall"]


@pytest.mark.parametrize("param", ["presence_penalty", "frequency_penalty"])
def test_penalties_are_dropped_and_named(param: str) -> None:
    plan = plan_for(asking(**{param: 0.7}), OLD)

    assert (b"enalty" in plan.body, plan.ignored) == (False, (param,))


def test_several_choices_are_several_calls() -> None:
    plan = plan_for(asking(n=3))

    assert (plan.choice_count, b"candidateCount" in plan.body) == (3, False)


def test_parallel_results_stand_in_one_content_in_the_order_of_the_calls() -> None:
    built = contents(user(), called("a", "b", "c"), result("c"), result("a"), result("b"))

    assert roles(built) == ["user", "model", "user"]
    assert [part["functionResponse"]["id"] for part in built[2]["parts"]] == ["a", "b", "c"]


def test_a_call_that_the_user_cancelled_gets_an_error_for_a_result() -> None:
    plan = plan_for({"messages": [user(), called("a"), user("stop")]})
    parts = json.loads(plan.body)["contents"][2]["parts"]

    assert parts[0]["functionResponse"]["response"] == {
        "error": "no result was provided for this tool call"
    }
    assert parts[1] == {"text": "stop"}
    assert plan.ignored == ("messages[1].tool_calls[0]",)


@pytest.mark.parametrize("extra", [{}, {"name": ""}, {"name": "made_up"}, {"name": None}], ids=str)
def test_a_result_has_the_name_of_its_call(extra: dict[str, Any]) -> None:
    built = contents(user(), called("a", name="get_weather"), result("a", **extra))

    assert built[2]["parts"][0]["functionResponse"]["name"] == "get_weather"


@pytest.mark.parametrize("model", [NEWEST, "gemini-3-flash-preview", OLD, "gemini-2.0-flash"])
def test_call_and_result_have_the_same_id(model: str) -> None:
    store = {"call_1": StoredSignature(None, "n1")}
    built = contents(
        user(), called("call_1", "x"), result("x"), result("call_1"), model=model, store=store
    )
    ids = [part["functionCall"].get("id") for part in built[1]["parts"]]

    assert ids == [part["functionResponse"].get("id") for part in built[2]["parts"]]
    assert ids == ([None, None] if "-2." in model else ["n1", "x"])


def test_an_array_for_a_result_is_wrapped() -> None:
    assert response_of('[{"a": 1}]') == {"output": [{"a": 1}]}


@pytest.mark.parametrize("text", ['{"$ref": "#/a"}', '{"a": [{"b": {"$ref": "x"}}]}'])
def test_a_result_with_a_ref_inside_is_text(text: str) -> None:
    assert response_of(text) == {"output": text}


def test_pictures_stand_inside_the_response_from_generation_three_on() -> None:
    response = contents(user(), called("a"), result("a", [PICTURE]))[2]["parts"][0]

    assert response["functionResponse"]["parts"] == [BLOB]
    assert "displayName" not in json.dumps(response)
    assert "$ref" not in json.dumps(response)


def test_pictures_follow_the_response_before() -> None:
    parts = contents(user(), called("a"), result("a", [PICTURE]), model=OLD)[2]["parts"]

    assert [next(iter(part)) for part in parts] == ["functionResponse", "text", "inlineData"]
    assert "parts" not in parts[0]["functionResponse"]


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"$schema": "x", "type": "string"}, {"type": "string"}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "null"}, {"type": "null"}),
    ],
    ids=str,
)
def test_schemas_hold_only_what_google_knows(schema: Any, sent: Any) -> None:
    assert sent == prop(schema)


def test_integer_enums_are_kept() -> None:
    assert prop({"type": "integer", "enum": [1, 2, 3]}) == {"type": "integer", "enum": [1, 2, 3]}


@pytest.mark.parametrize("schema", [None, {}, {"type": "object", "properties": {}}])
def test_empty_properties_are_no_parameters(schema: Any) -> None:
    assert parameters(schema) is None


def test_a_list_of_types_is_a_choice() -> None:
    assert prop({"type": ["string", "null"]}) == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_schema_of_too_many_states_is_relaxed_for_the_second_try() -> None:
    bounded = {"type": "array", "items": {"type": "string", "format": "date"}, "maxItems": 900}
    schema = {"type": "object", "properties": {"p": bounded}}
    relaxed = parameters(schema, fallbacks=RequestFallbacks(schemas=SchemaForm(limits=False)))

    assert relaxed["properties"]["p"] == {
        "type": "array",
        "items": {"type": "string", "description": "(format: date)"},
        "description": "(maxItems: 900)",
    }


def test_definitions_are_kept_not_inlined() -> None:
    """Each level refers twice to the next: inlined, 40 levels would be 2**40 schemas."""
    definitions: dict[str, Any] = {"L40": {"type": "string"}}
    for level in range(40):
        inner = {"$ref": f"#/$defs/L{level + 1}"}
        definitions[f"L{level}"] = {"type": "object", "properties": {"a": inner, "b": inner}}
    sent = prop_with_definitions(definitions)

    assert sent["properties"]["p"] == {"$ref": "#/$defs/L0"}
    assert definitions == sent["$defs"]


def prop_with_definitions(definitions: dict[str, Any]) -> Any:
    return parameters(
        {"type": "object", "properties": {"p": {"$ref": "#/$defs/L0"}}, "$defs": definitions}
    )


def test_json_with_tools_is_words_on_older_models() -> None:
    asked = asking(tools=[function()], response_format={"type": "json_object"})
    old, new = plan_for(asked, OLD), plan_for(asked)

    assert (b"responseMimeType" in old.body, old.ignored) == (False, ("response_format",))
    assert b"Answer with JSON only" in old.body
    assert (b"responseMimeType" in new.body, new.ignored) == (True, ())


def test_search_with_functions_needs_a_flag_or_goes() -> None:
    asked = asking(tools=[function()], web_search_options={})
    new, old = body_for(asked), plan_for(asked, OLD)

    assert new["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert [next(iter(tool)) for tool in new["tools"]] == ["functionDeclarations", "googleSearch"]
    assert b"googleSearch" not in old.body
    assert b"includeServerSideToolInvocations" not in old.body
    assert old.ignored == ("web_search_options",)


@pytest.mark.parametrize(
    ("model", "last"),
    [
        ("gemini-2.5-pro", "model"),
        ("gemini-3.5-flash", "model"),
        ("gemini-3.5-flash-lite", "user"),
        ("gemini-3.6-flash", "user"),
        ("gemini-flash-latest", "user"),
    ],
)
def test_a_conversation_ends_with_the_model_only_where_that_is_taken(model: str, last: str) -> None:
    assert roles(contents(user(), said("Once upon"), model=model))[-1] == last


@pytest.mark.parametrize(
    "model", ["gemini-3.7-flash", "gemini-3.8-flash", "gemini-3.1-pro-preview"]
)
def test_minimal_is_low_where_minimal_is_refused(model: str) -> None:
    body = body_for(asking(reasoning_effort="minimal"), model)

    assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "LOW"


@pytest.mark.parametrize(
    "model", ["gemini-pro-latest", "gemini-flash-latest", "gemini-4-carbon", "gemini-5-x"]
)
def test_moving_and_new_names_have_the_newest_features(model: str) -> None:
    asked = {
        "messages": [user(), called("a"), result("a", [PICTURE])],
        "tools": [function()],
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
    }
    body = body_for(asked, model)

    assert signatures(body["contents"]) == [PLACEHOLDER]
    assert "parts" in body["contents"][2]["parts"][0]["functionResponse"]
    assert body["generationConfig"]["responseMimeType"] == "application/json"
    assert body["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "LOW"


def test_a_signature_in_an_id_is_read_and_the_id_goes_without_it() -> None:
    call_id = f"call_1__thought__{REAL}"
    built = contents(user(), called(call_id), result(call_id))

    assert signatures(built) == [REAL]
    assert built[1]["parts"][0]["functionCall"]["id"] == "call_1"
    assert built[2]["parts"][0]["functionResponse"]["id"] == "call_1"


def test_an_id_that_a_client_cleaned_and_cut_still_pairs() -> None:
    cut = "call_ab12__ts__0123456789"[:20].replace("_", "")
    built = contents(user(), called(cut), result(cut))

    assert built[1]["parts"][0]["functionCall"]["id"] == cut


def test_a_signature_that_the_client_dropped_comes_from_the_vault() -> None:
    store = {"call_1": StoredSignature(REAL, None), "call_2": StoredSignature(None, None)}
    plan = plan_for(
        {"messages": [user(), called("call_1", "call_2"), result("call_1"), result("call_2")]},
        store=store,
    )

    assert signatures(json.loads(plan.body)["contents"]) == [REAL, None]
    assert plan.signature_sources == {"store": 1}


def test_a_message_s_signature_stays_on_its_text_and_off_its_calls() -> None:
    signed = {"google": {"thought_signature": REAL}}
    built = contents(user(), called("a", content="Look:", extra_content=signed), result("a"))

    assert built[1]["parts"][0] == {"text": "Look:", "thoughtSignature": REAL}
    assert signatures(built) == [PLACEHOLDER]


def test_a_message_s_signature_without_a_text_is_not_sent() -> None:
    signed = {"extra_content": {"google": {"thought_signature": REAL}}}

    assert REAL not in json.dumps(contents(user("a"), said("", **signed), user("b")))


@pytest.mark.parametrize(
    "call_id", ["msg_0123456789abcdef", "fc_1", "toolu_01A09q90qw90lq917835lq9"]
)
def test_ids_of_other_providers_are_no_signatures(call_id: str) -> None:
    built = contents(user(), called(call_id), result(call_id))

    assert signatures(built) == [PLACEHOLDER]


def test_a_refused_signature_is_replaced_on_the_second_try() -> None:
    messages = [user(), called(f"call_1__thought__{REAL}"), result(f"call_1__thought__{REAL}")]
    built = contents(*messages, fallbacks=RequestFallbacks(sentinel_signatures=True))

    assert signatures(built) == [PLACEHOLDER]


def test_placeholders_never_replace_what_is_known_nor_reach_siblings() -> None:
    call = called("call_1", "call_2")
    for one in call["tool_calls"]:
        one["extra_content"] = {"google": {"thought_signature": PLACEHOLDER}}
    built = contents(
        user(),
        call,
        result("call_1"),
        result("call_2"),
        store={"call_1": StoredSignature(REAL, None), "call_2": StoredSignature(None, None)},
    )

    assert signatures(built) == [REAL, None]


def test_a_link_to_a_picture_is_downloaded_and_sent_inline() -> None:
    url = "https://example.com/signed.jpg?token=1"
    asked = {"messages": [user([{"type": "image_url", "image_url": {"url": url}}])]}
    body = body_for(asked, media={url: Media("image/jpeg", JPEG_BYTES)})

    assert needed(make_call(asked)).urls == (url,)
    assert next(iter(body["contents"][0]["parts"][0])) == "inlineData"


def test_references_to_files_are_kept() -> None:
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    for part in (
        {"type": "file", "file": {"file_id": "files/abc"}},
        {"type": "file", "file": {"file_id": uri}},
        {"type": "image_url", "image_url": {"url": uri}},
    ):
        assert contents(user([part]))[0]["parts"] == [{"fileData": {"fileUri": uri}}]


def test_fields_that_google_does_not_know_are_never_sent() -> None:
    body = body_for(
        asking(
            stream=True,
            stream_options={"include_usage": True},
            store=True,
            metadata={"a": "b"},
            user="u",
            parallel_tool_calls=True,
            prediction={"type": "content", "content": "x"},
            prompt_cache_key="k",
            safety_identifier="s",
            made_up={"deep": [1]},
        )
    )

    assert body == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    "asked",
    [
        asking(tools=[], tool_choice="required"),
        {"messages": [user(), {"role": "assistant", "tool_calls": []}]},
        {"messages": [user(), called("a"), result("a", name="f")]},
        {"messages": [{"role": "developer", "content": "d"}, user("a"), user("b")]},
        asking(max_tokens=128_000, max_completion_tokens=8192),
        {"messages": [user(), called("callabcdefghijklmnop12345678"),
                      result("callabcdefghijklmnop12345678"), user("x")]},
        {"messages": [user([{"type": "image_url",
                             "image_url": {"url": "data:video/mp4;base64,QUJD"}}])]},
        {"messages": [user([{"type": "video_url", "video_url": {"url": "gs://b/v.mp4"}}])]},
        asking(enable_thinking=True, chat_template_kwargs={}),
    ],
    ids=str,
)  # fmt: skip
def test_client_rule_9_what_clients_send_passes_without_a_word(asked: Any) -> None:
    assert plan_for(asked, "gemini-3.5-flash").ignored == ()


def test_client_rule_9_the_length_is_clamped() -> None:
    config = body_for(asking(max_tokens=128_000))["generationConfig"]

    assert config == {"maxOutputTokens": 65_536}


@pytest.mark.parametrize("model", [NEWEST, OLD])
def test_client_rule_10_a_tiny_length_is_passed_on_to_a_thinking_model(model: str) -> None:
    assert body_for(asking(max_tokens=5), model)["generationConfig"] == {"maxOutputTokens": 5}
