"""The official SDK on /v1/audio/speech with Gemini behind it: files, streams, events, failures."""

import asyncio
import base64
import contextlib
import io
import json
import shutil
import subprocess
import wave
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from jarvis_proxy.server.sound_encoder import SoundEncoder
from tests.conftest import BEARER, KEY, Proxy, running_proxy
from tests.support.eventually import eventually
from tests.support.google_media import SAMPLES, GoogleMedia, blob, frame
from tests.support.raw_client import connect, fetch

pytestmark = pytest.mark.slow

Json = dict[str, Any]
MODEL = "gemini-2.5-flash-preview-tts"
NEWER = "gemini-3.8-flash-tts"
SPEECH = "/v1/audio/speech"
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


class Scene:
    """A proxy with a speaking Gemini behind it, and the SDK in front."""

    def __init__(self, proxy: Proxy, google: GoogleMedia) -> None:
        self.proxy = proxy
        self.google = google
        self.client = AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY, max_retries=0)

    async def events(self, **asked: str) -> list[Json]:
        """Return the events of a speech that is asked for with *asked*."""
        body: Json = {"model": MODEL, "voice": "alloy", "input": "Hi", "stream_format": "sse"}
        body |= asked
        answer = await fetch(self.proxy.port, SPEECH, body, BEARER)
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.body.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@contextlib.asynccontextmanager
async def a_scene(**env: str) -> AsyncIterator[Scene]:
    half = len(SAMPLES) // 2 - 1  # a piece may end within a sample
    google = GoogleMedia(
        frame([blob(SAMPLES[:half])]),
        frame([blob(SAMPLES[half:])]),
        frame([], "STOP"),
    )
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


def whole(scene: Scene) -> None:
    """Have Gemini give all of the sound in one answer."""
    scene.google.frames = [frame([blob(SAMPLES)], "STOP")]


def samples_of(wav: bytes) -> bytes:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        samples: bytes = file.readframes(file.getnframes())
        return samples


async def test_a_wav_file_and_what_google_is_asked(scene: Scene) -> None:
    whole(scene)
    answer = await scene.client.audio.speech.create(
        model=MODEL, voice="alloy", input="Hello.", instructions="Whisper", response_format="wav"
    )

    assert samples_of(answer.content) == SAMPLES
    assert answer.response.headers["content-type"] == "audio/wav"
    assert scene.google.paths == [f"/v1beta/models/{MODEL}:generateContent"]
    (sent,) = scene.google.sent
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "Whisper:\nHello."}]}]
    assert sent["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    (line,) = [line for line in scene.proxy.logged().splitlines() if "audio/speech" in line]
    assert "prompt_tokens=11 completion_tokens=111" in line


async def test_googles_own_voices_and_a_style_that_is_not_read_aloud(scene: Scene) -> None:
    scene.google.frames = [frame([blob(SAMPLES)], "STOP")]
    answer = await scene.client.audio.speech.create(
        model=NEWER, voice="Zubenelgenubi", input="Hi", instructions="Sad.", response_format="pcm"
    )

    assert answer.content == SAMPLES
    assert answer.response.headers["content-type"] == "audio/pcm"
    (sent,) = scene.google.sent
    assert sent["contents"][0]["parts"] == [{"text": "Hi", "speechMetadata": {"style": "Sad."}}]
    voice = sent["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]
    assert voice == {"voiceName": "Zubenelgenubi"}


@pytest.mark.parametrize("form", ["wav", "pcm"])
async def test_a_whole_wav_file_of_googles_is_taken_apart(scene: Scene, form: str) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24000)
        writer.writeframes(SAMPLES)
    scene.google.frames = [frame([blob(file.getvalue(), "audio/wav")], "STOP")]
    body: Json = {"model": NEWER, "voice": "Kore", "input": "Hi", "response_format": form}

    answer = await fetch(scene.proxy.port, SPEECH, body, BEARER)

    assert (samples_of(answer.body) if form == "wav" else answer.body) == SAMPLES


async def test_raw_sound_comes_as_the_model_speaks(scene: Scene) -> None:
    scene.google.gate = asyncio.Event()
    got = b""
    async with scene.client.audio.speech.with_streaming_response.create(
        model=MODEL, voice="nova", input="Hi", response_format="pcm", stream_format="audio"
    ) as answer:
        assert answer.headers["content-type"] == "audio/pcm"
        async for piece in answer.iter_bytes():
            got += piece
            scene.google.gate.set()  # the rest is not even spoken before

    assert got == SAMPLES
    assert scene.google.paths == [f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"]


async def test_a_streamed_wav_file_has_a_header_without_length(scene: Scene) -> None:
    answer = await scene.client.audio.speech.create(
        model=MODEL, voice="nova", input="Hi", response_format="wav", stream_format="audio"
    )

    assert answer.content[:4] == b"RIFF"
    assert answer.content[40:44] == b"\xff" * 4
    assert answer.content[44:] == SAMPLES


@needs_ffmpeg
@pytest.mark.parametrize("form", ["mp3", "wav"])
async def test_a_file_stays_one_if_a_client_sends_stream(scene: Scene, form: str) -> None:
    """Speech has no ``stream``, yet some clients send it; the answer once was an empty stream."""
    whole(scene)
    body: Json = {"model": MODEL, "voice": "alloy", "input": "Hi", "response_format": form}
    answer = await fetch(scene.proxy.port, SPEECH, {**body, "stream": True}, BEARER)

    assert answer.headers["content-type"] == {"mp3": "audio/mpeg", "wav": "audio/wav"}[form]
    assert answer.body[:4] == b"RIFF" if form == "wav" else len(answer.body) > 100


async def test_events(scene: Scene) -> None:
    *deltas, done = await scene.events(response_format="pcm")

    assert {event["type"] for event in deltas} == {"speech.audio.delta"}
    assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == SAMPLES
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 11, "output_tokens": 111, "total_tokens": 122},
    }


