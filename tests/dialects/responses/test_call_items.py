"""Calls as items of a response."""

import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.dialects.responses.call_items import as_object, is_json, open_item


def opened(call: CallStart, client_type: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(open_item(call, "u", client_type)))
    return found


def test_a_function_and_a_custom_tool_have_items_of_their_own() -> None:
    function = opened(CallStart("call_1", "f"))
    custom = opened(CallStart("call_2", "patch", "custom", "ns"))

    assert (function["type"], function["id"]) == ("function_call", "fc_u")
    assert (function["arguments"], function.get("namespace")) == ("", None)
    assert (custom["type"], custom["id"]) == ("custom_tool_call", "ctc_u")
    assert (custom["input"], custom["namespace"]) == ("", "ns")


@pytest.mark.parametrize(
    ("client_type", "kind"),
    [
        ("local_shell", "local_shell_call"),
        ("shell", "shell_call"),
        ("apply_patch", "apply_patch_call"),
        ("tool_search", "tool_search_call"),
    ],
)
def test_a_tool_of_the_clients_has_the_item_of_its_type(client_type: str, kind: str) -> None:
    item = opened(CallStart("call_1", client_type), client_type)

    assert (item["type"], item["call_id"], item["status"]) == (kind, "call_1", "in_progress")


@pytest.mark.parametrize(
    ("text", "whole"), [("{}", True), ("[1]", True), ('{"a":', False), ("", False)]
)
def test_arguments_that_were_cut_off_are_no_json(text: str, whole: bool) -> None:
    assert is_json(text) is whole


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{\n  "a": "b c"\r\n}', '{"a":"b c"}'),
        ("[1]", '{"_raw_arguments":"[1]"}'),
        ("x", '{"_raw_arguments":"x"}'),
    ],
)
def test_arguments_are_an_object(text: str, found: str) -> None:
    assert bytes(as_object(text)).decode() == found
