"""A Responses request as the chat request that asks the same."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from jarvis_proxy.canonical.adapters import ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.canonical.request import CanonicalRequest
from jarvis_proxy.dialects.responses.request import count_tokens, read_request
from jarvis_proxy.errors import ProxyError
from tests.dialects.responses.events import a_request

Json = dict[str, Any]


def as_chat(call: Call, features: ModelFeatures | None = None) -> CanonicalRequest:
    request, _ = read_request(call.body, features or ModelFeatures(), strict=call.strict_params)
    return request


def chat(**fields: Any) -> Json:
    """Return the chat request, without its messages and what is null."""
    body: Json = json.loads(as_chat(a_request(fields)).body)
    return {name: value for name, value in body.items() if name != "messages" and value is not None}


def refusal(**fields: Any) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        as_chat(a_request(fields))
    assert caught.value.status == 400
    return caught.value


def raw(body: bytes) -> CanonicalRequest:
    return as_chat(replace(a_request(), body=body))


CASES: list[tuple[Json, Json]] = [
    ({}, {}),
    ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
    ({"max_output_tokens": 50}, {"max_completion_tokens": 50}),
    ({"max_output_tokens": None}, {}),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
    ({"reasoning": {"effort": "low"}}, {"reasoning_effort": "low"}),
    ({"reasoning": {"summary": "auto"}}, {"include_thoughts": True}),
    ({"reasoning": {"generate_summary": "concise"}}, {"include_thoughts": True}),
    ({"reasoning": {"effort": None, "summary": None}}, {}),
    ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    ({"text": {"format": {"type": "text"}}}, {"response_format": {"type": "text"}}),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    (
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "n",
                    "strict": True,
                    "description": "d",
                    "schema": {"type": "object"},
                }
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "schema": {"type": "object"},
                    "description": "d",
                    "strict": True,
                },
            }
        },
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "n"}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "schema": None,
                    "description": None,
                    "strict": None,
                },
            }
        },
    ),
    ({"include": ["message.output_text.logprobs"], "top_logprobs": 2},
     {"logprobs": True, "top_logprobs": 2}),
    (
        {"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}]},
        {
            "tools": [
                {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}
            ]
        },
    ),
    (
        {"tools": [{"type": "custom", "name": "sql", "format": {"type": "text"}}]},
        {"tools": [{"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}]},
    ),
    (
        {"tools": [{"type": "custom", "custom": {"name": "sql"}}]},
        {"tools": [{"type": "custom", "custom": {"name": "sql"}}]},
    ),
    (
        {"tools": [{"type": "web_search_2025_08_26", "search_context_size": "low"}]},
        {"tools": [{"type": "web_search", "search_context_size": "low"}]},
    ),
    (
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"tools": [{"type": "code_interpreter"}]},
    ),
    ({"tool_choice": {"type": "function", "name": "f"}},
     {"tool_choice": {"type": "function", "name": "f"}}),
    ({"google": {"cached_content": "cachedContents/a"}},
     {"google": {"cached_content": "cachedContents/a"}}),
    ({"store": True, "user": "u", "metadata": {"a": "b"}, "stream_options": {}, "truncation": None,
      "background": False, "truncation ": "auto"}, {}),
]  # fmt: skip


@pytest.mark.every_case
@pytest.mark.parametrize(("fields", "expected"), CASES)
def test_parameters_have_their_names_of_chat(fields: Json, expected: Json) -> None:
    assert chat(**fields) == expected


def test_instructions_and_input_are_messages() -> None:
    body = json.loads(as_chat(a_request({"instructions": "Be brief."})).body)

    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_signatures_are_sealed_for_those_who_ask() -> None:
    assert as_chat(a_request({"include": ["reasoning.encrypted_content"]})).sealed
    assert not as_chat(a_request()).sealed


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"truncation": "auto"}, ("truncation",)),
        ({"truncation": "disabled"}, ()),
        ({"max_tool_calls": 3}, ("max_tool_calls",)),
        ({"input": [{"type": "web_search_call"}, {"role": "user", "content": "a"}]}, ("input[0]",)),
    ],
)
def test_what_has_no_equivalent_is_named(fields: Json, ignored: tuple[str, ...]) -> None:
    assert as_chat(a_request(fields)).ignored == ignored


def test_strictly_taken_it_is_an_error() -> None:
    call = replace(a_request({"max_tool_calls": 3}), strict_params=True)

    with pytest.raises(ProxyError) as caught:
        as_chat(call)

    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "max_tool_calls")


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "whole conversation"),
        ({"conversation": "conv_1"}, "conversation", "whole conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation", "whole conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "instructions"),
        ({"background": True}, "background", "nothing is stored"),
    ],
)
def test_what_needs_stored_state_is_refused_with_what_to_do(
    fields: Json, param: str, words: str
) -> None:
    error = refusal(**fields)

    assert (error.code, error.param) == ("unsupported_parameter", param)
    assert words in error.message


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": 5}, "invalid_type", "input"),
        ({"input": ["a"]}, "invalid_type", "input[0]"),
        ({"tools": {}}, "invalid_type", "tools"),
        ({"text": "json"}, "invalid_type", "text"),
        ({"reasoning": "low"}, "invalid_type", "reasoning"),
        ({"instructions": ["a"]}, "invalid_type", "instructions"),
    ],
)
def test_what_is_of_the_wrong_type_is_named(fields: Json, code: str, param: str) -> None:
    error = refusal(**fields)

    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"input":"\xff"}', b'{"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
    ids=["empty", "cut", "no-utf8", "deep"],
)
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ProxyError) as caught:
        raw(body)

    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_half_of_a_surrogate_pair_does_not_spoil_the_request() -> None:
    body = json.loads(raw(b'{"input":"a\\ud83d"}').body)

    assert body["messages"] == [{"role": "user", "content": "a\ufffd"}]


PAINTING: Json = {
    "tools": [{"type": "image_generation", "output_format": "png"}, {"type": "web_search"}],
    "tool_choice": {"type": "image_generation"},
}


def test_a_model_that_draws_needs_no_tool_for_it() -> None:
    asked = as_chat(a_request(PAINTING), ModelFeatures(draws=True))

    body = json.loads(asked.body)
    assert body["modalities"] == ["text", "image"]
    assert body["tools"] == [{"type": "web_search"}]
    assert "tool_choice" not in body
    assert asked.ignored == ("tools[0].output_format",)


def test_a_model_that_does_not_draw_is_asked_with_the_tool_and_refuses_it() -> None:
    assert chat(**PAINTING)["tools"] == PAINTING["tools"]


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": ""},
        {"previous_response_id": None},
        {"conversation": ""},
        {"prompt": ""},
        {"truncation": ""},
    ],
    ids=str,
)
def test_an_empty_reference_is_none(fields: Json) -> None:
    asked = as_chat(a_request(fields))

    assert asked.ignored == ()
    assert asked.body == as_chat(a_request({})).body


def test_tools_of_the_input_are_declared_and_blamed_where_they_stand() -> None:
    tool = {"type": "function", "name": "f"}
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "additional_tools", "role": "developer", "tools": [tool]},
    ]
    asked = as_chat(a_request({"input": items, "tools": [{**tool, "name": "g"}]}))

    names = [one["function"]["name"] for one in json.loads(asked.body)["tools"]]
    assert names == ["g", "f"]
    assert asked.params.param("tools[1].function.parameters") == "input[1].tools[0].parameters"
    assert asked.params.param("tools[0].function.name") == "tools[0].name"


def counted(**fields: object) -> object:
    return json.loads(count_tokens(json.dumps(fields).encode()))


def test_input_is_estimated() -> None:
    items = [
        {"role": "user", "content": "x" * 350},
        {"type": "custom_tool_call", "call_id": "a", "name": "exec", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "none"},
    ]
    tools = [{"type": "function", "name": "f", "parameters": {}}, {"type": "web_search"}]

    assert counted(input="x" * 350) == {"object": "response.input_tokens", "input_tokens": 108}
    found = counted(input=items, tools=tools, instructions="Be brief.")
    assert isinstance(found, dict)
    assert found["input_tokens"] > 200


def test_broken_request_is_refused() -> None:
    with pytest.raises(ProxyError) as caught:
        counted(input=5)

    assert (caught.value.status, caught.value.param) == (400, "input")
