"""What each Gemini model can do: the one table of what is known of models. Pure.

Source: https://ai.google.dev/gemini-api/docs/models, /thinking, /thought-signatures (read
2026-11), and recorded answers of the models themselves.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTraits:
    """The differences between models that a request has to mind.

    The defaults are those of the newest family, which an unknown name is taken for: a moving
    alias or a model of next month then gets the rules that the newest models share.
    """

    family: tuple[int, int] = (4, 0)
    """Generation, as in ``gemini-3.8-flash``: (3, 8)."""
    thinking: Literal["none", "budget", "level"] = "level"
    budget: tuple[int, int] = (0, 24_576)
    """Least and largest thinking budget in tokens, where thinking is set by budget."""
    thinking_can_stop: bool = False
    """Budget 0 is taken, below the least budget if need be."""
    minimal_level: bool = False
    """Thinking level MINIMAL is taken; elsewhere it is a 400."""
    signatures: Literal["none", "optional", "required"] = "required"
    """Thought signatures on function calls in history; "required" is checked by the upstream."""
    samples: bool = False
    """Temperature, top_p and top_k count. Elsewhere Google ignores them and warns of a 400."""
    output_limit: int = 65_536
    """Most tokens of one answer, thoughts included."""
    prefill: bool = False
    """A conversation may end with the model's turn, which is then continued."""
    penalties: bool = False
    logprobs: bool = False
    response_media: bool = True
    """A function response may hold media parts."""
    json_with_tools: bool = True
    """A JSON answer may be asked for next to tools."""
    mixes_tools: bool = True
    """Server-side tools (search, code) may stand next to functions."""
    sends_ids: bool = True
    """Function calls and their responses carry ids."""
    resolution: Literal["part", "request", "none"] = "part"
    """Where a media resolution may be set."""
    functions: bool = True
    server_tools: bool = True
    validated_mode: bool = True
    """Function calling mode VALIDATED is known."""
    json_output: bool = True
    system_instruction: bool = True
    image_sizes: bool = False
    """Pictures may be asked for in a size, and not in a shape only."""
    speech_style: bool = False
    """A speech model has a field for how to speak, and reads all texts aloud."""
    opens_with_user: bool = False
    """The first content must be the user's."""
    outputs: frozenset[str] = frozenset({"TEXT"})
    """Response modalities."""


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
    # Harmless on this host by all recordings, yet refused on others: left out where not needed.
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
# What Gemma takes is hardly documented: nothing is sent that a model without the feature refuses.
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

# The first row whose pattern matches the start of the id. `gemini-4-*`, `*-latest` and names not
# yet known match none and count as newest: a test for "gemini-3" would turn their features off.
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
    """Return what is known of a Gemini model by its upstream id, aliases already resolved."""
    for pattern, traits in _COMPILED:
        if pattern.match(model_id.lower()):
            return traits
    return NEWEST
