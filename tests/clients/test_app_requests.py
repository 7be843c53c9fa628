"""Chat applications' own requests for sound, pictures and vectors, with Gemini behind them."""

import base64
import json
import shutil
from typing import Any

import pytest

from tests.clients import app_requests as apps
from tests.clients.app_requests import AppRequest
from tests.conftest import running_proxy
from tests.support.google_media import SAMPLES, GoogleMedia, blob, frame
from tests.support.raw_client import RawConnection, RawResponse, connect
from tests.support.raw_upstream import Received

pytestmark = pytest.mark.slow

Json = dict[str, Any]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def rows(requests: tuple[AppRequest, ...]) -> list[Any]:
    return [pytest.param(one, id=one.name) for one in requests]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def answered(request: AppRequest, *frames: Json) -> tuple[RawResponse, list[Received]]:
    """Return what the application is answered, and what Google received."""
    google = GoogleMedia(*frames)
    async with (
        google.upstream.running(),
        running_proxy(gemini=google.upstream.base_url) as proxy,
        connect(proxy.port) as client,
    ):
        if request.chunked:
            await post_in_chunks(client, request)
        else:
            await client.post(request.path, request.body, request.headers)
        return await client.response(), google.upstream.received


async def post_in_chunks(client: RawConnection, request: AppRequest) -> None:
    fields = {"Host": "proxy", **request.headers, "Transfer-Encoding": "chunked"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    await client.send(f"POST {request.path} HTTP/1.1\r\n{head}\r\n".encode())
    for at in range(0, len(request.body), 100):
        piece = request.body[at : at + 100]
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await client.send(b"0\r\n\r\n")


def asked(received: list[Received]) -> Json:
    """Return the body of the one call to Google."""
    (call,) = received
    body: Json = json.loads(call.body)
    return body


@needs_ffmpeg
@pytest.mark.parametrize("request_", rows(apps.SPEECH))
async def test_speech_is_mp3(request_: AppRequest) -> None:
    response, received = await answered(request_, frame([blob(SAMPLES)], "STOP"))

    assert (response.status, response.headers["content-type"]) == (200, "audio/mpeg")
    assert response.body.startswith((b"ID3", b"\xff\xf3", b"\xff\xfb"))
    (content,) = asked(received)["contents"]
    assert content["parts"] == [{"text": "Hello."}]
    assert "systemInstruction" not in asked(received)
    assert "x-jarvis-ignored" not in response.headers


@pytest.mark.parametrize("request_", rows(apps.TRANSCRIPTS))
async def test_transcripts(request_: AppRequest) -> None:
    response, received = await answered(request_, frame([{"text": "Licht an."}], "STOP"))

    assert response.status == 200, response.body
    assert json.loads(response.body)["text"] == "Licht an."
    words, sound = asked(received)["contents"][0]["parts"]
    is_webm = request_.name == "lobechat"
    data, mime = (apps.WEBM, "audio/webm") if is_webm else (apps.WAV, "audio/wav")
    assert sound == {"inlineData": {"mimeType": mime, "data": encoded(data)}}
    assert ("de" in words["text"].replace(".", " ").split()) is not is_webm


@pytest.mark.parametrize("request_", rows(apps.PICTURES))
async def test_pictures(request_: AppRequest) -> None:
    response, received = await answered(request_, frame([blob(apps.PNG, "image/png")], "STOP"))

    assert response.status == 200, response.body
    (picture,) = json.loads(response.body)["data"]
    url = f"data:image/png;base64,{encoded(apps.PNG)}"
    wants_url = request_.name == "home_assistant"
    assert picture == ({"url": url} if wants_url else {"b64_json": encoded(apps.PNG)})
    assert asked(received)["contents"][0]["parts"] == [{"text": "An otter"}]


@pytest.mark.parametrize("request_", rows(apps.EDITS))
async def test_edits(request_: AppRequest) -> None:
    response, received = await answered(request_, frame([blob(apps.PNG, "image/png")], "STOP"))

    assert response.status == 200, response.body
    assert json.loads(response.body)["data"] == [{"b64_json": encoded(apps.PNG)}]
    parts = asked(received)["contents"][0]["parts"]
    count = 2 if request_.name.endswith("two") else 1
    picture = {"inlineData": {"mimeType": "image/png", "data": encoded(apps.PNG)}}
    assert [part for part in parts if part == picture] == [picture] * count
    assert {"text": "Make it blue"} in parts


@pytest.mark.parametrize("request_", rows(apps.EMBEDDINGS))
async def test_embeddings(request_: AppRequest) -> None:
    vectors = {"embeddings": [{"values": [1.0, 0.0]}, {"values": [0.0, 1.0]}]}
    response, received = await answered(request_, vectors)

    assert response.status == 200, response.body
    found = [one["embedding"] for one in json.loads(response.body)["data"]]
    assert found == [[1.0, 0.0], [0.0, 1.0]]
    texts = [one["content"]["parts"] for one in asked(received)["requests"]]
    assert texts == [[{"text": "one"}], [{"text": "two"}]]


@pytest.mark.parametrize("request_", rows(apps.IMAGEN_PREDICTS))
async def test_imagen_by_googles_own_api(request_: AppRequest) -> None:
    drawn = {"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": encoded(apps.PNG)}]}
    response, received = await answered(request_, drawn)

    assert (response.status, json.loads(response.body)) == (200, drawn)
    (call,) = received
    assert (call.path, call.body) == (request_.path, request_.body)


async def test_an_indented_request_is_repeated_in_whole_events() -> None:
    response, _ = await answered(apps.RESPONSES, frame([{"text": "Sunny."}], "STOP"))

    assert (response.status, response.whole) == (200, True)
    blocks = response.body.removesuffix(b"\n\n").split(b"\n\n")
    assert [block.count(b"\n") for block in blocks] == [1] * len(blocks)
    events = [json.loads(block.partition(b"\ndata: ")[2]) for block in blocks]
    first, last = events[0], events[-1]
    assert (first["type"], last["type"]) == ("response.created", "response.completed")
    (tool,) = json.loads(apps.RESPONSES.body)["tools"]
    for event in (first, last):
        assert event["response"]["tools"] == [{**tool, "strict": False}]
