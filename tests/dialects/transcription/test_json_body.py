"""A transcript's request in JSON, as a form."""

import base64
import json
from typing import Any

import pytest

from jarvis_proxy.dialects.transcription.json_body import json_form
from jarvis_proxy.errors import ProxyError

SOUND = base64.b64encode(b"RIFF").decode()


def written(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_the_sound_is_the_file() -> None:
    form = json_form(written(input_audio={"data": SOUND, "format": "wav"}, model="m"))

    (file,) = form.files("file")
    assert (form.data(file), file.filename, form.text("model")) == (b"RIFF", "audio.wav", "m")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("größe", ["größe"]),
        (0.5, ["0.5"]),
        (True, ["true"]),
        (False, ["false"]),
        (["word", "segment"], ["word", "segment"]),
        (None, []),
        ({"a": 1}, []),
        ([{"a": 1}, None], []),
    ],
)
def test_fields(value: Any, texts: list[str]) -> None:
    assert json_form(written(field=value)).texts("field") == texts


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (written(input_audio={"data": "?", "format": "wav"}), "input_audio.data"),
        (written(input_audio={"data": "größe"}), "input_audio.data"),
        (written(input_audio={"format": "wav"}), "input_audio.data"),
        (written(input_audio="UklGRg=="), "input_audio"),
        (b"[]", ""),
        (b"{", None),
    ],
)
def test_what_is_wrong_is_named(body: bytes, param: str | None) -> None:
    with pytest.raises(ProxyError) as refused:
        json_form(body)

    assert (refused.value.status, refused.value.param) == (400, param)
