"""Row R31: faults are reported at the client's own path."""

import pytest

from jarvis_proxy.canonical.request import relabel
from jarvis_proxy.errors import ProxyError
from tests.dialects.messages.requests import (
    PDF,
    PIXEL,
    SCHEMA,
    call,
    model,
    reading,
    result,
    user,
)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("chat_param", "expected"),
    [
        ("messages[0].content", "system.content"),
        ("messages[1].content[1]", "messages.0.content.1"),
        ("messages[1].content[1].image_url.url", "messages.0.content.1.source.url"),
        ("messages[1].content[1].image_url", "messages.0.content.1.source"),
        ("messages[2].tool_calls[0].function.arguments", "messages.1.content.1.input"),
        ("messages[2].tool_calls[0].function.name", "messages.1.content.1.name"),
        ("messages[2].tool_calls[7].id", "messages.1.id"),
        ("messages[2].prefill", "messages.1.prefill"),
        ("messages[3].tool_call_id", "messages.2.content.0.tool_use_id"),
        ("messages[3].content[0].file.file_data", "messages.2.content.0.content.0.source.data"),
        ("messages[3].content[9]", "messages.2.content.0"),
        ("messages[9].content", "messages.9.content"),
        ("tools[0].function.parameters.properties.a", "tools.1.input_schema.properties.a"),
        ("tools[0].function", "tools.1"),
        ("tools[5]", "tools"),
        ("tools", "tools"),
        ("stop", "stop_sequences"),
        ("stop[2]", "stop_sequences.2"),
        ("max_completion_tokens", "max_tokens"),
        ("reasoning_effort", "output_config.effort"),
        ("response_format.json_schema.schema", "output_config.format.schema"),
        ("tool_choice.function.name", "tool_choice.name"),
        ("temperature", "temperature"),
    ],
)
def test_faults_are_reported_at_the_clients_own_path(chat_param: str, expected: str) -> None:
    document = {"type": "document", "source": PDF}
    request = reading(
        system="s",
        messages=[
            user("a", PIXEL),
            model("b", call("1")),
            user(result("1", [document])),
        ],
        tools=[{"type": "mcp_toolset"}, {"name": "f", "input_schema": SCHEMA}],
    )
    error = ProxyError(400, f"Invalid '{chat_param}'.", param=chat_param)
    relabel(error, request.params)
    assert (error.param, error.message) == (expected, f"Invalid '{expected}'.")