@needs_ffmpeg
@pytest.mark.parametrize(
    ("form", "content_type", "codec"),
    [
        ("mp3", "audio/mpeg", "mp3"),
        ("opus", "audio/ogg", "opus"),
        ("aac", "audio/aac", "aac"),
        ("flac", "audio/flac", "flac"),
    ],
)
async def test_other_formats_are_encoded(
    scene: Scene, form: Any, content_type: str, codec: str, tmp_path: Path
) -> None:
    whole(scene)
    answer = await scene.client.audio.speech.create(
        model=MODEL, voice="alloy", input="Hi", response_format=form
    )

    assert answer.response.headers["content-type"] == content_type
    file = tmp_path / "speech"
    file.write_bytes(answer.content)
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name,channels"]
    probe += ["-of", "csv=p=0", str(file)]
    run = partial(subprocess.run, probe, stdout=subprocess.PIPE, text=True)
    said = await asyncio.to_thread(run)
    assert said.stdout.strip() == f"{codec},1"


@needs_ffmpeg
async def test_mp3_is_the_default_and_may_come_as_events(scene: Scene) -> None:
    whole(scene)
    *deltas, done = await scene.events()

    sound = b"".join(base64.b64decode(event["audio"]) for event in deltas)
    assert sound[:2] in (b"\xff\xf3", b"\xff\xfb")
    assert done["usage"]["output_tokens"] == 111


@needs_ffmpeg
async def test_speed_is_changed_where_there_is_an_encoder(scene: Scene) -> None:
    whole(scene)
    asked: Any = {"model": MODEL, "voice": "alloy", "input": "Hi", "response_format": "wav"}
    twice = await scene.client.audio.speech.create(**asked, speed=2.0)
    slow = await scene.client.audio.speech.create(**asked, speed=0.25)

    assert len(samples_of(twice.content)) == pytest.approx(len(SAMPLES) / 2, rel=0.3)
    assert len(samples_of(slow.content)) == pytest.approx(len(SAMPLES) * 4, rel=0.3)
    assert "x-jarvis-ignored" not in twice.response.headers


async def test_speed_is_ignored_in_a_stream(scene: Scene) -> None:
    answer = await scene.client.audio.speech.create(
        model=MODEL, voice="a", input="Hi", response_format="pcm", stream_format="audio", speed=2
    )

    assert answer.content == SAMPLES
    assert answer.response.headers["x-jarvis-ignored"] == "speed"


async def test_without_ffmpeg_there_are_two_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    async with a_scene() as scene:
        whole(scene)
        with pytest.raises(openai.BadRequestError, match="ffmpeg is not installed") as refused:
            await scene.client.audio.speech.create(model=MODEL, voice="alloy", input="Hi")
        assert refused.value.param == "response_format"
        assert scene.google.sent == []  # nothing was asked for, and nothing billed
        answer = await scene.client.audio.speech.create(
            model=MODEL, voice="alloy", input="Hi", response_format="wav", speed=2
        )

    assert samples_of(answer.content) == SAMPLES
    assert answer.response.headers["x-jarvis-ignored"] == "speed"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input": ""}, "input"),
        ({"voice": None}, "voice"),
        ({"voice": ""}, "voice"),
        ({"voice": 7}, "voice"),
        ({"response_format": "ogg"}, "response_format"),
        ({"stream_format": "chunks"}, "stream_format"),
        ({"speed": 5}, "speed"),
        ({"speed": "fast"}, "speed"),
        ({"model": "gemini-3.5-flash"}, "model"),
    ],
)
async def test_a_wrong_request_is_a_400_that_names_the_param(
    scene: Scene, asked: dict[str, Any], param: str
) -> None:
    body = {"model": MODEL, "voice": "alloy", "input": "Hi", "response_format": "wav"}
    answer = await fetch(scene.proxy.port, SPEECH, {**body, **asked}, BEARER)

    assert (answer.status, answer.error()["param"]) == (400, param)
    assert scene.google.sent == []


