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
    call = Call(
        endpoint="audio/transcriptions",
        model="m",
        target_model="m",
        stream=False,
        body=form(*parts),
        id="x" * 24,
        created=1,
        now=0.0,
        headers={"content-type": CONTENT_TYPE},
    )
    return TranscriptionDialect().read(call, features)


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
