"""parameters: scalars of a chat request."""

from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatRequest
from jarvis_proxy.canonical.ignored_params import IgnoredParams
from jarvis_proxy.errors import ProxyError
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.generation_config import (
    choice_count,
    direct_speech,
    note_unmapped,
    service_tier,
    set_limits,
    set_logprobs,
    set_media,
    set_sampling,
)
from jarvis_proxy.upstreams.gemini.request.google_options import read_google_options
from jarvis_proxy.upstreams.gemini.request.types import (
    Blob,
    Content,
    GenerationConfig,
    Part,
    SpeechMetadata,
)
from tests.upstreams.gemini.chat import NEWEST, OLD, asking

SAMPLING = "gemini-3.5-flash"
OLDEST = "gemini-2.0-flash"
PAINTER = "gemini-3-pro-image"

OLD_SPEECH = ("gemini-2.5-flash-preview-tts", "gemini-2.5-pro-tts", "gemini-3.1-flash-tts-preview")
NEW_SPEECH = ("gemini-3.8-flash-tts", "gemini-3.8-flash-lite-tts")


def configured(
    model: str = NEWEST, resolution: str | None = None, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = msgspec.convert(asking(**fields), ChatRequest)
    notes, config, traits = IgnoredParams(), GenerationConfig(), traits_of(model)
    extension = read_google_options(request, notes)
    set_sampling(config, request, extension, traits, notes)
    set_limits(config, request, traits)
    set_logprobs(config, request, traits, notes)
    set_media(config, extension, traits, notes, resolution=resolution)
    note_unmapped(request, notes)
    return msgspec.to_builtins(config), notes.names


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"temperature": 0, "top_p": 1}, {"temperature": 0.0, "topP": 1.0}),
        ({"temperature": 2}, {"temperature": 2.0}),
        ({"top_p": 0}, {"topP": 1e-6}),
        ({"top_k": 40}, {"topK": 40}),
        ({"top_k": 40.0}, {"topK": 40}),
        ({"top_k": 0}, {}),
        ({"top_k": -1}, {}),
        ({"google": {"top_k": 7}}, {"topK": 7}),
        ({"top_k": 3, "google": {"top_k": 7}}, {"topK": 3}),
        ({"seed": 42}, {"seed": 42}),
        ({"seed": 2**31 + 5}, {"seed": 5}),
        ({"seed": -1}, {"seed": 2**31 - 1}),
        ({"seed": 10**30}, {"seed": 10**30 % 2**31}),
        ({"logit_bias": {}, "presence_penalty": 0, "frequency_penalty": 0.0}, {}),
        ({"temperature": None, "seed": None, "stop": None, "max_tokens": None}, {}),
    ],
    ids=str,
)
def test_how_tokens_are_drawn(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert (expected, ()) == configured(SAMPLING, **fields)


@pytest.mark.parametrize("model", [NEWEST, "gemini-3.5-flash-lite", "gemini-4-argon"])
def test_models_that_ignore_sampling_do_not_get_it(model: str) -> None:
    assert configured(model, temperature=0.5, top_p=0.5, top_k=3, seed=1) == ({"seed": 1}, ())


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"temperature": 2.1}, "decimal_above_max_value"),
        ({"temperature": -0.1}, "decimal_below_min_value"),
        ({"top_p": 1.1}, "decimal_above_max_value"),
        ({"top_k": 1.5}, "invalid_value"),
        ({"top_k": -2}, "invalid_value"),
        ({"presence_penalty": 2.5}, "decimal_above_max_value"),
        ({"frequency_penalty": -2.5}, "decimal_below_min_value"),
        ({"max_tokens": 0}, "integer_below_min_value"),
        ({"max_completion_tokens": -5}, "integer_below_min_value"),
        ({"top_logprobs": 21}, "integer_above_max_value"),
        ({"top_logprobs": -1}, "integer_below_min_value"),
        ({"stop": ["a", "b", "c", "d", "e", "f"]}, "array_above_max_length"),
    ],
    ids=str,
)
def test_values_out_of_range_are_a_400_whatever_the_model(
    fields: dict[str, Any], code: str
) -> None:
    for model in (NEWEST, OLDEST):
        with pytest.raises(ProxyError) as caught:
            configured(model, **fields)
        assert (400, code, next(iter(fields))) == (
            caught.value.status,
            caught.value.code,
            caught.value.param,
        )


