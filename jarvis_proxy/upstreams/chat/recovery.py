"""Refusals that a changed chat request gets past: what is said, and what is then changed. Pure.

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
"""They are left out when a refusal names them, whatever it says of them."""
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
"""They are left out when a refusal names them and says that they are not supported."""
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
_MAX_READ: Final = 8192  # of a message, which comes from outside
_HOUR: Final = 3600.0
_MOST_MODELS: Final = 500


class RequestFallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed in a request after an upstream refused it as it was."""

    other_limit: bool = False
    """The limit of tokens is sent under the other one of its two names."""
    without: frozenset[str] = frozenset()
    """These parameters are left out."""
    schema_as_words: bool = False
    """A JSON schema for the answer stands in the system's words."""
    no_thinking: bool = False
    """Thinking is off: the reasoning that the upstream wants back is lost."""
    free_choice: bool = False
    """No tool is forced."""

    @property
    def lasting(self) -> "RequestFallbacks":
        """What holds for every request to the model, and not for this request only."""
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
    """Return the fallbacks for a refused request; None: nothing is known that would help.

    *sent* names the parameters of the request; *done* are the fallbacks it had. Each change is
    made once.
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
    """Return whether a refusal wants the upstream's own reasoning back."""
    return _DEMANDED.search(said[:_MAX_READ]) is not None


def _changes(said: str, named: list[str], sent: Collection[str]) -> list[RequestFallbacks]:
    """Return the changes that *said* calls for, the likeliest first."""
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
    """What an upstream's models were found not to take, for an hour each.

    *now* is always on the monotonic clock, in seconds.
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
        """Keep what of *fallbacks* holds for every request to *model*."""
        lasting = fallbacks.lasting
        if lasting == NO_FALLBACKS or lasting == self.of(model, now):
            return
        while len(self._found) >= _MOST_MODELS:
            self._found.pop(next(iter(self._found)))
        self._found[model] = lasting, now
