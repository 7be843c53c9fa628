"""The abilities of each Claude model, by the version in its name. Pure.

Source: https://platform.claude.com/docs/en/about-claude/models/overview and its migration guides
(read 2026-11), and recorded answers of the models themselves.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """The differences between models that a request must respect.

    The defaults are those of the newest models, and also apply to unknown names.
    """

    thinking: Literal["none", "budget", "adaptive"] = "adaptive"
    """How to request thinking: not at all, by a token budget, or by effort."""
    output_limit: int = 128_000
    """Most tokens of one answer, including thinking."""
    samples: bool = False
    """Whether temperature, top_p and top_k are accepted; the newest models answer 400."""
    one_sampler: bool = True
    """Whether temperature and top_p exclude each other."""
    prefill: bool = False
    """Whether a conversation may end with an assistant message, which the model continues."""
    json_schema: bool = True
    """Whether ``output_config.format`` is supported."""


NEWEST: Final = ModelTraits()

_V46: Final = replace(NEWEST, samples=True)
_V45: Final = replace(_V46, thinking="budget", output_limit=64_000, prefill=True)
_V41: Final = replace(_V45, json_schema=False)
_V40: Final = replace(_V41, one_sampler=False)
_V35: Final = replace(_V40, thinking="none", output_limit=8_192)
_V30: Final = replace(_V35, output_limit=4_096)

# From the newest to the oldest version; the first one not newer than the model applies.
_BY_VERSION: Final = (
    ((4, 7), NEWEST),
    ((4, 6), _V46),
    ((4, 5), _V45),
    ((4, 1), _V41),
    ((3, 7), _V40),
    ((3, 5), _V35),
)
_OPUS_4_LIMIT: Final = 32_000
"""Most tokens of Opus 4 and 4.1, half of Sonnet 4's."""

# Examples: claude-opus-4-5-20251101, claude-3-5-haiku-latest, claude-sonnet-4.6, claude-4-sonnet. A
# number of more than two digits is a date.
_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD: Final = re.compile(r"claude-(?:v\d|instant)")


@lru_cache(maxsize=256)
def traits_of(model_id: str) -> ModelTraits:
    """Return the traits of a model by its upstream id, with aliases already resolved."""
    name = model_id.lower()
    if _OLD.search(name):
        return _V30
    found = _VERSION.search(name)
    if found is None:
        return NEWEST
    version = int(found[1]), int(found[2] or 0)
    traits = next((traits for least, traits in _BY_VERSION if version >= least), _V30)
    if "opus" in name and (4, 0) <= version < (4, 5):
        return replace(traits, output_limit=_OPUS_4_LIMIT)
    return traits
