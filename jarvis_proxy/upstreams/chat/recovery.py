"""Refusals of chat services that a changed request avoids, and the changes. Pure.

Sources: error messages as users report them (read 2026-11): openai/codex#24500, #22129,
vllm-project/vllm#41114, deepseek-ai/awesome-deepseek-integration#606, and others.
"""

import re
from collections.abc import Collection
from typing import Final

import msgspec

from jarvis_proxy.errors import ProxyError

LIMITS: Final = ("max_tokens", "max_completion_tokens")
REASONING: Final = "reasoning_content"
FORMAT: Final = "response_format"
CHOICE: Final = "tool_choice"
STRICT: Final = "strict"

_NAMED_IS_ENOUGH: Final = ("temperature", "reasoning_effort", "thinking")
"""Parameters that are left out when a refusal names them, for any reason."""
_LEFT_OUT: Final = (
    "top_p",
    "top_k",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "logprobs",
    "parallel_tool_calls",
    "service_tier",
    "prompt_cache_key",
    "stream_options",
    "verbosity",
    STRICT,
    REASONING,
)
"""Parameters that are left out when a refusal names them as not supported."""
_UNSUPPORTED: Final = re.compile(
    r"unsupported|n['o]t (?:be )?support|unavailable|unknown|unrecogni[sz]ed|unexpected|\bextra\b"
    r"|not (?:permitted|allowed|available)|invalid (?:parameter|argument|field)|deprecated"
    r"|\binstead\b|incompatible",
    re.IGNORECASE,
)
_DEMANDED: Final = re.compile(
    r"reasoning_content\b.{0,120}\b(?:must|missing|required|passed back)"
    r"|\b(?:must|missing|required)\b.{0,120}\breasoning_content",
    re.IGNORECASE | re.DOTALL,
)
_STATUSES: Final = (400, 422)
_MAX_READ: Final = 8192
"""Most characters of a message that are searched, because it comes from outside."""
_HOUR: Final = 3600.0
_MAX_MODELS: Final = 500


class RequestFallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to a request after an upstream refused it."""

    other_limit: bool = False
    """The token limit is sent under the other one of its two names."""
    without: frozenset[str] = frozenset()
    """Parameters that are left out."""
    schema_as_words: bool = False
    """A JSON schema for the answer becomes text of the system message."""
    no_thinking: bool = False
    """Thinking is off, because the reasoning that the upstream requires back is lost."""
    free_choice: bool = False
    """No tool is forced."""

    @property
    def lasting(self) -> "RequestFallbacks":
        """The fallbacks that apply to every request to the model, not only to this one."""
        return msgspec.structs.replace(self, no_thinking=False, free_choice=False)

    def __or__(self, other: "RequestFallbacks") -> "RequestFallbacks":
        return RequestFallbacks(
            other_limit=self.other_limit or other.other_limit,
            without=self.without | other.without,
            schema_as_words=self.schema_as_words or other.schema_as_words,
            no_thinking=self.no_thinking or other.no_thinking,
            free_choice=self.free_choice or other.free_choice,
        )


NO_FALLBACKS: Final = RequestFallbacks()


def remedy(
    status: int, refusal: ProxyError, sent: Collection[str], done: RequestFallbacks
) -> RequestFallbacks | None:
    """Return the fallbacks for a refused request, None if no remedy is known.

    *sent* are the names of the request's parameters; *done* are the fallbacks that it already had.
    Each change is made once.
    """
    if status not in _STATUSES or refusal.code == "context_length_exceeded":
        return None
    said = f"{refusal.param or ''} {refusal.message[:_MAX_READ]}"
    named = [name for name in sent if _names(said, name)]
    for change in _changes(said, named, sent):
        if (changed := done | change) != done:
            return changed
    return None


def demands_reasoning(said: str) -> bool:
    """Return whether a refusal requires the upstream's own reasoning."""
    return _DEMANDED.search(said[:_MAX_READ]) is not None


def _changes(said: str, named: list[str], sent: Collection[str]) -> list[RequestFallbacks]:
    """Return the changes that *said* suggests, the most likely one first."""
    if demands_reasoning(said):
        return [RequestFallbacks(no_thinking=True)]
    changes: list[RequestFallbacks] = []
    is_unsupported = _UNSUPPORTED.search(said) is not None
    if FORMAT in sent and (FORMAT in named or _names(said, "json_schema")):
        changes += [
            RequestFallbacks(schema_as_words=True),
            RequestFallbacks(without=frozenset((FORMAT,))),
        ]
    if CHOICE in named:
        changes.append(RequestFallbacks(free_choice=True))
    if is_unsupported and any(name in sent and _names(said, name) for name in LIMITS):
        changes.append(RequestFallbacks(other_limit=True))
    for name in named:
        if name in _NAMED_IS_ENOUGH or (is_unsupported and name in _LEFT_OUT):
            changes.append(RequestFallbacks(without=frozenset((name,))))
    return changes


def _names(said: str, name: str) -> bool:
    words = re.escape(name).replace("_", "[_ ]")
    return re.search(rf"(?<![A-Za-z0-9_]){words}(?![A-Za-z0-9_])", said, re.IGNORECASE) is not None


class LearntFallbacks:
    """Remembers for an hour what an upstream's models do not accept.

    *now* is in seconds on the monotonic clock.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, tuple[RequestFallbacks, float]] = {}

    def of(self, model: str, now: float) -> RequestFallbacks:
        """Return the fallbacks that requests to *model* have from the start."""
        fallbacks, since = self._found.get(model, (NO_FALLBACKS, now))
        if now - since <= _HOUR:
            return fallbacks
        self._found.pop(model, None)
        return NO_FALLBACKS

    def note(self, model: str, fallbacks: RequestFallbacks, now: float) -> None:
        """Remember those of *fallbacks* that apply to every request to *model*."""
        lasting = fallbacks.lasting
        if lasting == NO_FALLBACKS or lasting == self.of(model, now):
            return
        while len(self._found) >= _MAX_MODELS:
            self._found.pop(next(iter(self._found)))
        self._found[model] = lasting, now
