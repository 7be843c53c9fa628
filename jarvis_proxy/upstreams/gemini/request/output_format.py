"""Sets the form of the answer: JSON, pictures, speech. Pure.

Source: https://ai.google.dev/gemini-api/docs/structured-output, /image-generation and
/speech-generation (read 2026-11).
"""

from typing import Final

from jarvis_proxy.canonical.chat_request import ChatRequest, ResponseFormat
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.canonical.json_values import compact
from jarvis_proxy.canonical.validation_errors import invalid, missing, unknown_value
from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.google_options import GoogleOptions
from jarvis_proxy.upstreams.gemini.request.schema.clean import clean_as
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from jarvis_proxy.upstreams.gemini.request.schema.keywords import Schema
from jarvis_proxy.upstreams.gemini.request.types import (
    GenerationConfig,
    PrebuiltVoice,
    SpeechConfig,
    VoiceConfig,
)
from jarvis_proxy.wire.work_budget import WorkBudget

_JSON: Final = "application/json"
_ONLY_JSON: Final = "Answer with JSON only, without code fences or other text."
_WITH_SCHEMA: Final = "The JSON must follow this JSON Schema:\n"

# Maps OpenAI's voices to Google's nearest ones in register; other names count as Google's.
_VOICES: Final = {
    "alloy": "Kore",
    "ash": "Charon",
    "ballad": "Algieba",
    "cedar": "Iapetus",
    "coral": "Aoede",
    "echo": "Orus",
    "fable": "Puck",
    "marin": "Leda",
    "nova": "Zephyr",
    "onyx": "Fenrir",
    "sage": "Sulafat",
    "shimmer": "Achernar",
    "verse": "Umbriel",
}
_AUDIO_FORMATS: Final = ("wav", "pcm16")


def set_format(
    config: GenerationConfig,
    request: ChatRequest,
    traits: ModelTraits,
    ignored: IgnoredParams,
    *,
    with_tools: bool,
    form: SchemaForm = FULL,
    work: WorkBudget | None = None,
) -> str | None:
    """Set a JSON answer; return an instruction if the form must be stated as text.

    Older models reject a JSON answer next to tools: then the tools stay, and the form becomes text.
    *form* is how far the schema is relaxed; *work* is the request's budget.

    Raises:
        ProxyError: 400, the format is unknown, or the schema cannot be read.
    """
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return None
    schema = _schema(wanted, ignored, form, work or WorkBudget())
    if not traits.json_output:
        ignored.add_or_reject("response_format")
        return None
    if with_tools and not traits.json_with_tools:
        ignored.add_or_reject("response_format")
        return f"{_ONLY_JSON} {_WITH_SCHEMA}{compact(schema)}" if schema else _ONLY_JSON
    config.response_mime_type = _JSON
    config.response_json_schema = schema
    return None


def set_modalities(
    config: GenerationConfig,
    request: ChatRequest,
    options: GoogleOptions,
    traits: ModelTraits,
    ignored: IgnoredParams,
) -> None:
    """Set the kinds of output.

    Raises:
        ProxyError: 400, the model lacks an output, or the audio format is neither WAV nor PCM.
    """
    param, named = "modalities", request.modalities
    if options.response_modalities is not None:
        param, named = f"{options.param}.response_modalities", options.response_modalities
    wanted = list(dict.fromkeys(name.upper() for name in named or ()))
    if "AUDIO" in traits.outputs:
        # A speech model has no other output, and requires this one.
        wanted = ["AUDIO"]
    for name in wanted:
        if name not in traits.outputs:
            message = f"This model does not give the modality '{name.lower()[:64]}'."
            raise invalid(param, message, "unsupported_value")
    if wanted and wanted != ["TEXT"]:
        config.response_modalities = wanted
    if "AUDIO" not in traits.outputs:
        if request.audio is not None:
            ignored.add_or_reject("audio")
        return
    _set_speech(config, request)


def _schema(
    wanted: ResponseFormat, ignored: IgnoredParams, form: SchemaForm, work: WorkBudget
) -> Schema | None:
    match wanted.type:
        case "json_schema":
            if wanted.json_schema is None:
                raise missing("response_format.json_schema")
            param, given = "response_format.json_schema.schema", wanted.json_schema.schema
            description = wanted.json_schema.description
        case "json_object":
            param, given, description = "response_format.schema", wanted.schema, None
        case None:
            raise missing("response_format.type")
        case _:
            known = ("text", "json_object", "json_schema")
            raise unknown_value("response_format.type", wanted.type, known)
    if not isinstance(given, dict) or not given:
        return None
    schema, relaxed = clean_as(given, form, param=param, work=work)
    if relaxed:
        ignored.add(param)
    if description and "description" not in schema and "$ref" not in schema:
        schema["description"] = description
    return schema or None


def _set_speech(config: GenerationConfig, request: ChatRequest) -> None:
    audio = request.audio
    if audio is None:
        return
    form = audio.format or "wav"
    if form not in _AUDIO_FORMATS:
        message = f"Gemini speaks 'wav' and 'pcm16' only, not '{form[:64]}'."
        raise invalid("audio.format", message)
    voice = audio.voice.get("id") if isinstance(audio.voice, dict) else audio.voice
    if isinstance(voice, str) and voice:
        name = _VOICES.get(voice.lower(), voice)
        config.speech_config = SpeechConfig(VoiceConfig(PrebuiltVoice(name)))
