"""Params of the chat request are reported under Google's names."""

import pytest

from jarvis_proxy.canonical.request import MessageOrigin
from jarvis_proxy.dialects.generate_content.param_map import GenerateContentParams

PARAMS = GenerateContentParams(
    [
        MessageOrigin("systemInstruction", ["systemInstruction.parts[0]"]),
        MessageOrigin(
            "contents[0]",
            ["contents[0].parts[1].inlineData"],
            ["contents[0].parts[2].functionCall"],
        ),
    ],
    ["tools[0].functionDeclarations[3]"],
)


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("chat", "google"),
    [
        ("messages", "contents"),
        ("messages[1]", "contents[0]"),
        ("messages[1].content", "contents[0]"),
        ("messages[1].content[0].image_url.url", "contents[0].parts[1].inlineData"),
        ("messages[1].content[7]", "contents[0]"),
        ("messages[1].tool_calls[0].function.name", "contents[0].parts[2].functionCall"),
        ("messages[9].content[0]", "contents"),
        ("tools[0].function.parameters", "tools[0].functionDeclarations[3].parameters"),
        ("tools[5]", "tools[5]"),
        ("tools", "tools"),
        ("response_format.json_schema.schema.a", "generationConfig.responseSchema.a"),
        ("max_completion_tokens", "generationConfig.maxOutputTokens"),
        ("stop[5]", "generationConfig.stopSequences[5]"),
        ("top_logprobs", "generationConfig.logprobs"),
        ("logprobs", "generationConfig.responseLogprobs"),
        ("thinking.budget_tokens", "generationConfig.thinkingConfig.thinkingBudget"),
        ("n", "generationConfig.candidateCount"),
        ("top_k", "generationConfig.topK"),
        ("something", "something"),
    ],
)
def test_each_param(chat: str, google: str) -> None:
    assert PARAMS.param(chat) == google