@pytest.mark.parametrize(
    ("model", "fields", "limit"),
    [
        (NEWEST, {"max_tokens": 5}, 5),
        (NEWEST, {"max_tokens": 128_000}, 65_536),
        (OLDEST, {"max_tokens": 128_000}, 8_192),
        (NEWEST, {"max_tokens": 5, "max_completion_tokens": 7}, 7),
    ],
    ids=str,
)
def test_the_length_is_clamped_to_the_model(model: str, fields: dict[str, Any], limit: int) -> None:
    assert configured(model, **fields)[0] == {"maxOutputTokens": limit}


@pytest.mark.parametrize(
    ("stop", "sent"),
    [
        ("END", ["END"]),
        (["a", "", "b"], ["a", "b"]),
        (["1", "2", "3", "4", "5", ""], ["1", "2", "3", "4", "5"]),
        ([], None),
        ("", None),
    ],
    ids=str,
)
def test_stop_sequences(stop: Any, sent: list[str] | None) -> None:
    assert sent == configured(stop=stop)[0].get("stopSequences")


@pytest.mark.parametrize("param", ["presence_penalty", "frequency_penalty"])
def test_penalties_go_to_models_that_take_them(param: str) -> None:
    camel = param.replace("_p", "P")

    asked: dict[str, Any] = {param: 0.5}

    assert configured(OLDEST, **asked) == ({camel: 0.5}, ())
    assert configured(OLD, **asked) == ({}, (param,))
    assert configured(NEWEST, **asked) == ({}, (param,))


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (OLDEST, {"logprobs": True}, ({"responseLogprobs": True}, ())),
        (
            OLDEST,
            {"logprobs": True, "top_logprobs": 3},
            ({"responseLogprobs": True, "logprobs": 3}, ()),
        ),
        (NEWEST, {"logprobs": True, "top_logprobs": 3}, ({}, ("logprobs",))),
        (NEWEST, {"logprobs": False}, ({}, ())),
        (NEWEST, {"logprobs": False, "top_logprobs": 0}, ({}, ())),
        (OLDEST, {"top_logprobs": 3}, ({}, ("top_logprobs",))),
    ],
    ids=str,
)
def test_logprobs_go_to_models_that_give_them(
    model: str, fields: dict[str, Any], expected: Any
) -> None:
    assert expected == configured(model, **fields)


@pytest.mark.parametrize(
    ("model", "resolution", "fields", "expected"),
    [
        (OLD, "MEDIA_RESOLUTION_LOW", {}, ({"mediaResolution": "MEDIA_RESOLUTION_LOW"}, ())),
        (
            OLD,
            "MEDIA_RESOLUTION_LOW",
            {"google": {"media_resolution": "media_resolution_high"}},
            ({"mediaResolution": "MEDIA_RESOLUTION_HIGH"}, ()),
        ),
        (
            NEWEST,
            None,
            {"google": {"media_resolution": "medium"}},
            ({"mediaResolution": "MEDIA_RESOLUTION_MEDIUM"}, ()),
        ),
        (
            OLDEST,
            None,
            {"google": {"media_resolution": "low"}},
            ({}, ("google.media_resolution",)),
        ),
        (
            PAINTER,
            None,
            {"google": {"image_config": {"aspect_ratio": "16:9"}}},
            ({"imageConfig": {"aspectRatio": "16:9"}}, ()),
        ),
        (
            "gemini-2.5-flash-image",
            None,
            {"google": {"image_config": {"aspect_ratio": "1:1", "image_size": "2K"}}},
            ({"imageConfig": {"aspectRatio": "1:1"}}, ("google.image_config.image_size",)),
        ),
        (
            NEWEST,
            None,
            {"extra_body": {"google": {"image_config": {"image_size": "2K"}}}},
            ({}, ("extra_body.google.image_config",)),
        ),
    ],
    ids=str,
)
def test_media_settings(
    model: str, resolution: str | None, fields: dict[str, Any], expected: Any
) -> None:
    assert expected == configured(model, resolution, **fields)


