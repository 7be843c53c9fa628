"""A transcript's form as a chat request; the rest is tried with the SDK."""

import base64
import json
from typing import Any

import pytest

from jarvis_proxy.canonical.adapters import DialectCall, ModelFeatures
from jarvis_proxy.canonical.call import Call
from jarvis_proxy.dialects.transcription.request import TranscriptionDialect
from jarvis_proxy.errors import ProxyError
from tests.support.forms import CONTENT_TYPE, form, part

WRITES = ModelFeatures()
FILE = part("file", "OggS", more='; filename="a.ogg"')


def read(*parts: bytes, features: ModelFeatures = WRITES) -> DialectCall:
    return TranscriptionDialect().read(a_call(form(*parts), CONTENT_TYPE), features)


def a_call(body: bytes, content_type: str, *, stream: bool = False) -> Call:
    return Call(
        endpoint="audio/transcriptions",
        model="m",
        target_model="m",
        stream=stream,
        body=body,
        id="x" * 24,
        created=1,
        now=0.0,
        headers={"content-type": content_type},
    )


def test_the_chat_request() -> None:
    client = read(FILE, part("temperature", "0"))
    asked: dict[str, Any] = json.loads(client.request.body)

    (message,) = asked["messages"]
    words, sound = message["content"]
    assert words["text"].startswith("Transcribe")
    assert sound == {
        "type": "input_audio",
        "input_audio": {"data": base64.b64encode(b"OggS").decode(), "format": "audio/ogg"},
    }
    assert (asked["temperature"], asked["include_thoughts"]) == (0, False)
    assert "response_format" not in asked
    assert client.headers == (("content-type", "application/json"),)
    assert client.request.params.param("messages[0].content[1]") == "file"


@pytest.mark.parametrize("features", [ModelFeatures(speaks=True), ModelFeatures(draws=True)])
def test_models_that_do_not_write_are_refused(features: ModelFeatures) -> None:
    with pytest.raises(ProxyError) as refused:
        read(FILE, features=features)

    assert refused.value.param == "model"


def test_json_asks_as_a_form_does() -> None:
    asked = {
        "model": "m",
        "temperature": 0,
        "input_audio": {"data": base64.b64encode(b"OggS").decode(), "format": "ogg"},
    }
    call = a_call(json.dumps(asked).encode(), "application/json")

    as_form = read(part("model", "m"), part("temperature", "0"), FILE).request.body
    assert TranscriptionDialect().read(call, WRITES).request.body == as_form


def test_json_that_asks_for_a_stream_of_subtitles_is_refused() -> None:
    sound = {"data": base64.b64encode(b"OggS").decode(), "format": "ogg"}
    asked = {"input_audio": sound, "stream": True, "response_format": "srt"}
    call = a_call(json.dumps(asked).encode(), "application/json", stream=True)

    with pytest.raises(ProxyError) as refused:
        TranscriptionDialect().read(call, WRITES)

    assert (refused.value.status, refused.value.param) == (400, "stream")
