"""The items of a response that are calls. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/object (read 2026-11).
"""

from typing import TypeAlias

import msgspec
from msgspec import UNSET, Raw

from jarvis_proxy.canonical.answer import CallStart
from jarvis_proxy.wire.responses_types import CustomCallItem, FunctionCallItem, ToolSearchCallItem

CallItem: TypeAlias = FunctionCallItem | CustomCallItem | ToolSearchCallItem


def open_item(call: CallStart, unique: str, *, is_search: bool) -> CallItem:
    """Return the item of a call that begins; *unique* is the end of its id.

    *is_search*: it is one of the search for tools, which the client runs.
    """
    namespace = call.namespace or UNSET
    if is_search:
        return ToolSearchCallItem(
            id=f"tsc_{unique}", status="in_progress", arguments=Raw(b"{}"), call_id=call.id
        )
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


def is_json(text: str) -> bool:
    """Return whether *text* is JSON, and so not cut off."""
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def as_object(text: str) -> Raw:
    """Return *text* if it is a JSON object, else an object that holds it."""
    try:
        msgspec.json.decode(text, type=dict[str, Raw])
    except (ValueError, RecursionError):
        return Raw(msgspec.json.encode({"_raw_arguments": text}))
    return Raw(text.encode())