def test_an_unknown_resolution_is_a_400() -> None:
    with pytest.raises(ProxyError) as caught:
        configured(google={"media_resolution": "huge"})

    assert caught.value.param == "google.media_resolution"


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"logit_bias": {"50256": -100}}, ("logit_bias",)),
        ({"verbosity": "low"}, ("verbosity",)),
        ({"verbosity": "medium"}, ()),
        ({"moderation": {"type": "auto"}}, ("moderation",)),
        (
            {
                "metadata": {"a": "b"},
                "user": "u",
                "store": True,
                "prediction": {"type": "content"},
                "prompt_cache_key": "k",
                "safety_identifier": "s",
                "made_up": 1,
            },
            (),
        ),
    ],
    ids=str,
)
def test_what_gemini_has_nothing_like_is_noted_or_harmless(
    fields: dict[str, Any], ignored: tuple[str, ...]
) -> None:
    assert ({}, ignored) == configured(**fields)


@pytest.mark.parametrize(("n", "count"), [(None, 1), (1, 1), (8, 8)])
def test_choices_are_requests(n: int | None, count: int) -> None:
    assert count == choice_count(msgspec.convert(asking(n=n), ChatRequest))


@pytest.mark.parametrize("n", [0, -1, 9])
def test_too_few_or_many_choices_are_a_400(n: int) -> None:
    with pytest.raises(ProxyError) as caught:
        choice_count(msgspec.convert(asking(n=n), ChatRequest))

    assert caught.value.param == "n"


@pytest.mark.parametrize(
    ("tier", "sent", "ignored"),
    [
        (None, None, ()),
        ("auto", None, ()),
        ("default", "standard", ()),
        ("flex", "flex", ()),
        ("priority", "priority", ()),
        ("fast", "priority", ()),
        ("scale", None, ("service_tier",)),
        ("other", None, ("service_tier",)),
    ],
)
def test_service_tiers(tier: str | None, sent: str | None, ignored: tuple[str, ...]) -> None:
    notes = IgnoredParams()
    request = msgspec.convert(asking(service_tier=tier), ChatRequest)

    assert (sent, ignored) == (service_tier(request, notes), notes.names)


def contents() -> list[Content]:
    return [Content("user", [Part(inline_data=Blob("a/b", "")), Part("One."), Part("Two.")])]


@pytest.mark.parametrize("model", OLD_SPEECH)
@pytest.mark.parametrize(
    ("direction", "text"), [("Say it loud", "Say it loud:\nOne."), ("Sad.", "Sad.\nOne.")]
)
def test_older_speech_models_get_a_direction_in_front(
    model: str, direction: str, text: str
) -> None:
    given = contents()
    direct_speech(given, [direction], traits_of(model))

    assert [part.text for part in given[0].parts] == [None, text, "Two."]


@pytest.mark.parametrize("model", NEW_SPEECH)
def test_newer_speech_models_get_a_direction_with_each_text(model: str) -> None:
    given = contents()
    direct_speech(given, ["Sad,", "slow"], traits_of(model))

    sad = SpeechMetadata("Sad,\nslow")
    assert [part.text for part in given[0].parts] == [None, "One.", "Two."]
    assert [part.speech_metadata for part in given[0].parts] == [None, sad, sad]


@pytest.mark.parametrize("directions", [[], [" "]])
def test_without_a_direction_nothing_changes(directions: list[str]) -> None:
    given = contents()
    direct_speech(given, directions, traits_of(OLD_SPEECH[0]))

    assert given == contents()
