"""Converts a generateContent request to the canonical request. Pure.

Source: https://ai.google.dev/api/generate-content (read 2026-11).
"""

from typing import Final

import msgspec

from jarvis_proxy.canonical.bounds import MAX_MESSAGES, check_length
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.request import CanonicalRequest, MessageOrigin
from jarvis_proxy.canonical.validation_errors import invalid
from jarvis_proxy.dialects.generate_content.contents import read_contents
from jarvis_proxy.dialects.generate_content.generation_config import set_config, shows_thoughts
from jarvis_proxy.dialects.generate_content.param_map import GenerateContentParams
from jarvis_proxy.dialects.generate_content.tools import read_tools, set_tools
from jarvis_proxy.dialects.generate_content.types import (
    JsonObject,
    Request,
    SafetySetting,
    decode_object,
    unknown_fields,
)
from jarvis_proxy.dialects.generate_content.types import read_request as typed_request

_OFF: Final = ("OFF", "BLOCK_NONE", "HARM_BLOCK_THRESHOLD_UNSPECIFIED")


def read_request(body: bytes, *, model: str, strict: bool = False) -> CanonicalRequest:
    """Return the body of generateContent as a canonical request.

    *model* is the client's name of the model. *strict* rejects what has no equivalent, instead of
    ignoring it.

    Raises:
        ProxyError: 400 with the path as param; `invalid_json`.
    """
    return canonical_request(decode_object(body), model=model, strict=strict)


def canonical_request(value: JsonObject, *, model: str, strict: bool = False) -> CanonicalRequest:
    """Return a decoded body as a canonical request, like ``read_request``."""
    request = typed_request(value)
    ignored = IgnoredParams(strict=strict)
    for name in unknown_fields(value):
        ignored.add_or_reject(name)
    return _canonical(request, ignored, model)


def _canonical(request: Request, ignored: IgnoredParams, model: str) -> CanonicalRequest:
    contents = request.contents
    if not contents:
        raise invalid("contents", "contents are required", "missing_required_parameter")
    if isinstance(contents, list):
        check_length("contents", len(contents), MAX_MESSAGES)
    _check_rest(request, ignored)
    messages, places = read_contents(request.system_instruction, contents, ignored)
    if not messages or messages[-1]["role"] == "system":
        raise invalid("contents", "contents are required", "missing_required_parameter")
    tools = read_tools(request.tools, ignored, model=model)
    chat: JsonObject = {"messages": messages}
    set_tools(chat, tools, request.tool_config, ignored)
    words = set_config(chat, request.generation_config, ignored)
    if words is not None:
        _add_to_system(messages, places, words)
    return CanonicalRequest(
        body=msgspec.json.encode(chat),
        params=GenerateContentParams(places, tools.paths),
        ignored=ignored.names,
        show_thoughts=shows_thoughts(request.generation_config),
    )


def _check_rest(request: Request, ignored: IgnoredParams) -> None:
    if request.cached_content:
        message = "'cachedContent' is known to Google's models only. Send the contents themselves."
        raise invalid("cachedContent", message, "unsupported_parameter")
    if not all(map(_is_off, request.safety_settings or ())):
        ignored.add_or_reject("safetySettings")


def _is_off(setting: SafetySetting) -> bool:
    return (setting.threshold or _OFF[-1]).upper() in _OFF


def _add_to_system(messages: list[JsonObject], places: list[MessageOrigin], words: str) -> None:
    """Append *words* to the system message."""
    if messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": words})
        places.insert(0, MessageOrigin("generationConfig.responseMimeType"))
        return
    content = messages[0]["content"]
    if isinstance(content, str):
        messages[0]["content"] = f"{content}\n\n{words}"
    else:
        messages[0]["content"] = [*content, {"type": "text", "text": words}]
