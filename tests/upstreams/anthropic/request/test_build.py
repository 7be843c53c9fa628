"""Canonical requests become Messages requests: limits, sampling, form, and what is left out."""

import json

import pytest

from jarvis_proxy.canonical.chat_decoder import parse_chat
from jarvis_proxy.errors import ProxyError
from tests.upstreams.anthropic.chat import (
    NEWEST,
    OBJECT,
    V35,
    V40,
    V45,
    V46,
    Json,
    asking,
    assistant,
    body_for,
    ignored,
    json_schema_format,
    refusal,
    text,
    user,
)


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (NEWEST, {}, 32_000),
        (V35, {}, 8_192),
        (NEWEST, {"max_tokens": 100}, 100),
        (NEWEST, {"max_tokens": 5, "max_completion_tokens": 100}, 100),
        (NEWEST, {"max_tokens": 10**6}, 128_000),
        (V45, {"max_completion_tokens": 128_000}, 64_000),
    ],
)
def test_max_tokens(model: str, fields: Json, sent: int) -> None:
    assert body_for(asking(**fields), model)["max_tokens"] == sent


def test_a_limit_below_one_is_refused() -> None:
    assert refusal(asking(max_tokens=0)).code == "integer_below_min_value"


@pytest.mark.parametrize(
    ("model", "fields", "sent", "left_out"),
    [
        (V46, {"temperature": 0.5}, {"temperature": 0.5}, ()),
        (V46, {"temperature": 1.7}, {"temperature": 1}, ()),
        (V46, {"top_p": 0.5, "top_k": 40}, {"top_p": 0.5, "top_k": 40}, ()),
        (V46, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        (V40, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}, ()),
        (NEWEST, {"temperature": 0.5, "top_k": 4}, {}, ("temperature", "top_k")),
        (NEWEST, {"temperature": 1, "top_p": 1}, {}, ()),
        (V46, {"temperature": 0.5, "reasoning_effort": "low"}, {}, ("temperature",)),
        (V46, {"temperature": 1, "reasoning_effort": "low"}, {"temperature": 1}, ()),
        (V46, {"temperature": 0.5, "reasoning_effort": "none"}, {"temperature": 0.5}, ()),
        (V45, {"top_p": 0.5, "reasoning_effort": "low"}, {}, ("top_p",)),
        (V46, {"top_k": -1}, {}, ()),
    ],
)
def test_sampling(model: str, fields: Json, sent: Json, left_out: tuple[str, ...]) -> None:
    body = body_for(asking(**fields), model)

    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == sent
    assert ignored(asking(**fields), model) == left_out


def test_a_schema_is_closed_everywhere() -> None:
    schema = {
        "type": "object",
        "properties": {"l": {"type": "array", "items": OBJECT, "maxItems": 3}},
        "$defs": {"In": OBJECT},
    }
    form = body_for(asking(response_format=json_schema_format(schema)))["output_config"]["format"]

    assert form["type"] == "json_schema"
    closed = {**OBJECT, "additionalProperties": False}
    assert form["schema"] == {
        "type": "object",
        "properties": {"l": {"type": "array", "items": closed, "description": "maxItems: 3"}},
        "$defs": {"In": closed},
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("model", "form"),
    [
        (V40, json_schema_format(OBJECT)),
        (NEWEST, json_schema_format({"type": "object", "additionalProperties": True})),
        (NEWEST, json_schema_format({"type": "object", "properties": {"x": {}}})),
        (NEWEST, json_schema_format({"type": "array", "items": OBJECT})),
        (NEWEST, {"type": "json_object"}),
    ],
    ids=["older model", "any key", "anything", "no object", "json_object"],
)
def test_what_no_field_can_say_stands_in_words(model: str, form: Json) -> None:
    body = body_for(asking(response_format=form), model)

    assert "output_config" not in body
    assert "JSON only" in body["system"][-1]["text"]


