"""Refusals of Anthropic's that a changed request avoids, and the changes. Pure.

Sources: recorded refusals, and error messages as users report them (read 2026-11):
router-for-me/CLIProxyAPI#2172, sourcebot-dev/sourcebot PR 1125, docker/docker-agent#569.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from jarvis_proxy.upstreams.anthropic.errors import is_signature_fault

_MAX_READ: Final = 8192
"""Most characters of a message that are searched, because it comes from outside."""


class RequestFallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """The changes to a request after Anthropic refused it."""

    no_past_thinking: bool = False
    """No thinking block is sent back; a budget for thinking is then impossible too."""
    thinking: Literal["as asked", "adaptive", "budget", "off"] = "as asked"
    """How to request thinking, overriding the model's traits."""
    high_effort: bool = False
    """Efforts above high become high."""
    without: frozenset[str] = frozenset()
    """Parameters that are left out."""
    free_schemas: bool = False
    """The model is bound to no schema; the answer's schema becomes text."""
    no_cache: bool = False
    """Nothing is marked for the cache."""
    user_last: bool = False
    """The conversation ends with a user's turn, so that the model does not continue its own."""
    max_tokens: int | None = None
    """Most tokens that the upstream accepts."""


NO_FALLBACKS: Final = RequestFallbacks()


class _Remedy(NamedTuple):
    """One row: if a refusal *says* this, the request is changed by *change*."""

    says: Callable[[str], object]
    change: Callable[[RequestFallbacks, str], RequestFallbacks]


def _pattern(text: str) -> Callable[[str], object]:
    return re.compile(text, re.IGNORECASE | re.DOTALL).search


def _set(**fields: object) -> Callable[[RequestFallbacks, str], RequestFallbacks]:
    return lambda now, _: msgspec.structs.replace(now, **fields)


def _think(
    how: Literal["adaptive", "budget"],
) -> Callable[[RequestFallbacks, str], RequestFallbacks]:
    """Request thinking in the other way, once: a way that was also refused is not tried again."""
    return lambda now, _: (
        msgspec.structs.replace(now, thinking=how) if now.thinking == "as asked" else now
    )


_SAMPLING: Final = re.compile(r"\b(temperature|top_p|top_k)\b", re.IGNORECASE)
_LIMIT: Final = re.compile(r"max_tokens\D{1,4}(\d{1,9}) ?> ?(\d{1,9})")
_CONTEXT: Final = re.compile(r"exceed context limit: (\d{1,9}) \+ (\d{1,9}) > (\d{1,9})")


def _without_sampling(now: RequestFallbacks, message: str) -> RequestFallbacks:
    named = frozenset(name.lower() for name in _SAMPLING.findall(message))
    return msgspec.structs.replace(now, without=now.without | named)


def _shorter(now: RequestFallbacks, message: str) -> RequestFallbacks:
    most: int | None = None
    if found := _LIMIT.search(message):
        most = int(found[2])
    elif found := _CONTEXT.search(message):
        most = int(found[3]) - int(found[1])
    is_new = most is not None and most >= 1 and now.max_tokens is None
    return msgspec.structs.replace(now, max_tokens=most) if is_new else now


_REMEDIES: Final = (
    _Remedy(is_signature_fault, _set(no_past_thinking=True)),
    _Remedy(_pattern(r"exceed context limit|max_tokens"), _shorter),
    _Remedy(_pattern(r"prefill|must end with a user message"), _set(user_last=True)),
    _Remedy(_pattern(r"\beffort|xhigh"), _set(high_effort=True)),
    # `"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" ...`
    _Remedy(
        _pattern(r"thinking.type.(?:enabled|disabled).{0,40}not supported|use .{0,20}adaptive"),
        _think("adaptive"),
    ),
    _Remedy(_pattern(r"\badaptive\b"), _think("budget")),
    _Remedy(_pattern(r"\bthinking\b|budget_tokens"), _set(thinking="off")),
    _Remedy(_SAMPLING.search, _without_sampling),
    _Remedy(_pattern(r"cache_control"), _set(no_cache=True)),
    _Remedy(
        _pattern(r"output_(?:config|format)|schema|structured output|\bstrict\b"),
        _set(free_schemas=True),
    ),
    _Remedy(
        _pattern(r"output_config|\beffort"),
        lambda now, _: msgspec.structs.replace(now, without=now.without | {"effort"}),
    ),
)
"""Checked in this order. Each change is made at most once in a call."""


def remedies(message: str, done: RequestFallbacks) -> Iterator[RequestFallbacks]:
    """Yield the fallbacks for a request refused with *message*, the most likely one first.

    *done* are those that it already had. The caller must check that they change the request: the
    same request is not worth another attempt.
    """
    message = message[:_MAX_READ]
    for remedy in _REMEDIES:
        if remedy.says(message):
            changed = remedy.change(done, message)
            if changed != done:
                yield changed
