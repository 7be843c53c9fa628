"""Models within events: each that configures is found, in any spelling; a tool's field is none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.dialects.realtime.models import (
    model_for_secret,
    with_models,
    with_models_for_secret,
)
from jarvis_proxy.errors import ProxyError


class Seen:
    """A target that keeps what it was asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> str:
        self.names.append(name)
        return "better" if name == "alias" else name


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("event", "names"),
    [
        ('{"type":"input_audio_buffer.append"}', []),
        ('{"item":{"model":"a"}}', []),
        ('{"session":{"tools":{"model":"a"},"model":""}}', []),
        ('{"session":{"model":"a"}}', ["a"]),
        ('{"session":{"audio":{"input":{"transcription":{"model":"a"}}}}}', ["a"]),
        ('{"session":{"input_audio_transcription":{"model":"a"}}}', ["a"]),
        ('{"response":{"model":"a"}}', ["a"]),
        ('{"session":{"m\\u006fdel":"a"}}', ["a"]),
        ('{"Session":{"MODEL":"a"}}', ["a"]),
        ('{"session":{"model":"b"},"session":{"model":"a"}}', ["a"]),
        ('{"session":{"tools":[{"parameters":{"properties":{"model":"a"}}}]}}', []),
        ('{"response":{"input":{"model":"a"}}}', []),
        ('{"type":"a model"}', []),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_what_configures_is_found(event: str, names: list[str], strict: bool) -> None:
    if not strict and "MODEL" in event:
        names = []  # those that do not write it so are not looked for where nothing is refused
    seen = Seen()
    given = with_models(event.encode(), seen, strict=strict)

    assert seen.names == names
    assert json.loads(given) == json.loads(event)
    if not strict:
        assert given is not None
        assert given == event.encode()


def test_a_name_is_replaced_by_its_target() -> None:
    event = b'{"session":{"model":"alias","n":1.50}}'

    assert with_models(event, Seen(), strict=False) == b'{"session":{"model":"better","n":1.5}}'


@pytest.mark.parametrize("event", [b'{"model"', b'["model"]', b'{"model":' + b"[" * 100_000])
def test_what_cannot_be_read(event: bytes) -> None:
    assert with_models(event, Seen(), strict=False) is event
    with pytest.raises(ProxyError) as refused:
        with_models(event, Seen(), strict=True)
    assert refused.value.code == "invalid_json"


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_no_second_name_is_left_in_a_strict_event(session: object) -> None:
    seen = Seen()
    event = {"session": {"inner": session, "model": "a"}}
    given = json.loads(with_models(json.dumps(event).encode(), seen, strict=True))

    assert "a" in seen.names
    assert given == event


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({"session": {"model": "m"}}, "m"),
        ({"model": "m"}, "m"),
        ({"session": {"audio": {"input": {"transcription": {"model": "t"}}}}}, "t"),
        ({"input_audio_transcription": {"model": "t"}}, "t"),
        ({"session": {"type": "realtime"}}, None),
        ({"session": 1}, None),
        ({}, None),
    ],
)
def test_the_model_of_a_request_for_a_secret(body: dict[str, Any], model: str | None) -> None:
    seen = Seen()
    with_models_for_secret(body, seen)

    assert model_for_secret(body) == model
    assert seen.names == ([] if model is None else [model])


@pytest.mark.parametrize("strict", [True, False])
def test_an_event_without_a_model_keeps_its_bytes(strict: bool) -> None:
    event = b'{ "type": "response.create" }'

    assert with_models(event, Seen(), strict=strict) is event
