"""Converts input items of a Responses request to chat messages. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/create#input (read 2026-11).
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.namespaces import TOOL_SEARCH
from jarvis_proxy.canonical.request import MessageOrigin
from jarvis_proxy.canonical.sealed_state import thinking_blocks, unseal
from jarvis_proxy.canonical.validation_errors import (
    convert,
    invalid,
    missing,
    unknown_value,
    wrong_type,
)
from jarvis_proxy.dialects.responses.client_tools import (
    APPLY_PATCH,
    LOCAL_SHELL,
    SHELL,
    to_arguments,
    to_result,
)
from jarvis_proxy.dialects.responses.tools import listed

_MESSAGE_ID: Final = "msg_"
"""The prefix of message ids in a response. Upstreams remember state under these ids."""

_REASONING_ID: Final = "rs_"
"""The prefix of reasoning ids in a response."""

_ROLES: Final = ("user", "assistant", "system", "developer")
_TEXTS: Final = ("input_text", "output_text", "text")

_READ: Final = frozenset(
    (
        "additional_tools",
        "apply_patch_call",
        "apply_patch_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "function_call",
        "function_call_output",
        "image_generation_call",
        "item_reference",
        "local_shell_call",
        "local_shell_call_output",
        "message",
        "reasoning",
        "shell_call",
        "shell_call_output",
        "tool_search_call",
        "tool_search_output",
    )
)
"""The types of items that are translated."""

JsonObject: TypeAlias = dict[str, Any]
LoadedTools: TypeAlias = list[tuple[JsonObject, str]]
"""Tools from the input, each with its param."""
_Content: TypeAlias = str | list[Any] | None


class Item(msgspec.Struct):
    """One item of any type; fields of type ``object`` depend on the type."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: object = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: object = None
    input: object = None
    execution: str | None = None
    tools: list[JsonObject] | None = None
    output: object = None
    encrypted_content: str | None = None
    result: object = None
    action: object = None
    operation: object = None
    status: str | None = None


_RUN: Final = {
    "apply_patch_call": APPLY_PATCH,
    "local_shell_call": LOCAL_SHELL,
    "shell_call": SHELL,
}
"""Calls of tools that the client runs, with the names of their functions."""


def read_input(
    given: str | list[JsonObject],
    instructions: str | None,
    ignored: IgnoredParams,
    loaded: LoadedTools | None = None,
    earlier: Sequence[JsonObject] = (),
) -> tuple[list[JsonObject], list[MessageOrigin]]:
    """Return the chat messages for *given*, and the origin of each one.

    *earlier* are the items of the conversation that is continued. Tools in the input are added to
    *loaded*. Items of types without a meaning for this model are left out and noted: they occur in
    conversations that began with a model of OpenAI's.

    Raises:
        ProxyError: 400, an item exists only in OpenAI's store, or content of the wrong type.
    """
    reader = _Reader(IgnoredParams(), [] if loaded is None else loaded)
    if instructions:
        reader.say({"role": "system", "content": instructions}, MessageOrigin("instructions"))
    for item in earlier:
        reader.read(item, "previous_response_id")
    # An earlier answer has already named its own request's ignored items.
    reader.ignored = ignored
    if isinstance(given, str):
        reader.say({"role": "user", "content": given}, MessageOrigin("input"))
    else:
        for index, item in enumerate(given):
            reader.read(item, f"input[{index}]")
    return reader.messages, reader.places


