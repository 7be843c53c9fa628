"""Converts Google's generationConfig to parameters of the canonical request. Pure.

Source: https://ai.google.dev/api/generate-content#generationconfig (read 2026-11).
"""

from typing import Any, Final

from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.validation_errors import invalid, unknown_value
from jarvis_proxy.dialects.generate_content.schemas import from_google, with_small_types
from jarvis_proxy.dialects.generate_content.types import (
    GenerationConfig,
    JsonObject,
    ThinkingConfig,
)

_SAME: Final = (
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("max_output_tokens", "max_completion_tokens"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
)
_MAX_LOGPROBS: Final = 20
_LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh")
_UNSPECIFIED: Final = "thinking_level_unspecified"
_TEXTS: Final = ("", "TEXT", "MODALITY_UNSPECIFIED")
_JSON: Final = "application/json"
_ENUM: Final = "text/x.enum"


def set_config(chat: JsonObject, config: GenerationConfig, ignored: IgnoredParams) -> str | None:
    """Set the parameters of *chat*; return text for the system message if one needs it.

    Raises:
        ProxyError: 400 with the path, the request asks for an answer other than text.
    """
    _check_form(config, ignored)
    for name, ours in _SAME:
        if (value := getattr(config, name)) is not None:
            # Google's topK is a number with a fraction; services that count want a whole one.
            chat[ours] = int(value) if name == "top_k" and value.is_integer() else value
    if config.candidate_count not in (None, 1):
        chat["n"] = config.candidate_count
    if stops := [stop for stop in config.stop_sequences or () if stop]:
        chat["stop"] = stops
    _set_logprobs(chat, config, ignored)
    if config.thinking_config is not None:
        _set_thinking(chat, config.thinking_config)
    return _set_format(chat, config)


def shows_thoughts(config: GenerationConfig) -> bool:
    """Return whether the client wants to see thoughts."""
    return config.thinking_config is not None and config.thinking_config.include_thoughts is True


def _check_form(config: GenerationConfig, ignored: IgnoredParams) -> None:
    asked = [modality.upper() for modality in config.response_modalities or ()]
    if any(modality not in _TEXTS for modality in asked):
        path = "generationConfig.responseModalities"
        raise invalid(path, f"This model answers in text only ('{path}').", "unsupported_value")
    for name in ("speechConfig", "imageConfig", "mediaResolution"):
        if getattr(config, _snake(name)) is not None:
            ignored.add_or_reject(f"generationConfig.{name}")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _set_logprobs(chat: JsonObject, config: GenerationConfig, ignored: IgnoredParams) -> None:
    if not config.response_logprobs:
        return
    chat["logprobs"] = True
    if config.logprobs is not None:
        if config.logprobs > _MAX_LOGPROBS:
            ignored.add_or_reject("generationConfig.logprobs")
        chat["top_logprobs"] = min(config.logprobs, _MAX_LOGPROBS)


def _set_thinking(chat: JsonObject, thinking: ThinkingConfig) -> None:
    if thinking.include_thoughts is not None:
        chat["include_thoughts"] = thinking.include_thoughts
    level = (thinking.thinking_level or _UNSPECIFIED).lower()
    budget = thinking.thinking_budget
    if level != _UNSPECIFIED:
        if level not in _LEVELS:
            path = "generationConfig.thinkingConfig.thinkingLevel"
            raise unknown_value(path, level, _LEVELS)
        chat["reasoning_effort"] = level
    elif budget == 0:
        chat["reasoning_effort"] = "none"
    elif budget is not None and budget > 0:
        chat["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _set_format(chat: JsonObject, config: GenerationConfig) -> str | None:
    mime, schema = _format(config)
    if mime == _ENUM and isinstance(schema, dict) and isinstance(schema.get("enum"), list):
        values = compact(schema["enum"])
        return f"Answer with exactly one of these values, and with nothing else: {values}"
    if schema is not None:
        form = {"name": "response", "schema": schema}
        chat["response_format"] = {"type": "json_schema", "json_schema": form}
    elif mime == _JSON:
        chat["response_format"] = {"type": "json_object"}
    return None


def _format(config: GenerationConfig) -> tuple[str, Any]:
    """Return the answer's MIME type and JSON Schema, from any of the fields that hold them."""
    path = "generationConfig"
    text = None if config.response_format is None else config.response_format.text
    mime = (config.response_mime_type or (text and text.mime_type) or "").lower()
    if config.response_schema is not None:
        return mime, from_google(config.response_schema, f"{path}.responseSchema")
    schema, path = config.response_json_schema, f"{path}.responseJsonSchema"
    if schema is None and text is not None:
        schema = text.schema if text.json_schema is None else text.json_schema
        path = "generationConfig.responseFormat.text"
    return mime, None if schema is None else with_small_types(schema, path)
