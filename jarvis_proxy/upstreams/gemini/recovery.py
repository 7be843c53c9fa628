"""Refusals that a changed request gets past: what Google says, and what is then changed. Pure.

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
    """What a recovery attempt changes, after the upstream refused the request as it was."""

    sentinel_signatures: bool = False
    """No real signature is sent; calls of any model get the placeholder by the same rules."""
    user_last: bool = False
    """A last turn of the model gets a user's turn behind it; results of tools come last."""
    separate_tools: bool = False
    """Google's own tools are left out where there are functions."""
    no_thinking: bool = False
    """``thinkingConfig`` is left out."""
    own_thoughts: bool = True
    """Thoughts are asked for where only the proxy's settings say so."""
    schemas: SchemaForm = FULL
    """How far schemas are relaxed, see ``SchemaForm``: limits, loops and depth become words."""
    soft_choice: bool = False
    """Functions are neither forced nor, where no choice needs it, held to their schemas."""
    free_choice: bool = False
    """A choice of functions goes too, so that the model is held to no schema."""
    refused_types: frozenset[str] = frozenset()
    """MIME types that the upstream does not take."""

    def traits(self, traits: ModelTraits) -> ModelTraits:
        """Return what is known of the model, corrected by its refusals."""
        if self.sentinel_signatures:
            traits = replace(traits, signatures="required")
        if self.user_last:
            traits = replace(traits, prefill=False)
        if self.separate_tools:
            traits = replace(traits, mixes_tools=False)
        return traits


NO_FALLBACKS: Final = RequestFallbacks()


class Remedy(NamedTuple):
    """One row: a refusal that *says* this is answered by a request changed like that.

    *named* is what ``x-jarvis-ignored`` then names, as a pattern; "" where nothing that the client
    sent is left out.
    """

    says: re.Pattern[str]
    change: Callable[[RequestFallbacks], RequestFallbacks]
    named: str


def _says(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _set(**fields: bool) -> Callable[[RequestFallbacks], RequestFallbacks]:
    return lambda now: replace(now, **fields)  # type: ignore[arg-type]  # none of them is a set


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
"""Finds, in Google's words, that a thought signature is missing or not valid."""

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
    # "Thinking is not enabled for models/…", "The thinking budget (52428) is invalid.",
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
    # It names nothing. These are what is known to bring it about: many limits in schemas, modes
    # that hold the model to large schemas, and perhaps what nobody but the proxy asked for.
    Remedy(_BARE, _anything_known, rf"{_SCHEMA}|{_CHOICE}"),
    Remedy(_BARE, _set(free_choice=True), _CHOICE),
    Remedy(_MODE, _set(free_choice=True), _CHOICE),
)
"""Looked at from the top. Each change is made at most once in a call."""

_MEDIA_TYPE: Final = re.compile(r"\b(?:application|audio|image|text|video)/[\w.+-]*\w")
_MAX_READ: Final = 8192  # of a message, which comes from outside


def remedies(message: str, done: RequestFallbacks) -> Iterator[RequestFallbacks]:
    """Yield the fallbacks for a request refused with *message*, the likeliest first.

    *done* are those it had. The caller must check whether they change that request: the
    same request is not worth another try.
    """
    message = message[:_MAX_READ]
    for remedy in REMEDIES:
        if remedy.says.search(message):
            changed = remedy.change(done)
            if changed != done:
                yield changed
    if not done.refused_types and re.search("mime", message, re.IGNORECASE):
        yield replace(done, refused_types=frozenset(_MEDIA_TYPE.findall(message.lower())))
