"""Which of the declared tools a ``tool_choice`` allows."""

from typing import Any

import pytest

from jarvis_proxy.canonical.chat_request import FunctionSpec
from jarvis_proxy.canonical.tool_choice import ChosenTools, read_tool_choice
from jarvis_proxy.canonical.tools import DeclaredTool, DeclaredTools
from jarvis_proxy.errors import ProxyError

TOOLS = DeclaredTools(
    [
        DeclaredTool(FunctionSpec("f"), "tools[0]"),
        DeclaredTool(FunctionSpec("time", namespace="clock"), "tools[1]"),
    ]
)
F = {"type": "function", "function": {"name": "f"}}
CLOCK = {"type": "namespace", "name": "clock"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("none", ChosenTools("none")),
        ("VALIDATED", ChosenTools("auto")),
        ({"type": "any"}, ChosenTools("required")),
        (F, ChosenTools("required", ["f"], is_one=True)),
        ({"name": "time"}, ChosenTools("required", ["clock__time"], is_one=True)),
        (CLOCK, ChosenTools("required", ["clock__time"])),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [CLOCK, F]},
            ChosenTools("required", ["clock__time", "f"]),
        ),
        ({"type": "allowed_tools", "tools": [{"type": "web_search"}]}, ChosenTools("none")),
        ({"type": "web_search"}, None),
        ({"type": []}, None),
    ],
)
def test_choice_is_a_mode_and_names(given: Any, expected: ChosenTools | None) -> None:
    assert read_tool_choice(given, TOOLS, "tool_choice") == expected


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("always", "tool_choice"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "function", "name": "missing"}, "tool_choice"),
        ({"type": "namespace", "name": "missing"}, "tool_choice"),
        ({"type": "allowed_tools", "tools": [5]}, "tool_choice.allowed_tools.tools"),
    ],
)
def test_a_broken_choice_is_refused_with_its_param(given: Any, param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        read_tool_choice(given, TOOLS, "tool_choice")

    assert (caught.value.status, caught.value.param) == (400, param)
