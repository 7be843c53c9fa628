"""Responses as this proxy writes them: what is repeated of the request, and OpenAI's types."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response as SDKResponse

from jarvis_proxy.wire.responses_types import ResponseObject, echo_of

Json = dict[str, Any]


def echoed(**given: Any) -> Json:
    """Return what is repeated of a request with the fields *given*."""
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}
    echo: Json = json.loads(msgspec.json.encode(echo_of(fields)))
    return echo


def bare(**more: Any) -> ResponseObject:
    return ResponseObject(
        id="resp_1", created_at=5, status="in_progress", model="m", output=[], **more
    )


def test_what_the_request_does_not_say_is_openai_s_default() -> None:
    response = json.loads(msgspec.json.encode(bare(**echo_of({}))))

    assert (response["temperature"], response["top_p"]) == (1.0, 1.0)
    assert (response["tool_choice"], response["metadata"]) == ("auto", {})
    assert response["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
    assert response["reasoning"] == {"effort": None, "summary": None}


def test_null_is_no_wish() -> None:
    assert echoed(temperature=None, tools=None, text=None, unknown=1) == {}


def test_values_are_repeated_in_their_own_bytes() -> None:
    echo = echo_of({"temperature": msgspec.Raw(b"1e0"), "user": msgspec.Raw(b'"\\u0061"')})

    assert (bytes(echo["temperature"]), bytes(echo["user"])) == (b"1e0", b'"\\u0061"')


@pytest.mark.parametrize("field", ["tools", "text", "reasoning", "metadata", "tool_choice"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_is_repeated_has_no_line_breaks(field: str, end: str) -> None:
    """Clients indent what they send, and an event ends with its line."""
    value: object = {"type": "function", "a": {"b": "c d"}}
    indented = json.dumps([value] if field == "tools" else value, indent=2).replace("\n", end)
    (repeated,) = echo_of({field: msgspec.Raw(indented.encode())}).values()

    assert b"\n" not in bytes(repeated)
    assert b"\r" not in bytes(repeated)
    assert b'{"b":"c d"}' in bytes(repeated)


def test_objects_are_filled_up() -> None:
    echo = echoed(text={"verbosity": None, "format": {"type": "json_object"}}, reasoning={"a": 1})

    assert echo["text"] == {"format": {"type": "json_object"}, "verbosity": "medium"}
    assert echo["reasoning"] == {"effort": None, "summary": None, "a": 1}


def test_functions_are_filled_up_and_other_tools_are_not() -> None:
    tools = [{"type": "function", "name": "f"}, {"type": "web_search"}, {"name": "?"}]

    assert echoed(tools=tools)["tools"] == [
        {"parameters": None, "strict": False, "type": "function", "name": "f"},
        {"type": "web_search"},
        {"name": "?"},
    ]


@pytest.mark.parametrize("field", ["tools", "text", "reasoning"])
def test_another_type_is_an_error(field: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        echoed(**{field: 5})


def test_a_bare_response_is_one_for_the_sdk() -> None:
    parsed = SDKResponse.model_validate_json(msgspec.json.encode(bare()))

    assert (parsed.id, parsed.status, parsed.output_text) == ("resp_1", "in_progress", "")
    assert parsed.usage is None


def test_its_id_comes_first() -> None:
    """Heartbeats look for it in the first bytes of a stream."""
    assert msgspec.json.encode(bare()).startswith(b'{"id":"resp_1","object":"response",')
