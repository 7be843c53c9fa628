"""request_types: what is read is tolerant, what is written is exact."""

import msgspec

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.upstreams.gemini.request.types import (
    Content,
    FunctionCall,
    FunctionCallingConfig,
    FunctionResponse,
    GenerateRequest,
    GenerationConfig,
    Part,
    ThinkingConfig,
    Tool,
    ToolConfig,
)


def test_null_is_absent_and_unknown_fields_are_skipped() -> None:
    body = b'{"messages":[{"role":"user","content":null,"made_up":1}],"tools":null,"x":[{}]}'
    request = msgspec.json.decode(body, type=ChatRequest)

    assert request == msgspec.json.decode(b'{"messages":[{"role":"user"}]}', type=ChatRequest)


def test_every_optional_field_of_a_chat_request_may_be_null() -> None:
    names = [field.encode_name for field in msgspec.structs.fields(ChatRequest)]
    nulls = {name: None for name in names if name != "messages"}
    request = msgspec.convert({"messages": [], **nulls}, ChatRequest)

    assert request == ChatRequest(messages=[])


def test_both_spellings_of_googles_own_fields_are_read() -> None:
    body = {"messages": [], "safetySettings": [1], "cachedContent": "a"}
    request = msgspec.convert(body, ChatRequest)

    assert (request.safety_settings_camel, request.cached_content_camel) == ([1], "a")


def test_what_is_written_is_camel_case_without_nulls_but_with_empty_objects() -> None:
    body = GenerateRequest(
        [Content("model", [Part(function_call=FunctionCall("f", {}), thought_signature="s")])],
        tools=[Tool(google_search={})],
        tool_config=ToolConfig(FunctionCallingConfig("NONE"), True),
        generation_config=GenerationConfig(thinking_config=ThinkingConfig(thinking_budget=0)),
    )
    result = Part(function_response=FunctionResponse("f", {}))

    assert msgspec.json.decode(msgspec.json.encode(body)) == {
        "contents": [
            {
                "role": "model",
                "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "s"}],
            }
        ],
        "tools": [{"googleSearch": {}}],
        "toolConfig": {
            "functionCallingConfig": {"mode": "NONE"},
            "includeServerSideToolInvocations": True,
        },
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}},
    }
    assert msgspec.to_builtins(result) == {"functionResponse": {"name": "f", "response": {}}}
