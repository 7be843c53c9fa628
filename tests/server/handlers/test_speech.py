"""Speech that is encoded behind the model; the formats are tried in tests/test_sdk_speech.py."""

from tests.conftest import BEARER, running_proxy
from tests.support.google_media import SAMPLES, GoogleMedia, blob, frame
from tests.support.raw_client import fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received

BODY: dict[str, object] = {"voice": "alloy", "input": "Hi"}


async def test_an_encoder_that_fails_is_a_500_that_says_what_to_ask_for() -> None:
    google = GoogleMedia(frame([blob(SAMPLES)], "STOP"))
    async with (
        google.upstream.running(),
        running_proxy(gemini=google.upstream.base_url) as proxy,
    ):
        proxy.context.sound_encoder._program = "/nowhere"
        body = {**BODY, "model": "gemini-2.5-flash-preview-tts", "response_format": "wav"}
        plain = await fetch(proxy.port, "/v1/audio/speech", body, BEARER)
        encoded = await fetch(proxy.port, "/v1/audio/speech", {**body, "speed": 2}, BEARER)

    assert plain.status == 200
    if encoded.status == 200:  # no ffmpeg here, so the speed is ignored
        assert encoded.headers["x-jarvis-ignored"] == "speed"
    else:
        assert (encoded.status, encoded.error()["code"]) == (500, "audio_encoding_failed")


async def test_speech_of_an_openai_service_passes_as_it_came() -> None:
    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(b"RIFFsound", content_type="audio/wav; encoding=pending")

    async with (
        RawUpstream(script).running() as upstream,
        running_proxy(openai=upstream.base_url) as proxy,
    ):
        answer = await fetch(proxy.port, "/v1/audio/speech", {**BODY, "model": "tts-1"}, BEARER)

    assert (answer.status, answer.body) == (200, b"RIFFsound")
