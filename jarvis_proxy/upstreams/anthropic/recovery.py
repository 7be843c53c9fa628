"""Refusals that a changed request gets past: what Anthropic says, and what is then changed. Pure.

Sources: recorded refusals, and error messages as users report them (read 2026-11):
router-for-me/CLIProxyAPI#2172, sourcebot-dev/sourcebot PR 1125, docker/docker-agent#569.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from jarvis_proxy.upstreams.anthropic.errors import is_signature_fault

_MAX_READ: Final = 8192  # of a message, which comes from outside


class RequestFallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed in a request after Anthropic refused it as it was."""

    no_past_thinking: bool = False
    """No thinking block is sent back; a budget for thinking goes with them."""
    thinking: Literal["as asked", "adaptive", "budget", "off"] = "as asked"
    """How thinking is asked for, whatever is known of the model."""
    high_effort: bool = False
    """Efforts above high become high."""
    without: frozenset[str] = frozenset()
    """These parameters are left out."""
    free_schemas: bool = False
    """The model is held to no schema: that of the answer stands in words."""
    no_cache: bool = False
    """Nothing is marked for the cache."""
    user_last: bool = False
    """The user has the last word: the model is not to continue its own."""
    max_tokens: int | None = None
    """Most tokens that the upstream takes."""


NO_FALLBACKS: Final = RequestFallbacks()


class _Remedy(NamedTuple):
    """One row: a refusal that *says* this is answered by a request changed like that."""

    says: Callable[[str], object]
    change: Callable[[RequestFallbacks, str], RequestFallbacks]


def _pattern(text: str) -> Callable[[str], object]:
    return re.compile(text, re.IGNORECASE | re.DOTALL).search


def _set(**fields: object) -> Callable[[RequestFallbacks, str], RequestFallbacks]:
    return lambda now, _: msgspec.structs.replace(now, **fields)


def _think(
    how: Literal["adaptive", "budget"],
) -> Callable[[RequestFallbacks, str], RequestFallbacks]:
    """Ask for thinking in the other way, once: what was refused too is not asked for again."""
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
"""Looked at from the top. Each change is made at most once in a call."""


def remedies(message: str, done: RequestFallbacks) -> Iterator[RequestFallbacks]:
    """Yield the fallbacks for a request refused with *message*, the likeliest first.

    *done* are those it had. The caller must check whether they change that request: the same
    request is not worth another try.
    """
    message = message[:_MAX_READ]
    for remedy in _REMEDIES:
        if remedy.says(message):
            changed = remedy.change(done, message)
            if changed != done:
                yield changed
