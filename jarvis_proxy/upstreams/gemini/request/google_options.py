"""Google's extension object in a chat request, in three places and two spellings. Pure.

Source: https://ai.google.dev/gemini-api/docs/openai#extra-body (read 2026-11). OpenAI's SDK turns
``extra_body={"google": …}`` into a top-level ``google``; callers without it copy ``extra_body``
literally from the documentation, some of them nested twice.
"""

import re
from typing import Final

import msgspec

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import convert, unknown_value, wrong_type
from jarvis_proxy.upstreams.gemini.request.types import SafetySetting

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")

_CATEGORIES: Final = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_RETIRED_CATEGORY: Final = "CIVIC_INTEGRITY"
_THRESHOLDS: Final = (
    "BLOCK_LOW_AND_ABOVE",
    "BLOCK_MEDIUM_AND_ABOVE",
    "BLOCK_ONLY_HIGH",
    "BLOCK_NONE",
    "OFF",
)


class ThinkingOptions(msgspec.Struct):
    """``thinking_config``."""

    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool | None = None


class ImageOptions(msgspec.Struct):
    """``image_config``."""

    aspect_ratio: str | None = None
    image_size: str | None = None


class GoogleOptions(msgspec.Struct):
    """The supported fields of the object; *param* is its location."""

    param: str = "google"
    thinking_config: ThinkingOptions | None = None
    cached_content: str | None = None
    thought_tag_marker: object = None
    """An option of the chat API's answer."""
    safety_settings: object = None
    image_config: ImageOptions | None = None
    media_resolution: str | None = None
    response_modalities: list[str] | None = None
    top_k: float | None = None


class _SafetyWish(msgspec.Struct):
    category: str
    threshold: str


_KEYS: Final = frozenset(GoogleOptions.__struct_fields__) - {"param"}
_NESTED: Final = {
    "thinking_config": frozenset(ThinkingOptions.__struct_fields__),
    "image_config": frozenset(ImageOptions.__struct_fields__),
}


def read_google_options(request: ChatRequest, ignored: IgnoredParams) -> GoogleOptions:
    """Return Google's extensions in a request; unknown keys are noted.

    Raises:
        ProxyError: 400, a value of the wrong type.
    """
    merged: dict[str, object] = {}
    where = ""
    for param, value in _places(request):
        if not isinstance(value, dict):
            raise wrong_type(param, "an object", value)
        where = where or param
        for key, item in _known(value, _KEYS, param, ignored).items():
            merged.setdefault(key, item)
    options = convert(merged, GoogleOptions, where)
    options.param = where or options.param
    return options


def safety_settings(
    value: object, param: str, ignored: IgnoredParams
) -> list[SafetySetting] | None:
    """Return safety settings in Google's spelling; for a repeated category the last one counts.

    Raises:
        ProxyError: 400, the value is no list of objects, or has an unknown category or threshold.
    """
    if value is None:
        return None
    found: dict[str, SafetySetting] = {}
    for index, wish in enumerate(convert(value, list[_SafetyWish], param)):
        where = f"{param}[{index}]"
        category = wish.category.upper().removeprefix("HARM_CATEGORY_")
        threshold = wish.threshold.upper()
        if threshold not in _THRESHOLDS:
            raise unknown_value(f"{where}.threshold", wish.threshold, _THRESHOLDS)
        if category == _RETIRED_CATEGORY:
            # The category is deprecated; some models answer 400.
            ignored.add_or_reject(where)
            continue
        if category not in _CATEGORIES:
            raise unknown_value(f"{where}.category", wish.category, _CATEGORIES)
        found[category] = SafetySetting(f"HARM_CATEGORY_{category}", threshold)
    return list(found.values()) or None


def _places(request: ChatRequest) -> list[tuple[str, object]]:
    places = [("google", request.google)]
    outer = request.extra_body
    for prefix in ("extra_body", "extra_body.extra_body"):
        if not isinstance(outer, dict):
            break
        places.append((f"{prefix}.google", outer.get("google")))
        outer = outer.get("extra_body")
    return [(param, value) for param, value in places if value is not None]


def _known(
    value: dict[str, object], known: frozenset[str], param: str, ignored: IgnoredParams
) -> dict[str, object]:
    """Return an object's known keys in snake case, without nulls; note the others as ignored."""
    found: dict[str, object] = {}
    for key, item in value.items():
        name = _CAMEL.sub(r"_\1", key).lower()
        if item is None:
            continue
        if name not in known:
            ignored.add_or_reject(f"{param}.{key}")
        elif name in _NESTED and isinstance(item, dict):
            found[name] = _known(item, _NESTED[name], f"{param}.{key}", ignored)
        else:
            found[name] = item
    return found
