"""The chat completions service of a request, and what it is known to support. Pure."""

import re
from typing import Final
from urllib.parse import urlsplit

import msgspec

from jarvis_proxy.canonical.sealed_state import chat_owner

_OPENAI: Final = "api.openai.com"
_SWITCHING: Final = ("deepseek.com", "z.ai", "bigmodel.cn", "moonshot.ai", "moonshot.cn")
"""Hosts whose services support ``thinking: {"type": "disabled"}``.

Sources: https://api-docs.deepseek.com, https://docs.z.ai, https://platform.moonshot.ai/docs (read
2026-11).
"""
_BUILT_IN: Final = "openai"
"""The upstream of the settings ``OPENAI_*``."""
_MODEL: Final = re.compile(r"(?:ft:)?(?:gpt-(?!oss)|chatgpt-|codex-|o\d)")
"""Names of OpenAI's models, but for those that others run."""
_REASONING: Final = re.compile(r"o\d|gpt-(?:[5-9]|[1-9]\d)")
_TIERS: Final = frozenset(("auto", "default", "flex", "priority", "scale"))


class ChatTarget(msgspec.Struct, frozen=True):
    """A chat completions service and the requested model.

    *upstream* is its name in the settings. *is_openai*: it is OpenAI, perhaps behind a gateway, not
    a compatible service. *switches_thinking*: it supports ``thinking: {"type": "disabled"}``.
    """

    upstream: str
    model: str
    is_openai: bool = False
    switches_thinking: bool = False

    def for_model(self, model: str) -> "ChatTarget":
        """Return the target for *model* of the same service.

        With ``OPENAI_BASE_URL`` OpenAI may be called through a gateway: then its models tell. A
        local service at that address has others.
        """
        is_openai = self.upstream == _BUILT_IN and _MODEL.match(model) is not None
        return msgspec.structs.replace(self, model=model, is_openai=self.is_openai or is_openai)

    @property
    def owner(self) -> str | None:
        """The owner of its sealed reasoning; None for OpenAI, whose chat API shows no reasoning."""
        return None if self.is_openai else chat_owner(self.upstream)

    @property
    def limit_name(self) -> str:
        """The service's name for the limit on an answer's tokens."""
        return "max_completion_tokens" if self.is_openai else "max_tokens"

    @property
    def is_openais_reasoning_model(self) -> bool:
        """Whether it is an OpenAI model that always thinks; these accept no ``temperature``."""
        return self.is_openai and _REASONING.match(self.model.rpartition("/")[2]) is not None

    def takes_tier(self, tier: object) -> bool:
        """Return whether *tier* is one of the service's tiers."""
        return self.is_openai and tier in _TIERS


def chat_target(upstream: str, base_url: str, model: str) -> ChatTarget:
    """Return the target for *model* of the service at *base_url*."""
    host = urlsplit(base_url).hostname or ""
    return ChatTarget(
        upstream=upstream,
        model=model,
        is_openai=host == _OPENAI or host.endswith(f".{_OPENAI}"),
        switches_thinking=any(host == one or host.endswith(f".{one}") for one in _SWITCHING),
    )
