"""Events of a choice become parts."""

import base64
import json
from typing import Any

import pytest

from jarvis_proxy.canonical.sealed_state import SealedState, from_google_signature
from jarvis_proxy.dialects.generate_content.sink import CandidateSink, arguments
from jarvis_proxy.wire.chat_types import Image, ImageURL, TokenLogprob, TopLogprob
from tests.dialects.generate_content.answers import (
    call,
    finish,
    frames,
    parts,
    seal,
    streamed,
    text,
    whole,
)

PNG = base64.b64encode(b"\x89PNG\r\n").decode()


@pytest.mark.parametrize(
    ("said", "args"),
    [
        ("", {}),
        ("  ", {}),
        ('{"a": [1, {"b": "\\ud83d"}]}', {"a": [1, {"b": "\ufffd"}]}),
        ("[1,2]", {"value": [1, 2]}),
        ('"x"', {"value": "x"}),
        ("null", {"value": None}),
        ('{"a": ', {"_raw_arguments": '{"a": '}),
        ("[" * 5000, {"_raw_arguments": "[" * 5000}),
        ("lone \ud83d", {"_raw_arguments": "lone ?"}),
    ],
)
def test_arguments_are_always_an_object(said: str, args: dict[str, Any]) -> None:
    assert json.loads(bytes(arguments(said))) == args


def test_numbers_of_arguments_keep_their_digits_and_lines_are_joined() -> None:
    assert bytes(arguments('{\n "n": 12345678901234567890,\r\n "x": 1.50 }')) == (
        b'{"n":12345678901234567890,"x":1.50}'
    )


def test_ids_of_calls_pass() -> None:
    first = frames(streamed(call("f", call_id="toolu_01:x"), finish("tool_calls")))[0]

    assert parts(first)[0]["functionCall"]["id"] == "toolu_01:x"


def test_a_custom_call_is_its_input() -> None:
    first = frames(streamed(call("f", "free ", "text", custom=True), finish("tool_calls")))[0]

    assert parts(first)[0]["functionCall"]["args"] == {"input": "free text"}


def test_a_seal_comes_back_from_the_signature() -> None:
    first = frames(streamed(seal("chat.x", "Grüße"), call("f"), finish("tool_calls")))[0]

    state = from_google_signature(parts(first)[0]["thoughtSignature"])
    assert state == SealedState("chat.x", "Grüße")


def test_blocks_of_one_turn_are_one_seal() -> None:
    one, two = ([{"type": "thinking", "thinking": word, "signature": word}] for word in "ab")
    steps = seal("anthropic", json.dumps(one)), seal("anthropic", json.dumps(two)), finish()
    signature = parts(whole(*steps))[0]["thoughtSignature"]

    state = from_google_signature(signature)
    assert state is not None
    assert (state.owner, json.loads(state.payload)) == ("anthropic", one + two)


def test_of_other_states_the_last_counts() -> None:
    signature = parts(whole(seal("chat.x", "a"), seal("chat.x", "b"), finish()))[0]

    assert from_google_signature(signature["thoughtSignature"]) == SealedState("chat.x", "b")


def image(url: str) -> Any:
    return lambda sink: sink.image(Image(image_url=ImageURL(url), index=0))


@pytest.mark.parametrize(
    ("url", "part"),
    [
        (f"data:image/png;base64,{PNG}", {"inlineData": {"mimeType": "image/png", "data": PNG}}),
        (
            "https://x.example/a.webp?b",
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://x.example/a.webp?b"}},
        ),
        (
            "https://x.example/a",
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.example/a"}},
        ),
    ],
)
def test_pictures_are_data_or_links(url: str, part: dict[str, Any]) -> None:
    steps = text("a"), image(url), finish()

    assert parts(frames(streamed(*steps))[1]) == [part]
    assert parts(whole(*steps)) == [{"text": "a"}, part]


def test_sound_is_data() -> None:
    steps = (lambda sink: sink.speech("audio/wav", "UklG")), finish()

    assert parts(whole(*steps)) == [{"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}]


def test_log_probabilities_stand_in_the_last_frame() -> None:
    tokens = [TokenLogprob("Hi", -0.5, [72, 105], [TopLogprob("Ho", -1.5, [72])])]
    steps = text("Hi"), (lambda sink: sink.logprobs(tokens)), finish()

    expected = frames(streamed(*steps))[-1]["candidates"][0]["logprobsResult"]
    assert expected == {
        "chosenCandidates": [{"token": "Hi", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "Ho", "logProbability": -1.5}]}],
    }
    assert whole(*steps)["candidates"][0]["logprobsResult"] == expected


def test_what_google_does_not_count_is_not_sent() -> None:
    steps = text("a"), (lambda sink: sink.server_tool("web_search", 2)), finish()

    assert parts(whole(*steps)) == [{"text": "a"}]


def test_the_end_of_no_call_is_nothing() -> None:
    steps = (lambda sink: sink.call_end()), text("a"), finish()

    assert parts(whole(*steps)) == [{"text": "a"}]


def test_a_sink_needs_a_place_to_write_to() -> None:
    sink = CandidateSink(0, shows=True)

    with pytest.raises(NotImplementedError):
        sink.text("a")
    with pytest.raises(NotImplementedError):
        sink.speech("audio/wav", "UklG")
