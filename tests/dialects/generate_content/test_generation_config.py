"""generationConfig becomes chat's parameters."""

import json
from typing import Any

import pytest

from tests.dialects.generate_content.requests import chat, config, read, refusal

ENUM = {"type": "STRING", "enum": ["yes", "no"]}


def test_what_is_said_in_both_apis() -> None:
    assert config(
        temperature=1,
        topP="0.95",
        topK=64,
        maxOutputTokens="100",
        stopSequences=["a", "", "b"],
        seed=7,
        candidateCount=2,
        presencePenalty=0.5,
        frequencyPenalty=0.25,
    ) == {
        "temperature": 1.0,
        "top_p": 0.95,
        "top_k": 64,
        "max_completion_tokens": 100,
        "stop": ["a", "b"],
        "seed": 7,
        "n": 2,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.25,
    }


@pytest.mark.parametrize(("given", "sent"), [(64, "64"), (64.0, "64"), ("64", "64"), (0.5, "0.5")])
def test_top_k_is_a_whole_number_where_it_can_be(given: object, sent: str) -> None:
    assert json.dumps(config(topK=given)["top_k"]) == sent


def test_names_in_snake_case_are_read() -> None:
    assert chat(generation_config={"max_output_tokens": 5})["max_completion_tokens"] == 5


def test_one_candidate_is_what_one_gets_anyway() -> None:
    assert config(candidateCount=1, stopSequences=[]) == {}


def test_log_probabilities() -> None:
    assert config(responseLogprobs=True, logprobs=3) == {"logprobs": True, "top_logprobs": 3}
    assert config(responseLogprobs=True) == {"logprobs": True}
    assert config(logprobs=3) == {}
    request = read(generationConfig={"responseLogprobs": True, "logprobs": 99})
    assert request.ignored == ("generationConfig.logprobs",)


def test_a_wrong_type_is_refused_with_its_path() -> None:
    error = refusal(generationConfig={"temperature": "warm"})

    assert (error.code, error.param) == ("invalid_type", "generationConfig.temperature")


@pytest.mark.parametrize(
    "fields",
    [
        {"responseSchema": {"type": "OBJECT", "propertyOrdering": []}},
        {"responseJsonSchema": {"type": "OBJECT"}},
        {
            "responseFormat": {
                "text": {"mimeType": "application/json", "schema": {"type": "object"}}
            }
        },
        {"responseFormat": {"text": {"jsonSchema": {"type": "object"}}}},
    ],
)
def test_a_schema_wherever_it_stands(fields: Any) -> None:
    form = {"name": "response", "schema": {"type": "object"}}

    found = config(responseMimeType="application/json", **fields)

    assert found == {"response_format": {"type": "json_schema", "json_schema": form}}


def test_json_without_a_schema() -> None:
    assert config(responseMimeType="application/json") == {
        "response_format": {"type": "json_object"}
    }
    assert config(responseMimeType="text/plain") == {}


def test_one_of_some_words_is_said_in_words() -> None:
    fields = {"responseMimeType": "text/x.enum", "responseSchema": ENUM}
    alone = chat(generationConfig=fields)
    behind = chat(generationConfig=fields, systemInstruction="Be brief.")
    parts = chat(generationConfig=fields, systemInstruction=["a", "b"])

    assert alone["messages"][0]["role"] == "system"
    assert alone["messages"][0]["content"].endswith('["yes","no"]')
    assert behind["messages"][0]["content"].startswith("Be brief.\n\nAnswer with exactly one")
    assert len(parts["messages"][0]["content"]) == 3
    assert "response_format" not in alone


def test_places_stay_right_behind_words_of_the_proxy() -> None:
    request = read(generationConfig={"responseMimeType": "text/x.enum", "responseSchema": ENUM})

    assert request.params.param("messages[1].content") == "contents[0]"


@pytest.mark.parametrize(
    ("thinking", "asked"),
    [
        ({"thinkingLevel": "HIGH"}, {"reasoning_effort": "high"}),
        ({"thinkingLevel": "minimal"}, {"reasoning_effort": "minimal"}),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, {}),
        ({"thinkingBudget": 0}, {"reasoning_effort": "none"}),
        ({"thinkingBudget": -1}, {}),
        ({"thinkingBudget": 8192}, {"thinking": {"type": "enabled", "budget_tokens": 8192}}),
        (
            {"includeThoughts": True, "thinkingLevel": "LOW", "thinkingBudget": 5},
            {"include_thoughts": True, "reasoning_effort": "low"},
        ),
        ({"include_thoughts": False}, {"include_thoughts": False}),
    ],
)
def test_thinking(thinking: Any, asked: Any) -> None:
    assert config(thinkingConfig=thinking) == asked


def test_an_unknown_level_is_refused() -> None:
    error = refusal(generationConfig={"thinkingConfig": {"thinkingLevel": "DEEP"}})

    assert error.param == "generationConfig.thinkingConfig.thinkingLevel"


@pytest.mark.parametrize(("said", "shown"), [(True, True), (False, False), (None, False)])
def test_thoughts_are_shown_if_asked_for(said: bool | None, shown: bool) -> None:
    request = read(generationConfig={"thinkingConfig": {"includeThoughts": said}})

    assert request.show_thoughts is shown
    assert read().show_thoughts is False


@pytest.mark.parametrize("modalities", [["IMAGE"], ["TEXT", "audio"]])
def test_another_form_than_text_is_refused(modalities: list[str]) -> None:
    error = refusal(generationConfig={"responseModalities": modalities})

    assert (error.status, error.param) == (400, "generationConfig.responseModalities")


def test_text_is_what_one_gets_anyway() -> None:
    assert config(responseModalities=["Text"]) == {}


@pytest.mark.parametrize("name", ["speechConfig", "imageConfig", "mediaResolution"])
def test_what_has_no_equivalent_is_named(name: str) -> None:
    request = read(generationConfig={name: {} if name != "mediaResolution" else "LOW"})

    assert request.ignored == (f"generationConfig.{name}",)
