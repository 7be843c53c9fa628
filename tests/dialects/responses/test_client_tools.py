"""Shells and patches: functions for the model, items of OpenAI's types for the client."""

import json
from typing import Any

import pytest

from jarvis_proxy.dialects.responses.client_tools import (
    as_function,
    to_action,
    to_arguments,
    to_result,
)
from jarvis_proxy.errors import ProxyError
from tests.dialects.responses.events import responding, streamed, whole
from tests.upstreams.gemini.replies import a_frame, a_function_call, sse

Json = dict[str, Any]
END = a_frame({"text": ""}, finish="STOP")
TOOLS = {"tools": [{"type": "local_shell"}, {"type": "shell"}, {"type": "apply_patch"}]}
PATCH = {"type": "create_file", "path": "a.py", "diff": "+x"}


def sent(body: Json) -> Json:
    request: Json = json.loads(responding(body).requests[0].body)
    return request


def test_each_is_declared_as_a_function() -> None:
    (tool,) = sent(TOOLS)["tools"]

    assert [function["name"] for function in tool["functionDeclarations"]] == [
        "local_shell",
        "shell",
        "apply_patch",
    ]


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "function", "name": "shell"},
        {"type": "web_search"},
        {"type": 3},
        {},
    ],
)
def test_what_the_client_does_not_run_stays(tool: Json) -> None:
    assert as_function(tool) is None


def test_a_shell_in_openais_containers_is_refused() -> None:
    with pytest.raises(ProxyError) as refused:
        responding({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]})

    assert refused.value.param == "tools[0].type"


@pytest.mark.parametrize("kind", ["local_shell", "shell", "apply_patch"])
def test_a_choice_of_one_is_a_choice_of_its_function(kind: str) -> None:
    config = sent({**TOOLS, "tool_choice": {"type": kind}})["toolConfig"]

    assert config["functionCallingConfig"] == {"mode": "ANY", "allowedFunctionNames": [kind]}


def test_other_choices_stay() -> None:
    assert "toolConfig" not in sent({**TOOLS, "tool_choice": "auto"})


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        (
            "local_shell",
            {"command": ["ls", "-l"], "workdir": "/srv", "timeout_ms": 50},
            {
                "type": "local_shell_call",
                "action": {
                    "type": "exec",
                    "command": ["ls", "-l"],
                    "env": {},
                    "working_directory": "/srv",
                    "timeout_ms": 50,
                },
            },
        ),
        (
            "shell",
            {"commands": ["ls"], "max_output_length": 9},
            {
                "type": "shell_call",
                "action": {"commands": ["ls"], "max_output_length": 9, "timeout_ms": None},
                "environment": None,
            },
        ),
        ("apply_patch", PATCH, {"type": "apply_patch_call", "operation": PATCH}),
    ],
)
def test_a_call_is_an_item_of_its_type(name: str, args: Json, expected: Json) -> None:
    frames = [a_frame(a_function_call(name, args)), END]
    events = streamed(sse(*frames), TOOLS)

    (item,) = events[-1]["response"]["output"]
    (at_once,) = whole(*frames, body=TOOLS)["output"]
    done = [event["item"] for event in events if event["type"].endswith("item.done")]
    for found in (item, at_once, *done):
        rest = {key: value for key, value in found.items() if key not in ("id", "call_id")}
        assert rest == {**expected, "status": "completed"}
        assert found["call_id"].startswith("call_")


def test_a_function_of_that_name_stays_a_function() -> None:
    frames = [a_frame(a_function_call("shell", {})), END]

    (item,) = whole(*frames, body={"tools": [{"type": "function", "name": "shell"}]})["output"]

    assert item["type"] == "function_call"


@pytest.mark.parametrize(
    ("kind", "arguments", "expected"),
    [
        ("local_shell", "", {"type": "exec", "command": [], "env": {}}),
        ("local_shell", '{"command":"ls -l"}',
         {"type": "exec", "command": ["bash", "-lc", "ls -l"], "env": {}}),
        ("local_shell", '{"command":[1],"workdir":2,"timeout_ms":"3"}',
         {"type": "exec", "command": ["1"], "env": {}}),
        ("shell", '{"commands":"ls","timeout_ms":true}',
         {"commands": ["ls"], "timeout_ms": None, "max_output_length": None}),
        ("shell", "[", {"commands": [], "timeout_ms": None, "max_output_length": None}),
        ("apply_patch", '{"type":"delete_file","path":"a","diff":"x"}',
         {"type": "delete_file", "path": "a"}),
        ("apply_patch", '{"type":"rename","path":null}',
         {"type": "update_file", "path": "", "diff": ""}),
        ("apply_patch", "[1]", {"type": "update_file", "path": "", "diff": ""}),
    ],
)  # fmt: skip
def test_whatever_a_model_writes_is_an_action(kind: str, arguments: str, expected: Json) -> None:
    assert to_action(kind, arguments) == expected


@pytest.mark.parametrize(
    ("call", "result", "args", "output"),
    [
        (
            {"type": "local_shell_call", "call_id": "a",
             "action": {"type": "exec", "command": ["ls"], "working_directory": "/", "env": {}}},
            {"type": "local_shell_call_output", "id": "a", "output": "x"},
            {"command": ["ls"], "workdir": "/"},
            {"output": "x"},
        ),
        (
            {"type": "shell_call", "call_id": "a",
             "action": {"commands": ["ls"], "timeout_ms": None}},
            {"type": "shell_call_output", "call_id": "a",
             "output": [{"stdout": "x", "stderr": "", "outcome": {"type": "exit"}}]},
            {"commands": ["ls"]},
            {"output": [{"stdout": "x", "stderr": "", "outcome": {"type": "exit"}}]},
        ),
        (
            {"type": "apply_patch_call", "call_id": "a", "operation": PATCH},
            {"type": "apply_patch_call_output", "call_id": "a", "status": "failed"},
            PATCH,
            {"output": "failed"},
        ),
    ],
)  # fmt: skip
def test_calls_and_results_come_back(call: Json, result: Json, args: Json, output: Json) -> None:
    items = [{"role": "user", "content": "Hi"}, call, result]

    _, model, user = sent({"input": items, **TOOLS})["contents"]

    assert model["parts"][0]["functionCall"]["args"] == args
    assert user["parts"][0]["functionResponse"]["response"] == output


def test_damaged_items_are_calls_without_arguments() -> None:
    assert to_arguments("local_shell", None) == {"command": []}
    assert to_arguments("shell", "x") == {}


@pytest.mark.parametrize(
    ("output", "status", "text"),
    [("x", None, "x"), (None, None, "completed"), ("", "failed", "failed"), ([1], None, "[1]")],
)
def test_a_result_is_text(output: object, status: str | None, text: str) -> None:
    assert to_result(output, status) == text
