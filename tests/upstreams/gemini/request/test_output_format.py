"""output: the form of the answer."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.google_options import read_google_options
from jarvis_proxy.upstreams.gemini.request.output_format import set_format, set_modalities
from jarvis_proxy.upstreams.gemini.request.schema.form import FULL, SchemaForm
from jarvis_proxy.upstreams.gemini.request.types import GenerationConfig
from tests.upstreams.gemini.chat import NEWEST, OLD, asking

PAINTER, SPEAKER = "gemini-3-pro-image", "gemini-3.8-flash-tts"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
LOOSE = SchemaForm(limits=False)
JSON = {"responseMimeType": "application/json"}


def formatted(
    response_format: Any, model: str = NEWEST, *, with_tools: bool = False, form: SchemaForm = FULL
) -> tuple[dict[str, Any], str | None, tuple[str, ...]]:
    notes, config = IgnoredParams(), GenerationConfig()
    request = msgspec.convert(asking(response_format=response_format), ChatRequest)
    words = set_format(config, request, traits_of(model), notes, with_tools=with_tools, form=form)
    return msgspec.to_builtins(config), words, notes.names


def schema_format(schema: object, **fields: object) -> dict[str, object]:
    inner = {"name": "n", "strict": True, "schema": schema, **fields}
    return {"type": "json_schema", "json_schema": inner}


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, {}),
        ({"type": "text"}, {}),
        ({"type": "json_object"}, JSON),
        ({"type": "json_object", "schema": SCHEMA}, {**JSON, "responseJsonSchema": SCHEMA}),
        (schema_format(SCHEMA), {**JSON, "responseJsonSchema": SCHEMA}),
        (schema_format({"$schema": "x", **SCHEMA}), {**JSON, "responseJsonSchema": SCHEMA}),
        (schema_format({}), JSON),
        (schema_format(None), JSON),
        (schema_format(True), JSON),
        (schema_format({"$comment": "x"}), JSON),
        (
            schema_format({"type": "array", "items": {"type": "integer"}}),
            {**JSON, "responseJsonSchema": {"type": "array", "items": {"type": "integer"}}},
        ),
        (
            schema_format(SCHEMA, description="D"),
            {**JSON, "responseJsonSchema": {**SCHEMA, "description": "D"}},
        ),
        (
            schema_format({**SCHEMA, "description": "own"}, description="D"),
            {**JSON, "responseJsonSchema": {**SCHEMA, "description": "own"}},
        ),
        (
            schema_format({"$ref": "#/$defs/A", "$defs": {"A": SCHEMA}}, description="D"),
            {**JSON, "responseJsonSchema": {"$ref": "#/$defs/A", "$defs": {"A": SCHEMA}}},
        ),
    ],
    ids=str,
)
def test_json_answers(wanted: Any, expected: dict[str, Any]) -> None:
    assert (expected, None, ()) == formatted(wanted)


@pytest.mark.parametrize("with_tools", [True, False])
def test_newer_models_take_json_next_to_tools(with_tools: bool) -> None:
    assert formatted({"type": "json_object"}, with_tools=with_tools) == (JSON, None, ())


def test_older_models_are_asked_in_words_when_there_are_tools() -> None:
    config, words, ignored = formatted(schema_format(SCHEMA), OLD, with_tools=True)

    assert (config, ignored) == ({}, ("response_format",))
    assert words is not None
    assert words.startswith("Answer with JSON only")
    assert words.endswith('{"type":"object","properties":{"a":{"type":"string"}}}')
    assert formatted({"type": "json_object"}, OLD, with_tools=True)[1] == (
        "Answer with JSON only, without code fences or other text."
    )
    assert formatted(schema_format(SCHEMA), OLD)[0]["responseJsonSchema"] == SCHEMA


@pytest.mark.parametrize("model", [PAINTER, SPEAKER])
def test_models_that_cannot_write_json_are_not_asked_to(model: str) -> None:
    assert formatted({"type": "json_object"}, model) == ({}, None, ("response_format",))


@pytest.mark.parametrize(
    ("wanted", "param", "code"),
    [
        ({}, "response_format.type", "missing_required_parameter"),
        ({"type": "grammar"}, "response_format.type", "invalid_value"),
        ({"type": "json_schema"}, "response_format.json_schema", "missing_required_parameter"),
        (
            schema_format({"$ref": "#/$defs/None"}),
            "response_format.json_schema.schema",
            "invalid_schema",
        ),
    ],
    ids=str,
)
def test_formats_that_cannot_be_are_a_400(wanted: Any, param: str, code: str) -> None:
    with pytest.raises(ProxyError) as caught:
        formatted(wanted)

    assert (param, code) == (caught.value.param, caught.value.code)


def test_a_loose_schema_is_noted_where_it_differs() -> None:
    bounded = {"type": "array", "items": {"type": "string"}, "maxItems": 3}
    config, _, ignored = formatted(schema_format(bounded), form=LOOSE)

    assert "maxItems" not in config["responseJsonSchema"]
    assert ignored == ("response_format.json_schema.schema",)
    assert formatted(schema_format(SCHEMA), form=LOOSE)[2] == ()


def shaped(model: str = NEWEST, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    notes, config = IgnoredParams(), GenerationConfig()
    request = msgspec.convert(asking(**fields), ChatRequest)
    extension = read_google_options(request, notes)
    set_modalities(config, request, extension, traits_of(model), notes)
    return msgspec.to_builtins(config), notes.names


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (NEWEST, {}, {}),
        (NEWEST, {"modalities": ["text"]}, {}),
        (NEWEST, {"modalities": []}, {}),
        (PAINTER, {}, {}),
        (PAINTER, {"modalities": ["text", "image"]}, {"responseModalities": ["TEXT", "IMAGE"]}),
        (
            PAINTER,
            {"modalities": ["text"], "google": {"response_modalities": ["Image", "IMAGE"]}},
            {"responseModalities": ["IMAGE"]},
        ),
    ],
    ids=str,
)
def test_modalities(model: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert (expected, ()) == shaped(model, **fields)


@pytest.mark.parametrize(
    ("model", "fields", "param"),
    [
        (NEWEST, {"modalities": ["text", "audio"]}, "modalities"),
        (NEWEST, {"modalities": ["image"]}, "modalities"),
        (PAINTER, {"modalities": ["smell"]}, "modalities"),
        (
            NEWEST,
            {"google": {"response_modalities": ["AUDIO"]}},
            "google.response_modalities",
        ),
    ],
    ids=str,
)
def test_what_a_model_does_not_make_is_a_400(
    model: str, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(ProxyError) as caught:
        shaped(model, **fields)

    assert ("unsupported_value", param) == (caught.value.code, caught.value.param)


def voiced(name: str) -> dict[str, Any]:
    return {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": name}}}


@pytest.mark.parametrize(
    ("audio", "voice"),
    [
        (None, None),
        ({}, None),
        ({"voice": "alloy", "format": "pcm16"}, "Kore"),
        ({"voice": "Charon", "format": "wav"}, "Charon"),
        ({"voice": {"id": "Puck"}}, "Puck"),
        ({"voice": 3}, None),
    ],
    ids=str,
)
def test_speech_models_speak_whatever_is_asked(audio: Any, voice: str | None) -> None:
    speech = {} if voice is None else {"speechConfig": voiced(voice)}

    assert shaped(SPEAKER, modalities=["text", "audio"], audio=audio) == (
        {"responseModalities": ["AUDIO"], **speech},
        (),
    )


def test_a_format_that_needs_an_encoder_is_a_400() -> None:
    with pytest.raises(ProxyError) as caught:
        shaped(SPEAKER, audio={"voice": "alloy", "format": "mp3"})

    assert caught.value.param == "audio.format"


def test_a_voice_for_a_model_that_writes_is_noted() -> None:
    assert shaped(audio={"voice": "alloy", "format": "mp3"}) == ({}, ("audio",))
