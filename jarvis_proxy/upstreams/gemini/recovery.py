"""Refusals of Google's that a changed request avoids, and the changes. Pure.

Source: Google's error messages as users report them (read 2026-11): googleapis/python-genai#660,
#2133, #2170, #2293, google-gemini/gemini-cli#1953, #5923, #14025, vercel/ai#21192, and others.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SAFE_DEPTH, SchemaForm


@dataclass(frozen=True, slots=True)
class RequestFallbacks:
    """The changes of a recovery attempt, after the upstream refused the request."""

    sentinel_signatures: bool = False
    """No real signature is sent; calls of any model get the placeholder by the same rules."""
    user_last: bool = False
    """A user's turn follows a last turn of the model; tool results come last in a turn."""
    separate_tools: bool = False
    """Google's own tools are left out if there are functions."""
    no_thinking: bool = False
    """``thinkingConfig`` is left out."""
    own_thoughts: bool = True
    """Thoughts are requested even if only the proxy's settings ask for them."""
    schemas: SchemaForm = FULL
    """How far schemas are relaxed, see ``SchemaForm``: limits, loops and depth become text."""
    soft_choice: bool = False
    """Functions are not forced, and their schemas are not enforced unless a choice requires it."""
    free_choice: bool = False
    """A choice of functions is dropped too, so that no schema is enforced."""
    refused_types: frozenset[str] = frozenset()
    """MIME types that the upstream does not accept."""

    def traits(self, traits: ModelTraits) -> ModelTraits:
        """Return the model's traits, corrected by its refusals."""
        if self.sentinel_signatures:
            traits = replace(traits, signatures="required")
        if self.user_last:
            traits = replace(traits, prefill=False)
        if self.separate_tools:
            traits = replace(traits, mixes_tools=False)
        return traits


NO_FALLBACKS: Final = RequestFallbacks()


class Remedy(NamedTuple):
    """One row: if a refusal *says* this, the request is changed by *change*.

    *named* is a pattern for what ``x-jarvis-ignored`` then names; "" if nothing from the client is
    left out.
    """

    says: re.Pattern[str]
    change: Callable[[RequestFallbacks], RequestFallbacks]
    named: str


def _says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _set(**fields: bool) -> Callable[[RequestFallbacks], RequestFallbacks]:
    return lambda now: replace(now, **fields)  # type: ignore[arg-type]  # no value is a set


def _no_limits(now: RequestFallbacks) -> RequestFallbacks:
    return replace(now, schemas=replace(now.schemas, limits=False))


def _no_loops(now: RequestFallbacks) -> RequestFallbacks:
    return replace(now, schemas=replace(now.schemas, loops=False))


def _shallow(now: RequestFallbacks) -> RequestFallbacks:
    return replace(now, schemas=replace(now.schemas, depth=SAFE_DEPTH))


def _anything_known(now: RequestFallbacks) -> RequestFallbacks:
    return replace(_no_limits(now), soft_choice=True, own_thoughts=False)


_SCHEMA: Final = r"(?:tools|functions)\[\d+\]\S*|response_format\.\S+"
_CHOICE: Final = r"tool_choice|function_call|tools\.strict"
_COMPLEX: Final = _says(
    r"too many states|schema\b.{0,80}\btoo (?:complex|large|many)|too complex\b.{0,80}\bschema"
)
_LOOP: Final = _says(r"\bref loops?\b|\b(?:circular|cyclic|recursive)\b.{0,80}\b(?:ref|schema)")
_DEEP: Final = _says(
    r"nesting depth|nested too deep|too deeply nested|maximum (?:schema )?depth|recursion limit"
)
_MODE: Final = re.compile(
    r"(?i:\bmode\b).{0,40}\b(?:ANY|VALIDATED)\b|\b(?:ANY|VALIDATED)\b.{0,40}(?i:\bmode\b)"
)
_BARE: Final = _says(r"contains an invalid argument|\A\W*invalid[ _]argument\W*\Z")

SIGNATURE_FAULT: Final = _says(r"thought.?signature")
"""Matches Google's messages about a missing or invalid thought signature."""

REMEDIES: Final = (
    Remedy(SIGNATURE_FAULT, _set(sentinel_signatures=True), ""),
    Remedy(
        _says(
            r"\bend(?:s|ing)? with (?:a |the )?(?:user|model)\b"
            r"|\blast (?:turn|content|message)\b.{0,40}\buser\b"
        ),
        _set(user_last=True),
        r"messages\[\d+\]\.prefill|messages\.order|input\[\d+\]\S*",
    ),
    Remedy(
        _says(r"server.?side.?tool.?invocations|context circulation"),
        _set(separate_tools=True),
        r"tools\[\d+\]|web_search_options",
    ),
    # Examples: "Thinking is not enabled for models/…", "The thinking budget (52428) is invalid.",
    # "Thinking_config.include_thoughts is only enabled when …", "thinking_level is not supported".
    Remedy(
        _says(r"\bthinking|include.?thoughts|\bbudget -?\d+ is invalid|\breasoning"),
        _set(no_thinking=True),
        r"reasoning_effort|reasoning\S*|thinking|include_thoughts|\S+\.thinking_config",
    ),
    Remedy(_DEEP, _shallow, _SCHEMA),
    Remedy(_LOOP, _no_loops, _SCHEMA),
    Remedy(_LOOP, _shallow, _SCHEMA),
    Remedy(_COMPLEX, _no_limits, _SCHEMA),
    Remedy(_COMPLEX, _set(soft_choice=True), _CHOICE),
    Remedy(_MODE, _set(soft_choice=True), _CHOICE),
    # This message names no cause. Known causes are many limits in schemas, modes that enforce large
    # schemas, and perhaps options that only the proxy added.
    Remedy(_BARE, _anything_known, rf"{_SCHEMA}|{_CHOICE}"),
    Remedy(_BARE, _set(free_choice=True), _CHOICE),
    Remedy(_MODE, _set(free_choice=True), _CHOICE),
)
"""Checked in this order. Each change is made at most once in a call."""

_MEDIA_TYPE: Final = re.compile(r"\b(?:application|audio|image|text|video)/[\w.+-]*\w")
_MAX_READ: Final = 8192
"""Most characters of a message that are searched, because it comes from outside."""


def remedies(message: str, done: RequestFallbacks) -> Iterator[RequestFallbacks]:
    """Yield the fallbacks for a request refused with *message*, the most likely one first.

    *done* are those that it already had. The caller must check that they change the request: the
    same request is not worth another attempt.
    """
    message = message[:_MAX_READ]
    for remedy in REMEDIES:
        if remedy.says.search(message):
            changed = remedy.change(done)
            if changed != done:
                yield changed
    if not done.refused_types and re.search("mime", message, re.IGNORECASE):
        yield replace(done, refused_types=frozenset(_MEDIA_TYPE.findall(message.lower())))
