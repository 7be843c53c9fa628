"""Directions for speech models."""

import pytest

from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.speech_style import direct_speech
from jarvis_proxy.upstreams.gemini.request.types import Blob, Content, Part, SpeechMetadata

OLD = ("gemini-2.5-flash-preview-tts", "gemini-2.5-pro-tts", "gemini-3.1-flash-tts-preview")
NEW = ("gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts")


def contents() -> list[Content]:
    return [Content("user", [Part(inline_data=Blob("a/b", "")), Part("One."), Part("Two.")])]


@pytest.mark.parametrize("model", OLD)
@pytest.mark.parametrize(
    ("direction", "text"), [("Say it loud", "Say it loud:\nOne."), ("Sad.", "Sad.\nOne.")]
)
def test_older_models_get_it_in_front(model: str, direction: str, text: str) -> None:
    given = contents()
    direct_speech(given, [direction], traits_of(model))

    assert [part.text for part in given[0].parts] == [None, text, "Two."]


@pytest.mark.parametrize("model", NEW)
def test_newer_models_get_it_beside_each_text(model: str) -> None:
    given = contents()
    direct_speech(given, ["Sad,", "slow"], traits_of(model))

    sad = SpeechMetadata("Sad,\nslow")
    assert [part.text for part in given[0].parts] == [None, "One.", "Two."]
    assert [part.speech_metadata for part in given[0].parts] == [None, sad, sad]


@pytest.mark.parametrize("directions", [[], [" "]])
def test_without_a_direction_nothing_changes(directions: list[str]) -> None:
    given = contents()
    direct_speech(given, directions, traits_of(OLD[0]))

    assert given == contents()
