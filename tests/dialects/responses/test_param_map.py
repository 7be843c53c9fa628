"""Where the chat request's parts stood in the Responses request."""

import pytest

from jarvis_proxy.canonical.request import MessageOrigin, relabel
from jarvis_proxy.dialects.responses.param_map import ResponsesParams
from jarvis_proxy.errors import ProxyError

PARAMS = ResponsesParams(
    [
        MessageOrigin("instructions"),
        MessageOrigin("input[0]", ["input[0].content[0]", "input[0].content[1]"]),
        MessageOrigin("input[1]", ["input[1].content"], ["input[2]", "input[3]"]),
    ]
)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("chat", "ours"),
    [
        ("messages", "input"),
        ("messages[0].content", "instructions.content"),
        ("messages[1].content[1]", "input[0].content[1]"),
        ("messages[1].content[1].file.file_id", "input[0].content[1].file.file_id"),
        ("messages[1].content[9].type", "input[0].content[9].type"),
        ("messages[2].content[0].text", "input[1].content.text"),
        ("messages[2].tool_calls[1]", "input[3]"),
        ("messages[2].tool_calls[0].function.name", "input[2].name"),
        ("messages[2].tool_calls[1].custom.name", "input[3].name"),
        ("messages[2].tool_calls[7].function", "input[1].tool_calls[7].function"),
        ("messages[2].prefill", "input[1].prefill"),
        ("messages[3].role", "input.role"),
        ("tools[1].custom.format", "tools[1].format"),
        ("tools[1].function.name", "tools[1].name"),
        ("tools[1].name", "tools[1].name"),
        ("response_format.json_schema.schema", "text.format.schema"),
        ("response_format.json_schema.schema.properties", "text.format.schema.properties"),
        ("response_format.json_schema", "text.format"),
        ("response_format.type", "text.format.type"),
        ("max_completion_tokens", "max_output_tokens"),
        ("reasoning_effort", "reasoning.effort"),
        ("include_thoughts", "reasoning.summary"),
        ("verbosity", "text.verbosity"),
        ("logprobs", "include"),
        ("temperature", "temperature"),
        ("google.thinking_config", "google.thinking_config"),
    ],
)
def test_a_param_is_named_as_the_client_knows_it(chat: str, ours: str) -> None:
    assert PARAMS.param(chat) == ours


def test_an_error_blames_the_client_s_param_in_its_message_too() -> None:
    error = ProxyError(
        400, "Missing required parameter: 'messages[1].content[0].text'.",
        param="messages[1].content[0].text",
    )  # fmt: skip

    blamed = relabel(error, PARAMS)

    assert blamed.param == "input[0].content[0].text"
    assert blamed.message == "Missing required parameter: 'input[0].content[0].text'."


def test_an_error_about_no_param_stays() -> None:
    error = relabel(ProxyError(502, "It says 'messages'."), PARAMS)

    assert (error.message, error.param) == ("It says 'messages'.", None)
