"""How a speech model is told in which way to speak. Pure.

Source: https://ai.google.dev/gemini-api/docs/speech-generation and
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/text-to-speech/
migration-guide (read 2026-11): models before 3.8 take the direction in front of the text, later
ones read every text aloud and have a field for it. That Gemini's own address knows the field is
not verified.
"""

from collections.abc import Sequence
from typing import Final

from jarvis_proxy.upstreams.gemini.model_traits import ModelTraits
from jarvis_proxy.upstreams.gemini.request.types import Content, Part, SpeechMetadata

_MARKS: Final = (":", ".", "!", "?", "：", "。")


def direct_speech(contents: list[Content], directions: Sequence[str], traits: ModelTraits) -> None:
    """Give the texts of *contents* their *directions*, in the way that the model knows."""
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
