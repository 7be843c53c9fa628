"""OpenAI's tools that the client runs: shells and patches. Pure.

Other upstreams only know functions. So each tool is declared to the model as a function with the
name of its type, and its calls become items of the type that the client knows.

Source: https://platform.openai.com/docs/guides/tools-shell, /tools-local-shell and
/tools-apply-patch (read 2026-11).
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

JsonObject: TypeAlias = dict[str, Any]

LOCAL_SHELL: Final = "local_shell"
SHELL: Final = "shell"
APPLY_PATCH: Final = "apply_patch"

_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_COUNT: Final = {"type": "integer"}
_OPERATIONS: Final = ("create_file", "update_file", "delete_file")
_DECLARED: Final[Mapping[str, tuple[str, JsonObject, list[str]]]] = {
    LOCAL_SHELL: (
        "Runs a command on the user's machine and returns its output.",
        {"command": _TEXTS, "workdir": _TEXT, "timeout_ms": _COUNT},
        ["command"],
    ),
    SHELL: (
        "Runs shell commands on the user's machine and returns their output.",
        {"commands": _TEXTS, "timeout_ms": _COUNT, "max_output_length": _COUNT},
        ["commands"],
    ),
    APPLY_PATCH: (
        "Creates, updates or deletes a file. The diff has no header: its hunks begin with @@, and "
        "their lines with a space, + or -.",
        {"type": {"type": "string", "enum": list(_OPERATIONS)}, "path": _TEXT, "diff": _TEXT},
        ["type", "path"],
    ),
}


def as_function(tool: JsonObject) -> JsonObject | None:
    """Return *tool* as a flat function, None if the client does not run it."""
    kind = tool.get("type")
    if not isinstance(kind, str) or kind not in _DECLARED or not _is_local(tool):
        return None
    description, properties, required = _DECLARED[kind]
    parameters = {"type": "object", "properties": properties, "required": required}
    return {
        "type": "function",
        "name": kind,
        "description": description,
        "parameters": parameters,
    }


def _is_local(tool: JsonObject) -> bool:
    """Return whether the commands run at the client, not in a container of OpenAI's."""
    environment = tool.get("environment")
    return not isinstance(environment, dict) or environment.get("type") == "local"


# -- from the model's arguments to the client's item -------------------------------------------


def to_action(kind: str, arguments: str) -> JsonObject:
    """Return the item's ``action``, or a patch's ``operation``, from a call's *arguments*.

    Models sometimes use other arguments: unknown ones are kept, and those that the client's SDK
    requires are never missing.
    """
    given = _object(arguments)
    if kind == LOCAL_SHELL:
        action: JsonObject = {"type": "exec", "command": _words(given.get("command")), "env": {}}
        workdir, timeout = given.get("workdir"), given.get("timeout_ms")
        action |= {"working_directory": workdir} if isinstance(workdir, str) else {}
        return action | ({"timeout_ms": timeout} if isinstance(timeout, int) else {})
    if kind == SHELL:
        return {
            "commands": _texts(given.get("commands")),
            "max_output_length": _count(given.get("max_output_length")),
            "timeout_ms": _count(given.get("timeout_ms")),
        }
    return _operation(given)


def _operation(given: JsonObject) -> JsonObject:
    wanted = given.get("type")
    operation = {
        "type": wanted if wanted in _OPERATIONS else "update_file",
        "path": str(given.get("path") or ""),
    }
    if wanted != "delete_file":
        operation["diff"] = str(given.get("diff") or "")
    return operation


def _words(value: object) -> list[str]:
    """Return a command's words; a whole line becomes an argument of the shell."""
    return ["bash", "-lc", value] if isinstance(value, str) else _texts(value)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _object(arguments: str) -> JsonObject:
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


# -- from the client's items to the history ----------------------------------------------------


def to_arguments(kind: str, action: object) -> JsonObject:
    """Return a call's arguments from the ``action`` or ``operation`` of its item."""
    given = action if isinstance(action, dict) else {}
    if kind == LOCAL_SHELL:
        found = {"workdir": given.get("working_directory"), "timeout_ms": given.get("timeout_ms")}
        found = {"command": given.get("command") or [], **found}
        return {name: value for name, value in found.items() if value is not None}
    _, properties, _ = _DECLARED[kind]
    return {name: given[name] for name in properties if given.get(name) is not None}


def to_result(output: object, status: str | None) -> str:
    """Return a call's output as text for the model; if it has none, the call's status."""
    if isinstance(output, str) and output:
        return output
    if output is None or output == "":
        return status or "completed"
    return msgspec.json.encode(output).decode()
