"""The abilities of each Gemini model, in one table. Pure.

Source: https://ai.google.dev/gemini-api/docs/models, /thinking, /thought-signatures (read
2026-11), and recorded answers of the models themselves.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """The differences between models that a request must respect.

    The defaults are those of the newest family, and also apply to unknown names: so a moving alias
    or a future model gets the rules that the newest models share.
    """

    family: tuple[int, int] = (4, 0)
    """The generation, such as (3, 8) for ``gemini-3.8-flash``."""
    thinking: Literal["none", "budget", "level"] = "level"
    budget: tuple[int, int] = (0, 24_576)
    """Smallest and largest thinking budget in tokens, for models with budgets."""
    thinking_can_stop: bool = False
    """Whether budget 0 is accepted, even if it is below the smallest budget."""
    minimal_level: bool = False
    """Whether thinking level MINIMAL is accepted; other models answer 400."""
    signatures: Literal["none", "optional", "required"] = "required"
    """Thought signatures of function calls in the history; the upstream checks "required" ones."""
    samples: bool = False
    """Whether temperature, top_p and top_k apply; others ignore them and announce a 400."""
    output_limit: int = 65_536
    """Most tokens of one answer, including thoughts."""
    prefill: bool = False
    """Whether a conversation may end with the model's turn, which is then continued."""
    penalties: bool = False
    logprobs: bool = False
    response_media: bool = True
    """Whether a function response may contain media parts."""
    json_with_tools: bool = True
    """Whether a request may have both a JSON answer and tools."""
    mixes_tools: bool = True
    """Whether a request may have both server-side tools (search, code) and functions."""
    sends_ids: bool = True
    """Whether function calls and their responses carry ids."""
    resolution: Literal["part", "request", "none"] = "part"
    """Where a media resolution may be set."""
    functions: bool = True
    server_tools: bool = True
    validated_mode: bool = True
    """Whether function calling mode VALIDATED is supported."""
    json_output: bool = True
    system_instruction: bool = True
    image_sizes: bool = False
    """Whether a picture's size, and not only its shape, may be set."""
    speech_style: bool = False
    """Whether a speech model has a field for its style, and reads all texts aloud."""
    opens_with_user: bool = False
    """Whether the first content must be the user's."""
    outputs: frozenset[str] = frozenset({"TEXT"})
    """The supported response modalities."""


NEWEST: Final = ModelTraits()

_GEN3: Final = replace(NEWEST, family=(3, 0), samples=True, prefill=True)
_GEN2: Final = ModelTraits(
    family=(2, 5),
    thinking="budget",
    thinking_can_stop=True,
    signatures="optional",
    samples=True,
    prefill=True,
    response_media=False,
    json_with_tools=False,
    mixes_tools=False,
    # Recordings show that this host accepts ids, but others reject them: send them only if needed.
    sends_ids=False,
    resolution="request",
)
_GEN1: Final = replace(
    _GEN2,
    family=(2, 0),
    thinking="none",
    signatures="none",
    output_limit=8_192,
    penalties=True,
    logprobs=True,
    resolution="none",
    validated_mode=False,
    opens_with_user=True,
)
# Gemma is hardly documented, so nothing is sent that a model without the feature would reject.
_GEMMA: Final = replace(
    _GEN2,
    family=(0, 0),
    thinking="none",
    signatures="none",
    output_limit=32_768,
    resolution="none",
    validated_mode=False,
    server_tools=False,
)
_IMAGE: Final = replace(
    NEWEST,
    thinking="none",
    output_limit=32_768,
    functions=False,
    json_output=False,
    image_sizes=True,
    outputs=frozenset({"TEXT", "IMAGE"}),
)
_FIRST_IMAGE: Final = replace(
    _IMAGE, family=(2, 5), signatures="none", server_tools=False, image_sizes=False
)
_SPEECH: Final = replace(
    NEWEST,
    thinking="none",
    signatures="none",
    output_limit=16_384,
    functions=False,
    server_tools=False,
    json_output=False,
    system_instruction=False,
    resolution="none",
    speech_style=True,
    outputs=frozenset({"AUDIO"}),
)

# The first row whose pattern matches the start of the id applies. `gemini-4-*`, `*-latest` and
# unknown names match none and count as newest: a test for "gemini-3" would disable their features.
_TABLE: Final[tuple[tuple[str, ModelTraits], ...]] = (
    (r"gemini-2.*-tts\b|gemini-3\.1.*-tts\b", replace(_SPEECH, speech_style=False)),
    (r".*-tts\b", _SPEECH),
    (r"gemini-2.*-image\b", _FIRST_IMAGE),
    (r"gemini-3.*-image\b", replace(_IMAGE, family=(3, 0))),
    (r".*-image\b|.*nano-banana", _IMAGE),
    (r"gemma-[123]", replace(_GEMMA, functions=False, system_instruction=False)),
    (r"gemma-", _GEMMA),
    (r"gemini-1|gemini-2\.0|gemini-2-", _GEN1),
    (r"gemini-2\.5-pro", replace(_GEN2, budget=(128, 32_768), thinking_can_stop=False)),
    (r"gemini-2\.5-flash-lite", replace(_GEN2, budget=(512, 24_576))),
    (r"gemini-2\.", _GEN2),
    (r"gemini-3(\.0)?-flash", replace(_GEN3, minimal_level=True)),
    (r"gemini-3(\.0)?-", _GEN3),
    (r"gemini-3\.1-flash-lite", replace(_GEN3, family=(3, 1), minimal_level=True)),
    (r"gemini-3\.1-", replace(_GEN3, family=(3, 1))),
    (r"gemini-3\.5-flash-lite", replace(NEWEST, family=(3, 5), minimal_level=True)),
    (r"gemini-3\.5-flash", replace(_GEN3, family=(3, 5), minimal_level=True)),
    (r"gemini-3\.6-flash", replace(NEWEST, family=(3, 6), minimal_level=True)),
    (r"gemini-3\.7-", replace(NEWEST, family=(3, 7))),
    (r"gemini-3\.8-", replace(NEWEST, family=(3, 8))),
)
_COMPILED: Final = tuple((re.compile(pattern), traits) for pattern, traits in _TABLE)


@lru_cache(maxsize=256)
def traits_of(model_id: str) -> ModelTraits:
    """Return the traits of a Gemini model by its upstream id, with aliases already resolved."""
    for pattern, traits in _COMPILED:
        if pattern.match(model_id.lower()):
            return traits
    return NEWEST
