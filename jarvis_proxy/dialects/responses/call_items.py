"""The items of a response that represent calls. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11).
"""

from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.dialects.responses.client_tools import (
    APPLY_PATCH,
    LOCAL_SHELL,
    SHELL,
    to_action,
)
from jarvis_proxy.wire.responses_types import (
    ApplyPatchCallItem,
    CustomCallItem,
    FunctionCallItem,
    LocalShellCallItem,
    ShellCallItem,
    ToolSearchCallItem,
    one_line,
)

ActionItem: TypeAlias = ToolSearchCallItem | LocalShellCallItem | ShellCallItem | ApplyPatchCallItem
"""Items with an object, which is set when the call has ended."""

CallItem: TypeAlias = FunctionCallItem | CustomCallItem | ActionItem


def open_item(call: CallStart, unique: str, client_type: str | None = None) -> CallItem:
    """Return the item of a new call; *unique* is the end of its id.

    *client_type* is OpenAI's type of a tool that the client runs.
    """
    if client_type is not None:
        return _open_action(call.id, unique, client_type)
    namespace = call.namespace or UNSET
    if call.kind == "custom":
        return CustomCallItem(
            id=f"ctc_{unique}",
            status="in_progress",
            call_id=call.id,
            input="",
            name=call.name,
            namespace=namespace,
        )
    return FunctionCallItem(
        id=f"fc_{unique}",
        status="in_progress",
        arguments="",
        call_id=call.id,
        name=call.name,
        namespace=namespace,
    )


def _open_action(call_id: str, unique: str, client_type: str) -> ActionItem:
    match client_type:
        case "local_shell":
            return LocalShellCallItem(
                id=f"lsh_{unique}",
                status="in_progress",
                action=to_action(LOCAL_SHELL, ""),
                call_id=call_id,
            )
        case "shell":
            return ShellCallItem(
                id=f"sh_{unique}",
                status="in_progress",
                action=to_action(SHELL, ""),
                call_id=call_id,
            )
        case "apply_patch":
            return ApplyPatchCallItem(
                id=f"apc_{unique}",
                status="in_progress",
                operation=to_action(APPLY_PATCH, ""),
                call_id=call_id,
            )
        case _:
            return ToolSearchCallItem(
                id=f"tsc_{unique}", status="in_progress", arguments=Raw(b"{}"), call_id=call_id
            )


def fill_action(item: ActionItem, arguments: str) -> None:
    """Set *item*'s object from its call's *arguments*."""
    match item:
        case ToolSearchCallItem():
            item.arguments = as_object(arguments)
        case LocalShellCallItem():
            item.action = to_action(LOCAL_SHELL, arguments)
        case ShellCallItem():
            item.action = to_action(SHELL, arguments)
        case _:
            item.operation = to_action(APPLY_PATCH, arguments)


def is_json(text: str) -> bool:
    """Return whether *text* is valid JSON, which means that it was not cut off."""
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def as_object(text: str) -> Raw:
    """Return *text*, in one line, if it is a JSON object; otherwise an object that contains it."""
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
    except (ValueError, RecursionError):
        return Raw(msgspec.json.encode({"_raw_arguments": text}))
    return one_line(Raw(text.encode()))
