"""Recorded answers of Google, spoken, heard and drawn, as OpenAI's clients see them."""

import base64
import io
import json
import wave
from typing import Any

import pytest

from tests.conftest import BEARER, running_proxy
from tests.support.forms import CONTENT_TYPE, form, part
from tests.support.raw_client import RawResponse, fetch
from tests.support.raw_upstream import Peer, RawUpstream, Received
from tests.support.recordings import MISSING, recordings

pytestmark = pytest.mark.slow

Json = dict[str, Any]
RECORDINGS = {param.id: param.values[0] for param in recordings("gemini")}


def recorded(beginning: str) -> list[Json]:
    """Return the recordings whose names begin so, or skip the test where there are none at all."""
    if None in RECORDINGS.values():
        pytest.skip(MISSING)
    found = [one for name, one in RECORDINGS.items() if str(name).startswith(beginning)]
    assert found, beginning
    return [one for one in found if isinstance(one, dict)]


async def answered(
    record: Json, path: str, body: bytes | Json, content_type: str = "application/json"
) -> tuple[RawResponse, Json]:
    """Return what a client sees of *record*'s answer, and what Google was sent."""

    async def script(peer: Peer, request: Received) -> None:
        await peer.reply(json.dumps(record["response"]["body"]).encode())

    upstream = RawUpstream(script, base_path="/v1beta")
    async with upstream.running(), running_proxy(gemini=upstream.base_url) as proxy:
        headers = {**BEARER, "Content-Type": content_type}
        seen = await fetch(proxy.port, path, body, headers)
    sent: Json = json.loads(upstream.received[0].body)
    return seen, sent


async def test_speech() -> None:
    for record in recorded("ruby_llm__speech"):
        asked = record["request"]["body"]
        (spoken,) = asked["contents"][0]["parts"]
        voice = asked["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]
        body = {
            "model": record["model"],
            "input": spoken["text"],
            "voice": voice["voiceName"],
            "response_format": "wav",
        }
        seen, sent = await answered(record, "/v1/audio/speech", body)

        assert sent == {key: asked[key] for key in ("contents", "generationConfig")}
        (sound,) = record["response"]["body"]["candidates"][0]["content"]["parts"]
        with wave.open(io.BytesIO(seen.body)) as file:
            samples = file.readframes(file.getnframes())
        assert samples == base64.b64decode(sound["inlineData"]["data"])


async def test_transcripts() -> None:
    for record in recorded("ruby_llm__transcription"):
        _, sound = record["request"]["body"]["contents"][0]["parts"]
        data = base64.b64decode(sound["inline_data"]["data"])
        body = form(
            part("model", record["model"]),
            part("file", data, more='; filename="ruby.wav"', head="Content-Type: audio/wav\r\n"),
        )
        path = "/v1/audio/transcriptions"
        seen, sent = await answered(record, path, body, CONTENT_TYPE)

        _, heard = sent["contents"][0]["parts"]
        assert heard == {"inlineData": {"mimeType": "audio/wav", "data": base64_of(data)}}
        answer, usage = json.loads(seen.body), record["response"]["body"]["usageMetadata"]
        said = record["response"]["body"]["candidates"][0]["content"]["parts"][0]["text"]
        assert answer["text"] == said
        assert answer["usage"]["total_tokens"] == usage["totalTokenCount"]
        kinds = {one["modality"]: one["tokenCount"] for one in usage["promptTokensDetails"]}
        details = answer["usage"]["input_token_details"]
        assert (details["audio_tokens"], details["text_tokens"]) == (kinds["AUDIO"], kinds["TEXT"])


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_pictures() -> None:
    for record in recorded("pydantic-ai__TestImageGenerationCapability"):
        (asked,) = record["request"]["body"]["contents"][0]["parts"]
        body = {"model": record["model"], "prompt": asked["text"]}
        seen, sent = await answered(record, "/v1/images/generations", body)

        assert sent["contents"][0]["parts"] == [asked]
        assert sent["generationConfig"] == {"responseModalities": ["IMAGE"]}
        drawn = json.loads(seen.body)
        parts = record["response"]["body"]["candidates"][0]["content"]["parts"]
        (picture,) = [one["inlineData"] for one in parts if "inlineData" in one]
        assert drawn["data"] == [{"b64_json": picture["data"]}]
        assert drawn["output_format"] == picture["mimeType"].removeprefix("image/")
        usage = record["response"]["body"]["usageMetadata"]
        assert drawn["usage"]["total_tokens"] == usage["totalTokenCount"]
