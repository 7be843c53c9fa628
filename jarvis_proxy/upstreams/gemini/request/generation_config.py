"""Converts scalar parameters of a chat request to generationConfig and similar fields. Pure.

Source: https://ai.google.dev/api/generate-content#generationconfig (read 2026-11) and recorded
refusals: `Penalty is not enabled`, `Logprobs is not enabled`, `Multiple candidates is not enabled`.
"""

from collections.abc import Sequence
from typing import Final

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.validation_errors import (
    check_range,
    invalid,
    out_of_range,
    unknown_value,
)
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.google_options import GoogleOptions
from jarvis_proxy.upstreams.gemini.request.types import (
    Content,
    GenerationConfig,
    ImageConfig,
    Part,
    SpeechMetadata,
)

MAX_LANES: Final = 8
"""Most choices of one request, each a separate upstream request; Google's limit on candidates."""

MAX_STOPS: Final = 5
_MAX_TOP_LOGPROBS: Final = 20
_SEEDS: Final = 2**31
_TINY_TOP_P: Final = 1e-6
_TIERS: Final = {"default": "standard", "flex": "flex", "priority": "priority", "fast": "priority"}
_RESOLUTIONS: Final = ("LOW", "MEDIUM", "HIGH")

_MARKS: Final = (":", ".", "!", "?", "：", "。")


def choice_count(request: ChatRequest) -> int:
    """Return the number of requested choices.

    Raises:
        ProxyError: 400, below 1 or above 8.
    """
    n = 1 if request.n is None else request.n
    check_range("n", n, 1, MAX_LANES)
    return n


def set_sampling(
    config: GenerationConfig,
    request: ChatRequest,
    options: GoogleOptions,
    traits: ModelTraits,
    ignored: IgnoredParams,
) -> None:
    """Set the sampling parameters, without those that the model ignores.

    Raises:
        ProxyError: 400, a value is out of OpenAI's range.
    """
    top_k = request.top_k if request.top_k is not None else options.top_k
    if request.temperature is not None:
        check_range("temperature", request.temperature, 0, 2)
    if request.top_p is not None:
        check_range("top_p", request.top_p, 0, 1)
    if top_k is not None and (top_k != int(top_k) or top_k < -1):
        raise invalid("top_k", "Invalid 'top_k': expected an integer of at least 1.")
    if traits.samples:
        config.temperature = request.temperature
        # Whether 0 is accepted is unverified; such a small value has the same effect.
        config.top_p = request.top_p if request.top_p != 0 else _TINY_TOP_P
        # On other servers, 0 and -1 mean "off".
        config.top_k = int(top_k) if top_k is not None and top_k >= 1 else None
    if request.seed is not None:
        config.seed = request.seed % _SEEDS
    _set_penalties(config, request, traits, ignored)
    if isinstance(request.logit_bias, dict) and request.logit_bias:
        ignored.add_or_reject("logit_bias")


def set_limits(config: GenerationConfig, request: ChatRequest, traits: ModelTraits) -> None:
    """Set the limits of the answer; its length is capped by the model's limit.

    Raises:
        ProxyError: 400, a length below 1, or more than five stop sequences.
    """
    for param in ("max_completion_tokens", "max_tokens"):
        limit: int | None = getattr(request, param)
        if limit is None:
            continue
        if limit < 1:
            raise out_of_range(param, limit, low=1)
        config.max_output_tokens = min(limit, traits.output_limit)
        break
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    stops = [stop for stop in stops if stop]
    if len(stops) > MAX_STOPS:
        message = f"Invalid 'stop': expected at most {MAX_STOPS} sequences, got {len(stops)}."
        raise invalid("stop", message, "array_above_max_length")
    config.stop_sequences = stops or None


def set_logprobs(
    config: GenerationConfig, request: ChatRequest, traits: ModelTraits, ignored: IgnoredParams
) -> None:
    """Request log probabilities if the model supports them.

    Raises:
        ProxyError: 400, more than 20 or less than 0 alternatives.
    """
    if request.top_logprobs is not None:
        check_range("top_logprobs", request.top_logprobs, 0, _MAX_TOP_LOGPROBS)
    if not request.logprobs:
        if request.top_logprobs:
            ignored.add_or_reject("top_logprobs")
        return
    if not traits.logprobs:
        ignored.add_or_reject("logprobs")
        return
    config.response_logprobs = True
    config.logprobs = request.top_logprobs


def set_media(
    config: GenerationConfig,
    options: GoogleOptions,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    resolution: str | None,
) -> None:
    """Set the resolution of media, and the look of generated pictures.

    *resolution* is from the content parts; Google's extension takes precedence.

    Raises:
        ProxyError: 400, the resolution is unknown.
    """
    config.media_resolution = resolution
    if options.media_resolution is not None:
        level = options.media_resolution.upper().removeprefix("MEDIA_RESOLUTION_")
        param = f"{options.param}.media_resolution"
        if level not in _RESOLUTIONS:
            raise unknown_value(param, options.media_resolution, _RESOLUTIONS)
        if traits.resolution == "none":
            ignored.add_or_reject(param)
        else:
            config.media_resolution = f"MEDIA_RESOLUTION_{level}"
    wish = options.image_config
    if wish is None:
        return
    if "IMAGE" in traits.outputs:
        size = wish.image_size
        if size is not None and not traits.image_sizes:
            ignored.add_or_reject(f"{options.param}.image_config.image_size")
            size = None
        config.image_config = ImageConfig(wish.aspect_ratio, size)
    else:
        ignored.add_or_reject(f"{options.param}.image_config")


def service_tier(request: ChatRequest, ignored: IgnoredParams) -> str | None:
    """Return Google's name of the service tier, None for the default."""
    if request.service_tier is None or request.service_tier == "auto":
        return None
    tier = _TIERS.get(request.service_tier)
    if tier is None:
        # This is "scale", or a future name.
        ignored.add_or_reject("service_tier")
    return tier


def note_unmapped(request: ChatRequest, ignored: IgnoredParams) -> None:
    """Note params without an equivalent in Gemini."""
    # "medium" is OpenAI's default.
    if request.verbosity not in (None, "medium"):
        ignored.add_or_reject("verbosity")
    if request.moderation is not None:
        ignored.add_or_reject("moderation")


def _set_penalties(
    config: GenerationConfig, request: ChatRequest, traits: ModelTraits, ignored: IgnoredParams
) -> None:
    for param in ("presence_penalty", "frequency_penalty"):
        penalty: float | None = getattr(request, param)
        if not penalty:
            continue
        check_range(param, penalty, -2, 2)
        if traits.penalties:
            setattr(config, param, penalty)
        else:
            ignored.add_or_reject(param)


def direct_speech(contents: list[Content], directions: Sequence[str], traits: ModelTraits) -> None:
    """Add *directions* on how to speak to the texts of *contents*, in the model's form.

    Source: https://ai.google.dev/gemini-api/docs/speech-generation and
    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/text-to-speech/
    migration-guide (read 2026-11): models before 3.8 accept directions before the text. Later ones
    read every text aloud and have a field for them. Whether Gemini's own address knows the field is
    not verified.
    """
    texts = [part for content in contents for part in content.parts if part.text is not None]
    direction = "\n".join(directions).strip()
    if not direction or not texts:
        return
    if traits.speech_style:
        for part in texts:
            part.speech_metadata = SpeechMetadata(direction)
    else:
        texts[0].text = _before(direction, texts[0])


def _before(direction: str, part: Part) -> str:
    end = "" if direction.endswith(_MARKS) else ":"
    return f"{direction}{end}\n{part.text}"
