"""Converts chat messages to contents and a system instruction. Pure.

Source: https://ai.google.dev/api/caching#Content, /gemini-api/docs/function-calling and
/gemini-api/docs/thought-signatures (read 2026-11).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

from jarvis_proxy.canonical.attachments import link_kind
from jarvis_proxy.canonical.chat_request import ChatMessage, ContentPart
from jarvis_proxy.canonical.function_names import FunctionNames
from jarvis_proxy.canonical.history import (
    ModelTurn,
    PriorToolCall,
    Turn,
    UnmatchedToolResult,
    UserTurn,
    read_history,
    strip_signature_suffix,
)
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.content import ContentReader, texts
from jarvis_proxy.upstreams.gemini.request.signature_lookup import SignatureResolver
from jarvis_proxy.upstreams.gemini.request.tool_results import Result, missing_result, read_result
from jarvis_proxy.upstreams.gemini.request.types import Content, FunctionCall, Part

_BLANK: Final = " "
"""Google rejects empty contents and empty parts; a space is the least it accepts."""

_GO_ON: Final = "Continue."


@dataclass(slots=True)
class GeminiContents:
    """The converted messages. *system* holds the texts of system and developer messages."""

    contents: list[Content] = field(default_factory=list)
    system: list[str] = field(default_factory=list)


def build_messages(
    messages: list[ChatMessage],
    *,
    traits: ModelTraits,
    reader: ContentReader,
    resolver: SignatureResolver,
    names: FunctionNames,
    ignored: IgnoredParams,
) -> GeminiContents:
    """Return the conversation in Google's form.

    Roles alternate, and no part is empty. Every turn with calls is followed by a user's turn that
    begins with as many responses, in the same order, before other content.

    Raises:
        ProxyError: 400 with the message or part as param.
    """
    builder = _Builder(traits, reader, resolver, names, ignored)
    return builder.build(messages)


def _end_of_past(turns: list[Turn]) -> int:
    """Return the index of the model's last turn that something follows; all before is past."""
    spoken = [turn for turn in turns if isinstance(turn, ModelTurn)]
    if spoken and spoken[-1] is turns[-1] and not any(call.result for call in spoken[-1].calls):
        spoken.pop()
    return spoken[-1].index if spoken else 0


def results_last(contents: list[Content]) -> bool:
    """Move tool results to the end of their turns; return whether any was moved.

    Some models take content after a result for the model's: "Requests ending with a model turn".
    """
    moved = False
    for content in contents:
        ordered = sorted(content.parts, key=lambda part: part.function_response is not None)
        if content.role == "user" and ordered != content.parts:
            content.parts, moved = ordered, True
    return moved


