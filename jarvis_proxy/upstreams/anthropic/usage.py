"""Converts Anthropic's token counts to the proxy's. Pure.

Source: https://platform.claude.com/docs/en/api/messages, ``usage`` (read 2026-11). Its
``input_tokens`` exclude tokens read from and written to a cache; the proxy's prompt tokens include
both.
"""

from typing import Final

from msgspec import UNSET

from jarvis_proxy.upstreams.json_values import Fields, fields_of
from jarvis_proxy.wire.chat_types import ChatUsage, CompletionTokensDetails, PromptTokensDetails

_COUNTS: Final = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)
_HOUR: Final = "ephemeral_1h_input_tokens"
_MAX_COUNT: Final = 1_000_000_000
_TIERS: Final = {"standard": "default", "priority": "priority"}


class UsageCounter:
    """The counts of one upstream message; each event overwrites the counts that it repeats."""

    __slots__ = ("_counts", "_for_an_hour", "_reasoning", "service_tier", "web_searches")

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._reasoning = 0
        self._for_an_hour = 0
        self.service_tier: str | None = None
        """OpenAI's name of the tier that served the request, once it is known."""
        self.web_searches = 0

    def take(self, value: object) -> None:
        """Add the ``usage`` of an event; anything but an object is ignored."""
        fields = fields_of(value)
        self._counts |= {name: _count(fields[name]) for name in _COUNTS if _is_count(fields, name)}
        written = fields_of(fields.get("cache_creation"))
        if _is_count(written, _HOUR):
            self._for_an_hour = _count(written[_HOUR])
        details = fields_of(fields.get("output_tokens_details"))
        if _is_count(details, "thinking_tokens"):
            self._reasoning = _count(details["thinking_tokens"])
        searches = fields_of(fields.get("server_tool_use"))
        if _is_count(searches, "web_search_requests"):
            self.web_searches = _count(searches["web_search_requests"])
        if isinstance(tier := fields.get("service_tier"), str):
            self.service_tier = _TIERS.get(tier)

    @property
    def usage(self) -> ChatUsage | None:
        """The token counts so far, None if the upstream reported none."""
        if not self._counts:
            return None
        plain, cached, written, completion = (self._counts.get(name, 0) for name in _COUNTS)
        prompt = plain + cached + written
        return ChatUsage(
            prompt,
            completion,
            prompt + completion,
            PromptTokensDetails(
                cached_tokens=cached,
                cache_write_tokens=written,
                cache_write_1h_tokens=min(self._for_an_hour, written) or UNSET,
            ),
            CompletionTokensDetails(reasoning_tokens=min(self._reasoning, completion)),
        )

    @property
    def prompt(self) -> ChatUsage | None:
        """The token counts of the prompt alone; None while the upstream has reported none."""
        usage = self.usage
        if usage is None or not usage.prompt_tokens:
            return None
        prompt = usage.prompt_tokens
        return ChatUsage(prompt, 0, prompt, usage.prompt_tokens_details)


def _is_count(fields: Fields, name: str) -> bool:
    value = fields.get(name)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> int:
    return min(max(0, int(value)), _MAX_COUNT) if isinstance(value, int | float) else 0
