"""Input items of a Responses request → chat messages. Pure.

Source: https://platform.openai.com/docs/api-reference/responses/create#input (read 2026-11).
"""

from typing import Any, Final, TypeAlias

import msgspec

from jarvis_proxy.upstreams.gemini.carriers import MESSAGE_ID
from jarvis_proxy.upstreams.gemini.faults import invalid, missing, wrong_type
from jarvis_proxy.upstreams.gemini.notes import Notes
from jarvis_proxy.upstreams.gemini.responses.places import Place

SEAL: Final = "gemini:"
"""What stands before a thought signature in ``encrypted_content``: others' secrets are not ours."""

_REASONING_ID: Final = "rs_"
"""How the ids of a response's reasoning begin."""

_ROLES: Final = ("user", "assistant", "system", "developer")
_TEXTS: Final = ("input_text", "output_text", "text")

JsonObject: TypeAlias = dict[str, object]
_Content: TypeAlias = str | list[Any] | None


class Item(msgspec.Struct):
    """One item of any type; fields of type ``object`` differ from type to type."""

    type: str | None = None
    id: str | None = None
    role: str | None = None
    content: object = None
    call_id: str | None = None
    name: str | None = None
    arguments: object = None
    input: object = None
    output: object = None
    encrypted_content: str | None = None
    result: object = None


def read_input(
    given: str | list[Item], instructions: str | None, notes: Notes
) -> tuple[list[JsonObject], list[Place]]:
    """Return the chat messages that *given* says, with where each came from.

    Raises:
        ProxyError: 400, an item of unknown type, one that only OpenAI's store can tell, or content
            of the wrong type.
    """
    reader = _Reader(notes)
    if instructions:
        reader.say({"role": "system", "content": instructions}, Place("instructions"))
    if isinstance(given, str):
        reader.say({"role": "user", "content": given}, Place("input"))
    else:
        for index, item in enumerate(given):
            reader.take(item, f"input[{index}]")
    return reader.messages, reader.places


class _Reader:
    """Gathers what the model did in a row into one message: chat has its calls beside its text."""

    __slots__ = ("_calls", "_notes", "_open", "_parts", "_pictures", "_place", "_secret",
                 "messages", "places")  # fmt: skip

    def __init__(self, notes: Notes) -> None:
        self.messages: list[JsonObject] = []
        self.places: list[Place] = []
        self._notes = notes
        self._open: JsonObject | None = None
        self._place = Place("")
        self._parts: list[object] = []
        self._calls: list[object] = []
        self._pictures: list[object] = []
        self._secret: str | None = None

    def say(self, message: JsonObject, place: Place) -> None:
        """Add a message that is not the model's."""
        self._open = None
        self._secret = None
        self.messages.append(message)
        self.places.append(place)

    def take(self, item: Item, param: str) -> None:
        """Add what *item* says."""
        match item.type:
            case "message" | None:
                self._message(item, param)
            case "function_call":
                function = {"name": item.name, "arguments": item.arguments}
                self._call(item, {"type": "function", "function": function}, param)
            case "custom_tool_call":
                custom = {"name": item.name, "input": item.input}
                self._call(item, {"type": "custom", "custom": custom}, param)
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, param)
            case "reasoning":
                secret = item.encrypted_content or ""
                self._secret = secret.removeprefix(SEAL) if secret.startswith(SEAL) else None
            case "image_generation_call":
                self._picture(item, param)
            case "item_reference" if (item.id or "").startswith(_REASONING_ID):
                pass  # Vercel's SDK refers to it; what matters of it is remembered with the call
            case "item_reference":
                message = (
                    "This proxy stores nothing, so it knows no earlier items. Send each item "
                    'whole; most clients do so with "store": false.'
                )
                raise invalid(param, message, "unsupported_parameter")
            case other if other.endswith(("_call", "_output")) or other.startswith("mcp_"):
                self._notes.ignore(param)  # what tools of OpenAI's servers did
            case other:
                raise invalid(f"{param}.type", f"Invalid value: '{other[:64]}'.")

    def _message(self, item: Item, param: str) -> None:
        if item.role is None:
            raise missing(f"{param}.role")
        if item.role not in _ROLES:
            supported = ", ".join(f"'{role}'" for role in _ROLES)
            message = f"Invalid value: '{item.role[:64]}'. Supported values are: {supported}."
            raise invalid(f"{param}.role", message)
        content = _content(item.content, f"{param}.content")
        parts, params = _parts(content, f"{param}.content")
        if item.role != "assistant":
            self.say({"role": item.role, "content": parts}, Place(param, params))
            return
        gathered = self._model(param)
        self._parts += parts
        self._place.parts += params
        if item.id is not None and item.id.startswith(MESSAGE_ID):
            gathered["id"] = item.id  # under which the signature of its text is remembered

    def _call(self, item: Item, call: JsonObject, param: str) -> None:
        self._model(param)
        if self._secret is not None:
            call["extra_content"] = {"google": {"thought_signature": self._secret}}
            self._secret = None
        self._calls.append({"id": item.call_id or item.id, **call})
        self._place.calls.append(param)

    def _picture(self, item: Item, param: str) -> None:
        if not isinstance(item.result, str):
            self._notes.ignore(param)
            return
        self._model(param)
        self._pictures.append({"image_url": {"url": f"data:;base64,{item.result}"}})

    def _output(self, item: Item, param: str) -> None:
        content = _content(item.output, f"{param}.output")
        parts, params = _parts(content, f"{param}.output")
        said: object = content if isinstance(content, str) else parts
        message: JsonObject = {"role": "tool", "tool_call_id": item.call_id, "content": said}
        self.say(message, Place(param, params))

    def _model(self, param: str) -> JsonObject:
        """Return the model's message that is being gathered."""
        if self._open is None:
            secret = self._secret
            self._parts, self._calls, self._pictures = [], [], []
            message: JsonObject = {
                "role": "assistant",
                "content": self._parts,
                "tool_calls": self._calls,
                "images": self._pictures,
            }
            self.say(message, Place(param))
            self._place, self._open, self._secret = self.places[-1], message, secret
        return self._open


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
    """Return one part in chat's spelling; one that is spelled so already stays."""
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