class _Builder:
    __slots__ = (
        "_contents",
        "_ids",
        "_ignored",
        "_names",
        "_reader",
        "_repeats",
        "_resolver",
        "_traits",
    )

    def __init__(
        self,
        traits: ModelTraits,
        reader: ContentReader,
        resolver: SignatureResolver,
        names: FunctionNames,
        ignored: IgnoredParams,
    ) -> None:
        self._traits = traits
        self._reader = reader
        self._resolver = resolver
        self._names = names
        self._ignored = ignored
        self._contents: list[Content] = []
        self._ids: set[str] = set()
        self._repeats: Counter[str] = Counter()

    def build(self, messages: list[ChatMessage]) -> GeminiContents:
        turns, system = read_history(messages)
        instructions = [
            text
            for index, message in system
            for text in texts(message.content, f"messages[{index}].content")
        ]
        last_model = 0
        past = _end_of_past(turns)
        for turn in turns:
            match turn:
                case UserTurn():
                    where = f"messages[{turn.index}].content"
                    content, is_past = turn.message.content, turn.index < past
                    self._add("user", self._reader.parts(content, where, past=is_past))
                case UnmatchedToolResult():
                    self._add("user", self._orphan(turn))
                case _:
                    last_model = turn.index
                    self._model(turn)
        self._open()
        if self._contents[-1].role == "model" and not self._traits.prefill:
            self._add("user", [Part(text=_GO_ON)])
            self._ignored.add_or_reject(f"messages[{last_model}].prefill")
        for param in self._reader.left_out:
            self._ignored.add(param)
        return GeminiContents(self._contents, instructions)

    def _add(self, role: Literal["user", "model"], parts: list[Part]) -> None:
        if not parts:
            return
        if self._contents and self._contents[-1].role == role:
            self._contents[-1].parts += parts
        else:
            self._contents.append(Content(role, parts))

    def _open(self) -> None:
        """Insert a first user's turn if one is required."""
        first = self._contents[0] if self._contents else None
        calls = first is not None and any(part.function_call for part in first.parts)
        # If the first turn has calls, Google answers 400: "function call turn comes immediately
        # after a user turn".
        if first is None or (first.role == "model" and (calls or self._traits.opens_with_user)):
            self._contents.insert(0, Content("user", [Part(text=_BLANK)]))

    def _orphan(self, turn: UnmatchedToolResult) -> list[Part]:
        param = f"messages[{turn.index}]"
        self._ignored.add_or_reject(param)
        label = turn.message.tool_call_id or turn.message.name or "unknown"
        parts = self._reader.parts(turn.message.content, f"{param}.content", past=True)
        said = "\n".join(part.text for part in parts if part.text is not None)
        media = [part for part in parts if part.text is None]
        return [Part(text=f"Tool result ({label}): {said}"), *media]

    def _model(self, turn: ModelTurn) -> None:
        said, pictures = self._said(turn)
        results: list[Result] = []
        calls: list[Part] = []
        for call in turn.calls:
            part, result = self._call(call, turn, first=not calls)
            calls.append(part)
            results.append(result)
        if said and (signature := self._resolver.for_text(turn.message)):
            said[-1].thought_signature = signature
        self._add("model", said + calls)
        self._add("user", [Part(function_response=result.response) for result in results])
        self._add("user", [part for result in results for part in result.extra_parts])
        self._add("user", pictures)

    def _said(self, turn: ModelTurn) -> tuple[list[Part], list[Part]]:
        """Return the model's texts, and its pictures, which are sent back as the user's.

        The model accepts its own pictures only with signatures of megabytes, which no client keeps.
        From the user it accepts them as something to work on.
        """
        message, param = turn.message, f"messages[{turn.index}]"
        parts = self._reader.parts(message.content, f"{param}.content", past=True)
        said = [part for part in parts if part.text is not None]
        if message.refusal:
            said.append(Part(text=message.refusal))
        if message.audio is not None:
            if not said and message.audio.transcript:
                said.append(Part(text=message.audio.transcript))
            self._ignored.add_or_reject(f"{param}.audio")
        pictures = [part for part in parts if part.text is None]
        if "IMAGE" in self._traits.outputs:
            pictures += self._own_pictures(message, param)
        return said, pictures

    def _own_pictures(self, message: ChatMessage, param: str) -> list[Part]:
        """Return the pictures that the client received in ``images`` and has kept."""
        images = message.images if isinstance(message.images, list) else []
        found: list[Part] = []
        for index, image in enumerate(images):
            link = image.get("image_url") if isinstance(image, dict) else None
            url = link.get("url") if isinstance(link, dict) else link
            if isinstance(url, str) and link_kind(url) == "data":
                part = ContentPart(type="image_url", image_url=url)
                found.append(self._reader.part(part, f"{param}.images[{index}]", past=True))
        return found

    def _call(self, call: PriorToolCall, turn: ModelTurn, *, first: bool) -> tuple[Part, Result]:
        known = self._resolver.remembered(call.id)
        call_id = self._id(call, known.native_id if known is not None else None)
        name = self._names.upstream(call.name, call.namespace)
        signature = self._resolver.for_call(call.source, turn.message, known, first=first)
        part = Part(
            function_call=FunctionCall(name, call.args, call_id), thought_signature=signature
        )
        return part, self._result(call, name, call_id)

    def _result(self, call: PriorToolCall, name: str, call_id: str | None) -> Result:
        if call.result is None:
            self._ignored.add_or_reject(call.param)
            return missing_result(name, call_id)
        index, message = call.result
        result = read_result(message, f"messages[{index}]", self._reader, self._traits, name=name)
        result.response.id = call_id
        return result

    def _id(self, call: PriorToolCall, native_id: str | None) -> str | None:
        """Return the id for a call and its response: the model's own one if known.

        Repeated and empty ids are replaced, depending on their position, so that the same history
        is always written alike and stays cached.
        """
        if not self._traits.sends_ids:
            return None
        wanted = native_id or strip_signature_suffix(call.id)
        base = wanted or "call"
        while not wanted or wanted in self._ids:
            self._repeats[base] += 1
            wanted = f"{base}_{self._repeats[base]}"
        self._ids.add(wanted)
        return wanted
