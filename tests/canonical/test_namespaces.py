"""Tools inside a namespace, as tools of their own."""

from typing import Any

import pytest

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import members
from jarvis_proxy.errors import ProxyError

Json = dict[str, Any]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}


def inside(
    *tools: Any, description: Any = None, ignored: IgnoredParams | None = None
) -> list[Json]:
    tool = {"type": "namespace", "name": "wx", "description": description, "tools": list(tools)}
    return [member for member, _ in members(tool, "tools[3]", ignored or IgnoredParams())]


def test_members_are_flat_and_know_their_namespace_and_place() -> None:
    function = {"type": "function", "name": "f", "parameters": CITY}
    nested = {"type": "function", "function": {"name": "g", "parameters": CITY}}
    tool = {"type": "namespace", "name": "wx", "tools": [function, nested]}

    found = list(members(tool, "tools[3]", IgnoredParams()))

    common = {"type": "function", "namespace": "wx", "description": None, "parameters": CITY}
    assert found == [
        ({"name": "f", **common}, "tools[3].tools[0]"),
        ({"name": "g", **common}, "tools[3].tools[1]"),
    ]


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("Weather.", "Of a city.", "Weather.\n\nOf a city."),
        ("Weather.", None, "Weather."),
        ("Weather.", "Weather. Of a city.", "Weather. Of a city."),
        (None, "Of a city.", "Of a city."),
        ("", None, None),
        ("x" * 400, "y", "x" * 300 + "\n\ny"),
    ],
)
def test_the_namespaces_description_stands_before_the_members(
    outer: Any, inner: Any, expected: Any
) -> None:
    (member,) = inside({"name": "f", "description": inner}, description=outer)

    assert member["description"] == expected


def test_custom_tools_are_members_too_and_others_are_noted() -> None:
    ignored = IgnoredParams()
    found = inside({"type": "custom", "name": "sql"}, {"type": "mcp", "name": "x"}, ignored=ignored)

    assert [(member["type"], member["name"]) for member in found] == [("custom", "sql")]
    assert ignored.names == ("tools[3].tools[1]",)


@pytest.mark.parametrize(
    ("tool", "code", "param"),
    [
        ({"tools": []}, "missing_required_parameter", "tools[3].name"),
        ({"name": "", "tools": []}, "missing_required_parameter", "tools[3].name"),
        ({"name": 5, "tools": []}, "invalid_type", "tools[3].name"),
        ({"name": "wx"}, "missing_required_parameter", "tools[3].tools"),
        ({"name": "wx", "tools": {}}, "invalid_type", "tools[3].tools"),
        ({"name": "wx", "tools": ["f"]}, "invalid_type", "tools[3].tools[0]"),
        (
            {"name": "wx", "tools": [{"type": "function"}]},
            "missing_required_parameter",
            "tools[3].tools[0].name",
        ),
        (
            {"name": "wx", "tools": [{"name": "f", "description": 5}]},
            "invalid_type",
            "tools[3].tools[0].description",
        ),
    ],
)
def test_what_is_no_namespace_is_a_400(tool: Json, code: str, param: str) -> None:
    with pytest.raises(ProxyError) as caught:
        list(members({"type": "namespace", **tool}, "tools[3]", IgnoredParams()))

    assert (caught.value.status, caught.value.code, caught.value.param) == (400, code, param)
