"""Speech requests: what is asked upstream, what is ignored, what is refused."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.speech.request import UNENCODED, SpeechDialect, streams
from jarvis_proxy.errors import ProxyError

SPEAKS = ModelFeatures(speaks=True)


def asking(**asked: object) -> bytes:
    return json.dumps({"model": "m-tts", "voice": "alloy", "input": "Hi", **asked}).encode()


def read(
    encodes: tuple[str, ...] = (),
    *,
    strict: bool = False,
    features: ModelFeatures = SPEAKS,
    **asked: Any,
) -> DialectCall:
    body = asking(**asked)
    call = Call(
        endpoint="audio/speech",
        model="m-tts",
        target_model="m-tts",
        stream=streams(body) is not None,
        body=body,
        id="x" * 24,
        created=1,
        now=0.0,
        strict_params=strict,
    )
    return SpeechDialect(encodes).read(call, features)


def test_the_chat_request() -> None:
    client = read(instructions="Sad.", voice={"id": "Puck"}, response_format="wav")

    assert json.loads(client.request.body) == {
        "messages": [{"role": "system", "content": "Sad."}, {"role": "user", "content": "Hi"}],
        "modalities": ["audio"],
        "audio": {"voice": "Puck", "format": "pcm16"},
    }
    assert client.headers == (("content-type", "audio/wav"),)
    assert client.request.params.param("messages[0].content") == "input"


def test_model_that_does_not_speak_is_refused() -> None:
    with pytest.raises(ProxyError, match="`m-tts` does not speak") as error:
        read(features=ModelFeatures())

    assert (error.value.status, error.value.param) == (400, "model")


@pytest.mark.parametrize("said", [None, "", " ", "None"])
def test_blank_instructions_are_none(said: str | None) -> None:
    messages = json.loads(read(instructions=said, response_format="pcm").request.body)["messages"]

    assert [message["role"] for message in messages] == ["user"]


@pytest.mark.parametrize(
    ("asked", "content_type", "ignored"),
    [
        ({"response_format": "pcm"}, "audio/pcm", ()),
        ({}, UNENCODED, ()),
        ({"speed": 2}, UNENCODED, ()),
        ({"response_format": "wav", "speed": 2}, UNENCODED, ()),
        ({"response_format": "wav", "speed": 1.0}, "audio/wav", ()),
        ({"response_format": "wav", "speed": 2, "stream_format": "audio"}, None, ("speed",)),
    ],
)
def test_what_is_encoded(
    asked: dict[str, Any], content_type: str | None, ignored: tuple[str, ...]
) -> None:
    client = read(("mp3", "wav"), **asked)

    assert dict(client.headers).get("content-type") == content_type
    assert client.request.ignored == ignored


def test_an_ignored_speed_is_an_error_in_strict_mode() -> None:
    with pytest.raises(ProxyError) as refused:
        read(strict=True, response_format="wav", speed=2)

    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "speed")


@pytest.mark.parametrize(
    ("asked", "how"),
    [
        ({"stream_format": "sse", "response_format": "wav"}, "sse"),
        ({"stream_format": "audio", "response_format": "pcm"}, "audio"),
        ({"stream_format": "sse"}, None),
        ({"response_format": "pcm"}, None),
        ({"response_format": 3}, None),
    ],
)
def test_what_can_be_streamed(asked: dict[str, Any], how: str | None) -> None:
    assert streams(asking(**asked)) == how
