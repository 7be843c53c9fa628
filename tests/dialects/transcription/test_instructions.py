"""The instructions for models."""

from jarvis_proxy.dialects.transcription.instructions import answer_schema, instruct
from jarvis_proxy.dialects.transcription.options import TranscriptOptions


def test_a_plain_transcript() -> None:
    said = instruct(TranscriptOptions())

    assert said.startswith("Transcribe")
    assert "no timestamps" in said


def test_all_that_is_known_is_said() -> None:
    options = TranscriptOptions(
        format="diarized_json",
        languages=("de", "en"),
        keywords=("Jarvis",),
        prompt="Dr. House",
        speakers=("Ann", "Bob"),
    )
    said = instruct(options)

    for words in ("segments", "Ann, Bob", "de, en", "Jarvis", "Dr. House"):
        assert words in said
    assert "A, B, C" in instruct(TranscriptOptions(format="diarized_json"))


def test_a_translation_is_english() -> None:
    assert "into English" in instruct(TranscriptOptions(translates=True))


def test_schemas_ask_for_what_the_format_has() -> None:
    plain = answer_schema(TranscriptOptions(format="srt"))
    words = answer_schema(TranscriptOptions(format="verbose_json", words=True))
    diarized = answer_schema(TranscriptOptions(format="diarized_json"))

    assert plain["required"] == ["language", "segments"]
    assert plain["properties"]["segments"]["items"]["required"] == ["start", "end", "text"]
    assert words["properties"]["words"]["items"]["required"] == ["start", "end", "word"]
    assert "speaker" in diarized["properties"]["segments"]["items"]["required"]