async def test_googles_refusal_is_openais_error(scene: Scene) -> None:
    scene.google.error = (429, {"code": 429, "message": "Slow.", "status": "RESOURCE_EXHAUSTED"})

    with pytest.raises(openai.RateLimitError):
        await scene.client.audio.speech.create(
            model=MODEL, voice="alloy", input="Hi", response_format="wav"
        )


async def test_a_filtered_text_is_an_error(scene: Scene) -> None:
    scene.google.frames = [{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}]

    with pytest.raises(openai.BadRequestError) as refused:
        await scene.client.audio.speech.create(
            model=MODEL, voice="alloy", input="Hi", response_format="wav"
        )
    assert refused.value.code == "moderation_blocked"


async def test_a_whole_answer_that_breaks_off_is_an_error(scene: Scene) -> None:
    whole(scene)
    scene.google.cut = True

    with pytest.raises(openai.InternalServerError):
        await scene.client.audio.speech.create(
            model=MODEL, voice="alloy", input="Hi", response_format="wav"
        )


async def test_sound_that_breaks_off_has_no_end(scene: Scene) -> None:
    scene.google.cut = True

    with pytest.raises(openai.APIConnectionError):
        await scene.client.audio.speech.create(
            model=MODEL, voice="alloy", input="Hi", response_format="pcm", stream_format="audio"
        )
    (line,) = [line for line in scene.proxy.logged().splitlines() if "audio/speech" in line]
    assert "upstream_error" in line


async def test_events_that_break_off_end_in_an_error(scene: Scene) -> None:
    scene.google.cut = True
    delta, failure = await scene.events(response_format="pcm")

    assert delta["type"] == "speech.audio.delta"
    assert failure["error"]["code"] == "upstream_truncated"


async def test_the_text_and_the_sound_are_in_no_log(scene: Scene) -> None:
    whole(scene)
    await scene.client.audio.speech.create(
        model=MODEL, voice="alloy", input="canaryinput", instructions="canarystyle"
    )

    logged = scene.proxy.logged()
    assert "audio/speech" in logged
    assert "canary" not in logged
    assert base64.b64encode(SAMPLES[:30]).decode() not in logged


async def test_nothing_but_sound_stands_in_a_silence() -> None:
    async with a_scene(HEARTBEAT_INTERVAL="0.05") as scene:
        scene.google.gate = asyncio.Event()
        body: Json = {"model": MODEL, "voice": "a", "input": "Hi", "response_format": "pcm"}
        headers = {**BEARER, "Content-Type": "application/json"}
        async with connect(scene.proxy.port) as sound, connect(scene.proxy.port) as events:
            for connection, how in ((sound, "audio"), (events, "sse")):
                asked = json.dumps({**body, "stream_format": how}).encode()
                await connection.post(SPEECH, asked, headers)
            await events.head()
            while b": keepalive" not in (await events.chunk() or b""):
                pass  # it comes while both wait for the rest
            scene.google.gate.set()
            heard = await sound.response()

    assert (heard.body, heard.whole) == (SAMPLES, True)


@needs_ffmpeg
async def test_a_client_that_leaves_takes_its_encoder_with_it(scene: Scene, tmp_path: Path) -> None:
    whole(scene)
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    slow.chmod(0o755)
    scene.proxy.context.sound_encoder = SoundEncoder(str(slow), limits='exec "$0" "$@"')
    body = {"model": MODEL, "voice": "alloy", "input": "Hi"}
    pid = tmp_path / "pid"
    async with connect(scene.proxy.port) as connection:
        await connection.post(
            SPEECH, json.dumps(body).encode(), {**BEARER, "Content-Type": "application/json"}
        )
        await eventually(lambda: pid.is_file() and pid.read_text().strip())
    process = Path("/proc") / pid.read_text().strip()

    await eventually(lambda: not process.exists())