class _Reader:
    """Collects consecutive output of the model, text and calls, in one message, as chat has it."""

    __slots__ = (
        "_blocks",
        "_calls",
        "_loaded",
        "_open",
        "_parts",
        "_pictures",
        "_place",
        "_secret",
        "_thoughts",
        "ignored",
        "messages",
        "places",
    )  # fmt: skip

    def __init__(self, ignored: IgnoredParams, loaded: LoadedTools) -> None:
        self._loaded = loaded
        self.messages: list[JsonObject] = []
        self.places: list[MessageOrigin] = []
        self.ignored = ignored
        self._open: JsonObject | None = None
        self._place = MessageOrigin("")
        self._parts: list[object] = []
        self._calls: list[object] = []
        self._pictures: list[object] = []
        self._secret: str | None = None
        self._blocks: list[JsonObject] = []
        self._thoughts = ""

    def say(self, message: JsonObject, place: MessageOrigin) -> None:
        """Add a message of another role than the model."""
        self._open = None
        self._secret = None
        self._blocks = []
        self._thoughts = ""
        self.messages.append(message)
        self.places.append(place)

    def read(self, item: JsonObject, param: str) -> None:
        """Add *item*, if its type is translated."""
        kind = item.get("type")
        if not isinstance(kind, str | None):
            raise wrong_type(f"{param}.type", "a string", kind)
        if kind is None or kind in _READ:
            self._take(convert(item, Item, param), param)
        else:
            # OpenAI's servers did it, or it is a type of the future.
            self.ignored.add_or_reject(param)

    def _take(self, item: Item, param: str) -> None:
        match item.type:
            case "message" | None:
                self._message(item, param)
            case "function_call":
                function = {"name": item.name, "arguments": item.arguments}
                function |= {"namespace": item.namespace} if item.namespace else {}
                self._call(item, {"type": "function", "function": function}, param)
            case "custom_tool_call":
                custom = {"name": item.name, "input": item.input}
                custom |= {"namespace": item.namespace} if item.namespace else {}
                self._call(item, {"type": "custom", "custom": custom}, param)
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, param)
            case "apply_patch_call" | "local_shell_call" | "shell_call":
                self._run(item, param)
            case "apply_patch_call_output" | "local_shell_call_output" | "shell_call_output":
                said = to_result(item.output, item.status)
                # A local shell's result has the call's id as its own id.
                self.say(_result(item.call_id or item.id, said), MessageOrigin(param))
            case "reasoning":
                self._reasoning(item)
            case "tool_search_call":
                self._search(item, param)
            case "tool_search_output":
                self._found(item, param)
            case "additional_tools":
                self._load(item, param)
            case "image_generation_call":
                self._picture(item, param)
            case "item_reference" if (item.id or "").startswith(_REASONING_ID):
                # Vercel's SDK refers to it; its relevant state is remembered with the call.
                pass
            case _:
                message = (
                    "This proxy stores nothing, so it knows no earlier items. Send each item "
                    'whole; most clients do so with "store": false. Ids of items carry them where '
                    "the proxy has RESPONSES_STATE=id."
                )
                raise invalid(param, message, "unsupported_parameter")

    def _reasoning(self, item: Item) -> None:
        """Add the upstream's sealed reasoning, or its full text.

        A summary may be shorter than that.
        """
        sealed = item.encrypted_content or ""
        state = unseal(sealed)
        if not sealed:
            self._thoughts += _reasoning_text(item.content)
        self._secret = None
        if state is not None and state.signs_next:
            self._secret = state.payload
        elif state is not None:
            self._blocks += thinking_blocks(state)

    def _message(self, item: Item, param: str) -> None:
        if item.role is None:
            raise missing(f"{param}.role")
        if item.role not in _ROLES:
            raise unknown_value(f"{param}.role", item.role, _ROLES)
        content = _content(item.content, f"{param}.content")
        parts, params = _parts(content, f"{param}.content")
        if item.role != "assistant":
            self.say({"role": item.role, "content": parts}, MessageOrigin(param, params))
            return
        gathered = self._model(param)
        self._parts += parts
        self._place.parts += params
        if item.id is not None and item.id.startswith(_MESSAGE_ID):
            # The signature of the message's text is remembered under this id.
            gathered["id"] = item.id

    def _call(self, item: Item, call: JsonObject, param: str) -> None:
        self._model(param)
        if self._secret is not None:
            call["extra_content"] = {"google": {"thought_signature": self._secret}}
            self._secret = None
        self._calls.append({"id": item.call_id or item.id, **call})
        self._place.calls.append(param)

    def _run(self, item: Item, param: str) -> None:
        """Add a call of one of OpenAI's tools that the client runs."""
        name = _RUN[item.type or ""]
        arguments = to_arguments(name, item.action or item.operation)
        function = {"name": name, "arguments": arguments}
        self._call(item, {"type": "function", "function": function}, param)

    def _search(self, item: Item, param: str) -> None:
        """Add a call of the tool search, if the client ran it."""
        if not _is_clients(item):
            self.ignored.add_or_reject(param)
            return
        function = {"name": TOOL_SEARCH, "arguments": item.arguments}
        self._call(item, {"type": "function", "function": function}, param)

    def _found(self, item: Item, param: str) -> None:
        """Add the tools that a search found: from now on the model has them."""
        self._load(item, param)
        if not _is_clients(item):
            self.ignored.add_or_reject(param)
            return
        said = listed(item.tools or [])
        self.say(_result(item.call_id, said), MessageOrigin(param))

    def _load(self, item: Item, param: str) -> None:
        for index, tool in enumerate(item.tools or ()):
            self._loaded.append((tool, f"{param}.tools[{index}]"))

    def _picture(self, item: Item, param: str) -> None:
        if not isinstance(item.result, str):
            self.ignored.add_or_reject(param)
            return
        self._model(param)
        self._pictures.append({"image_url": {"url": f"data:;base64,{item.result}"}})

    def _output(self, item: Item, param: str) -> None:
        content = _content(item.output, f"{param}.output")
        parts, params = _parts(content, f"{param}.output")
        said: object = content if isinstance(content, str) else parts
        self.say(_result(item.call_id, said), MessageOrigin(param, params))

    def _model(self, param: str) -> JsonObject:
        """Return the model's message in progress."""
        if self._open is None:
            secret, blocks, thoughts = self._secret, self._blocks, self._thoughts
            self._parts, self._calls, self._pictures = [], [], []
            message: JsonObject = {
                "role": "assistant",
                "content": self._parts,
                "tool_calls": self._calls,
                "images": self._pictures,
            }
            self.say(message, MessageOrigin(param))
            self._place, self._open, self._secret = self.places[-1], message, secret
            self._blocks, self._thoughts = blocks, thoughts
        if self._blocks:
            self._open.setdefault("thinking_blocks", []).extend(self._blocks)
            self._blocks = []
        if self._thoughts:
            earlier = self._open.get("reasoning_content", "")
            self._open["reasoning_content"] = earlier + self._thoughts
            self._thoughts = ""
        return self._open


