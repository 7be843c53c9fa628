"""The official SDK on /v1/audio/transcriptions and /translations with Gemini behind it."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from jarvis_proxy.dialects.chat.speech import wav_header
from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.forms import CONTENT_TYPE, form, part
from tests.support.google_media import SAMPLES, GoogleMedia, frame
from tests.support.raw_client import fetch

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MODEL = "gemini-2.5-flash"
WAV = wav_header(24000, len(SAMPLES)) + SAMPLES
FILE = ("speech.wav", WAV)
TEXT = "Ruby is a programming language."
SEGMENTS = {
    "language": "English",
    "segments": [
        {"start": "00:00:00.000", "end": "00:00:01.500", "text": "Ruby is", "speaker": "A"},
        {"start": "00:00:01.500", "end": "00:00:03.250", "text": " a language.", "speaker": "B"},
    ],
    "words": [{"start": "00:00:00.000", "end": "00:00:00.500", "word": "Ruby"}],
}
AUDIO_USAGE = {
    "promptTokenCount": 133,
    "candidatesTokenCount": 10,
    "totalTokenCount": 143,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 14},
        {"modality": "AUDIO", "tokenCount": 119},
    ],
}


class Scene:
    """A proxy with a listening Gemini behind it, and the SDK in front."""

    def __init__(self, proxy: Proxy, google: GoogleMedia) -> None:
        self.proxy = proxy
        self.google = google
        self.client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)
        self.create: Any = self.client.audio.transcriptions.create


@contextlib.asynccontextmanager
async def a_scene(**env: str) -> AsyncIterator[Scene]:
    google = GoogleMedia(frame([{"text": TEXT}], "STOP", usageMetadata=AUDIO_USAGE))
    async with (
        google.upstream.running(),
        running_proxy(gemini=google.upstream.base_url, **env) as proxy,
    ):
        scene = Scene(proxy, google)
        yield scene
        await scene.client.close()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with a_scene() as scene:
        yield scene


async def events_of(scene: Scene, *, stream: bool) -> list[Any]:
    """Return the events of a stream; a whole answer that is no error is one."""
    answer = await scene.create(model=MODEL, file=FILE, stream=stream)
    return [event async for event in answer] if stream else [answer]


def answer_with(scene: Scene, *frames: Json) -> None:
    scene.google.frames = [{**one, "usageMetadata": AUDIO_USAGE} for one in frames]


async def test_a_transcript_and_what_google_is_asked(scene: Scene) -> None:
    said = await scene.client.audio.transcriptions.create(
        model=MODEL, file=FILE, language="en", prompt="Rails, gems", temperature=0.2
    )

    assert said.text == TEXT
    assert said.usage is not None
    assert said.usage.type == "tokens"
    assert (said.usage.input_tokens, said.usage.output_tokens) == (133, 10)
    assert said.usage.input_token_details is not None
    assert said.usage.input_token_details.audio_tokens == 119
    assert scene.google.paths == [f"/v1beta/models/{MODEL}:generateContent"]
    (sent,) = scene.google.sent
    words, part = sent["contents"][0]["parts"]
    assert part["inlineData"]["mimeType"] == "audio/wav"
    assert base64.b64decode(part["inlineData"]["data"]) == WAV
    assert sent["generationConfig"]["temperature"] == 0.2
    assert "responseJsonSchema" not in sent["generationConfig"]
    assert words["text"].startswith("Transcribe")
    assert "Rails, gems" in words["text"]
    (line,) = [line for line in scene.proxy.logged().splitlines() if "transcriptions" in line]
    assert "prompt_tokens=133 completion_tokens=10" in line


async def test_text(scene: Scene) -> None:
    assert await scene.create(model=MODEL, file=FILE, response_format="text") == f"{TEXT}\n"


@pytest.mark.parametrize(
    ("form", "file"),
    [
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:01,500\nRuby is\n\n"
            "2\n00:00:01,500 --> 00:00:03,250\na language.\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nRuby is\n\n"
            "00:00:01.500 --> 00:00:03.250\na language.\n",
        ),
    ],
)
async def test_subtitles(scene: Scene, form: str, file: str) -> None:
    answer_with(scene, frame([{"text": json.dumps(SEGMENTS)}], "STOP"))

    assert await scene.create(model=MODEL, file=FILE, response_format=form) == file
    (sent,) = scene.google.sent
    config = sent["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert set(config["responseJsonSchema"]["properties"]) == {"language", "segments"}


async def test_verbose_json_has_segments_and_words(scene: Scene) -> None:
    answer_with(scene, frame([{"text": json.dumps(SEGMENTS)}], "STOP"))
    said = await scene.client.audio.transcriptions.create(
        model=MODEL,
        file=FILE,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )

    assert (said.text, said.language, said.duration) == ("Ruby is a language.", "english", 3.25)
    assert said.segments is not None
    assert said.words is not None
    assert [(one.id, one.start, one.end) for one in said.segments] == [(0, 0, 1.5), (1, 1.5, 3.25)]
    assert (said.words[0].word, said.words[0].end) == ("Ruby", 0.5)
    assert said.usage is not None
    assert said.usage.seconds == 4
    (sent,) = scene.google.sent
    assert "words" in sent["generationConfig"]["responseJsonSchema"]["properties"]


async def test_speakers(scene: Scene) -> None:
    answer_with(scene, frame([{"text": json.dumps(SEGMENTS)}], "STOP"))
    said = await scene.create(model=MODEL, file=FILE, response_format="diarized_json")

    assert [(one.speaker, one.text) for one in said.segments] == [
        ("A", "Ruby is"),
        ("B", "a language."),
    ]


async def test_a_stream_of_deltas(scene: Scene) -> None:
    answer_with(scene, frame([{"text": "Ruby "}]), frame([{"text": "is."}], "STOP"))
    stream = await scene.create(model=MODEL, file=FILE, stream=True)
    events = [event async for event in stream]

    assert [event.type for event in events] == [
        "transcript.text.delta",
        "transcript.text.delta",
        "transcript.text.done",
    ]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == "Ruby is."
    assert events[-1].usage.total_tokens == 143
    assert scene.google.paths == [f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"]


async def test_a_stream_of_speakers(scene: Scene) -> None:
    whole = json.dumps(SEGMENTS)
    answer_with(scene, frame([{"text": whole[:50]}]), frame([{"text": whole[50:]}], "STOP"))
    stream = await scene.create(
        model=MODEL, file=FILE, stream=True, response_format="diarized_json"
    )
    first, second, done = [event async for event in stream]

    assert (first.type, first.speaker, second.end) == ("transcript.text.segment", "A", 3.25)
    assert done.text == "Ruby is a language."


async def test_what_cannot_be_streamed_comes_whole(scene: Scene) -> None:
    answer_with(scene, frame([{"text": json.dumps(SEGMENTS)}], "STOP"))
    raw = await scene.client.audio.transcriptions.with_raw_response.create(
        model=MODEL,
        file=FILE,
        response_format="srt",
        stream=True,
        include=["logprobs"],
        chunking_strategy="auto",
    )

    assert raw.headers["x-jarvis-ignored"] == "include, chunking_strategy, stream"
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_a_translation(scene: Scene) -> None:
    said = await scene.client.audio.translations.create(model=MODEL, file=FILE)

    assert said.text == TEXT
    (sent,) = scene.google.sent
    assert "into English" in sent["contents"][0]["parts"][0]["text"]


async def test_silence_is_an_empty_transcript(scene: Scene) -> None:
    answer_with(scene, frame([], "STOP"))

    assert (await scene.create(model=MODEL, file=FILE)).text == ""


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"response_format": "diarized"}, "response_format"),
        ({"temperature": 2}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"timestamp_granularities": ["line"]}, "timestamp_granularities"),
        ({"file": ("a.wav", b"")}, "file"),
        ({"model": "gemini-2.5-flash-preview-tts"}, "model"),
    ],
)
async def test_a_wrong_request_is_a_400_that_names_the_param(
    scene: Scene, asked: Json, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await scene.create(**{"model": MODEL, "file": FILE, **asked})

    assert refused.value.param == param
    assert scene.google.sent == []


async def test_a_body_that_is_no_form_has_no_file(scene: Scene) -> None:
    answer = await fetch(scene.proxy.port, "/v1/audio/transcriptions", {"model": MODEL}, BEARER)

    assert (answer.status, answer.error()["param"]) == (400, "file")


async def test_a_file_that_is_too_large_is_refused_unsent() -> None:
    async with a_scene(MAX_BODY_MB="1") as scene:
        with pytest.raises(openai.APIStatusError) as refused:
            await scene.create(model=MODEL, file=("a.wav", WAV + bytes(2**20)))

        assert refused.value.status_code == 413
        assert scene.google.sent == []


async def test_googles_refusal_is_openais_error(scene: Scene) -> None:
    scene.google.error = (429, {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"})

    with pytest.raises(openai.RateLimitError):
        await scene.create(model=MODEL, file=FILE)


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (frame([{"text": "Rub"}], "SAFETY"), "moderation_blocked"),
        (frame([{"text": "Rub"}], "MAX_TOKENS"), "upstream_truncated"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_not_all_of_it_is_an_error(
    scene: Scene, last: Json, code: str, stream: bool
) -> None:
    answer_with(scene, last)

    with pytest.raises(openai.APIError) as failed:
        await events_of(scene, stream=stream)
    assert failed.value.code == code


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_breaks_off_is_an_error(scene: Scene, stream: bool) -> None:
    answer_with(scene, frame([{"text": "Ruby "}]), frame([{"text": "is."}], "STOP"))
    scene.google.cut = True

    with pytest.raises(openai.APIError):
        await events_of(scene, stream=stream)


async def test_segments_that_cannot_be_read_are_an_error(scene: Scene) -> None:
    answer_with(scene, frame([{"text": "Sorry?"}], "STOP"))

    with pytest.raises(openai.InternalServerError):
        await scene.create(model=MODEL, file=FILE, response_format="srt")


async def test_what_is_said_is_in_no_log(scene: Scene) -> None:
    answer_with(scene, frame([{"text": "canaryanswer"}], "STOP"))
    await scene.create(model=MODEL, file=("canaryname.wav", WAV), prompt="canaryprompt")

    logged = scene.proxy.logged()
    assert "audio/transcriptions" in logged
    assert "canary" not in logged


async def test_a_limited_key_cannot_name_two_models() -> None:
    body = form(part("model", MODEL), part("file", WAV), part("model", "gemini-2.5-pro"))
    async with a_scene(KEY_TESTER_MODELS=MODEL) as scene:
        headers = {**BEARER, "Content-Type": CONTENT_TYPE}
        answer = await fetch(scene.proxy.port, "/v1/audio/transcriptions", body, headers)

        assert (answer.status, answer.error()["code"]) == (400, "invalid_multipart")
        assert scene.google.sent == []


async def test_a_file_is_counted_as_memory_while_it_is_held() -> None:
    async with a_scene(MAX_BODY_MB="1", MAX_INFLIGHT_MB="1") as scene:
        with pytest.raises(openai.APIStatusError) as refused:
            await scene.create(model=MODEL, file=("a.wav", WAV + bytes(2**20 - 8192)))

        assert refused.value.code == "overloaded"
        assert scene.google.sent == []
