"""Instructions that make a model write a transcript and nothing else. Pure."""

from typing import Any, Final

from jarvis_proxy.dialects.transcription.options import TranscriptOptions

Json = dict[str, Any]

_TRANSCRIBE: Final = "Transcribe the speech in the audio word for word, in the language spoken."
_TRANSLATE: Final = "Translate the speech in the audio into English. Give the English text only."
_PLAIN: Final = (
    "Answer with that text only: no comment, no heading, no timestamps, no names of speakers. "
    "If nobody speaks, answer with nothing."
)
_TIMED: Final = (
    "Divide it into segments of about a sentence, in the order of the audio, with the times at "
    "which each begins and ends. If nobody speaks, give no segments."
)
_TIME: Final = "Time from the start of the audio, as HH:MM:SS.mmm."


def instruct(options: TranscriptOptions) -> str:
    """Return the instruction for one transcript."""
    lines = [_TRANSLATE if options.translates else _TRANSCRIBE]
    lines.append(_PLAIN if options.is_plain else _TIMED)
    if options.is_diarized:
        known = ", ".join(options.speakers)
        lines.append(
            f"Name the speaker of each segment, of these: {known}."
            if known
            else "Name the speaker of each segment: A, B, C, in the order of their first words."
        )
    if options.languages:
        lines.append(f"Language of the audio (ISO 639-1): {', '.join(options.languages)}.")
    if options.keywords:
        lines.append(f"Words that may occur: {', '.join(options.keywords)}.")
    if options.prompt:
        lines.append(f"Style, spelling and context to follow, never to repeat: {options.prompt}")
    return "\n".join(lines)


def answer_schema(options: TranscriptOptions) -> Json:
    """Return the JSON Schema of an answer with segments."""
    timed = _object(start=_time(), end=_time(), text={"type": "string"})
    if options.is_diarized:
        timed = _object(**timed["properties"], speaker={"type": "string"})
    fields: Json = {
        "language": {"type": "string", "description": "Name in English, in lower case."},
        "segments": {"type": "array", "items": timed},
    }
    if options.words:
        word = _object(start=_time(), end=_time(), word={"type": "string"})
        fields["words"] = {"type": "array", "items": word}
    return _object(**fields)


def _object(**properties: object) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _time() -> Json:
    return {"type": "string", "description": _TIME}