def _reasoning_text(content: object) -> str:
    """Return the unsealed reasoning text of an item."""
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _result(call_id: str | None, said: object) -> JsonObject:
    """Return the message with the result of a call."""
    return {"role": "tool", "tool_call_id": call_id, "content": said}


def _is_clients(item: Item) -> bool:
    """Return whether the client ran a tool search: OpenAI's own ones have no call id."""
    return item.call_id is not None and item.execution in (None, "client")


def _content(value: object, param: str) -> _Content:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, dict | str) for part in value):
        return value
    raise wrong_type(param, "a string or an array of objects", value)


def _parts(content: _Content, param: str) -> tuple[list[object], list[str]]:
    """Return content as chat's parts, with the param of each."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}], [param]
    parts = [
        part if isinstance(part, str) else _part(part, f"{param}[{index}]")
        for index, part in enumerate(content or ())
    ]
    return list(parts), [f"{param}[{index}]" for index in range(len(parts))]


def _part(part: JsonObject, param: str) -> JsonObject:
    """Return one part in chat's form; a part that already has it stays unchanged."""
    kind = part.get("type")
    if kind in _TEXTS:
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image":
        if part.get("file_id") is not None:
            return {"type": "file", "file": {"file_id": part["file_id"]}}
        url = part.get("image_url")
        if url is None:
            raise missing(f"{param}.image_url")
        return {"type": "image_url", "image_url": {"url": url, "detail": part.get("detail")}}
    if kind == "input_file":
        names = ("file_data", "file_id", "file_url", "filename")
        return {"type": "file", "file": {name: part.get(name) for name in names}}
    return part