def test_words_hold_the_schema() -> None:
    body = body_for(asking(response_format=json_schema_format(OBJECT)), V40)

    assert json.dumps(OBJECT, separators=(",", ":")) in body["system"][-1]["text"]


def test_a_form_and_an_effort_stand_together() -> None:
    body = body_for(asking(response_format=json_schema_format(OBJECT), reasoning_effort="high"))

    assert body["output_config"].keys() == {"effort", "format"}


def test_text_is_no_form() -> None:
    assert "system" not in body_for(asking(response_format={"type": "text"}))


def test_an_unknown_form_is_refused() -> None:
    assert refusal(asking(response_format={"type": "xml"})).param == "response_format.type"


def test_nothing_of_the_user_is_sent() -> None:
    fields = {"user": "u", "metadata": {"user_id": "u"}, "safety_identifier": "u", "store": True}
    body = body_for(asking(**fields, unknown=1))

    assert body.keys() == {"model", "max_tokens", "messages"}
    assert ignored(asking(**fields)) == ()


@pytest.mark.parametrize(
    ("model", "fields", "continues"),
    [
        (V45, {}, True),
        (V45, {"reasoning_effort": "high"}, False),
        (V45, {"response_format": json_schema_format(OBJECT)}, False),
        (V46, {}, False),
        (NEWEST, {}, False),
    ],
)
def test_a_prefill_is_continued_only_by_models_that_can(
    model: str, fields: Json, continues: bool
) -> None:
    body = asking(user(), assistant("The answer:"), **fields)
    last = body_for(body, model)["messages"][-1]

    if continues:
        assert last == {"role": "assistant", "content": [text("The answer:")]}
    else:
        assert last == {"role": "user", "content": [text("Continue.")]}
        assert "messages[1].prefill" in ignored(body, model)


def test_a_stream_is_asked_for_as_the_client_does() -> None:
    assert body_for(asking(), stream=True)["stream"] is True
    assert "stream" not in body_for(asking())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"verbosity": "low"}, "verbosity"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"format": "wav"}}, "audio"),
    ],
)
def test_what_has_no_equivalent_is_named_or_refused(fields: Json, named: str) -> None:
    assert ignored(asking(**fields)) == (named,)
    assert refusal(asking(**fields), strict=True).code == "unsupported_parameter"


def test_more_than_one_choice_is_refused() -> None:
    assert refusal(asking(n=2)).param == "n"
    assert ignored(asking(n=1)) == ()


@pytest.mark.parametrize(
    ("tier", "sent"), [("auto", "auto"), ("default", "standard_only"), ("flex", None)]
)
def test_the_service_tier(tier: str, sent: str | None) -> None:
    assert body_for(asking(service_tier=tier)).get("service_tier") == sent


@pytest.mark.parametrize(
    ("stop", "sent"), [("END", ["END"]), (["a", " ", "", "b"], ["a", "b"]), ([" "], None)]
)
def test_stop_sequences(stop: object, sent: list[str] | None) -> None:
    assert body_for(asking(stop=stop)).get("stop_sequences") == sent


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messages": []}, "empty_array"),
        ({"messages": "x"}, "invalid_type"),
        ({}, "missing_required_parameter"),
        ({"messages": [{"role": "wizard"}]}, "invalid_value"),
    ],
)
def test_a_request_that_is_none_is_refused(body: object, code: str) -> None:
    assert refusal(body).code == code


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"messages":[', "is not valid JSON"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "is not valid JSON"),
        (b'{"x":' + b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_body_that_is_no_json_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ProxyError, match=message) as caught:
        parse_chat(body)

    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_a_form_by_schema_needs_its_schema() -> None:
    error = refusal(asking(response_format={"type": "json_schema"}))

    assert error.param == "response_format.json_schema"


def test_a_budget_for_thoughts_that_are_not_shown() -> None:
    wish = {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}

    assert body_for(asking(thinking=wish), V45)["thinking"] == wish
