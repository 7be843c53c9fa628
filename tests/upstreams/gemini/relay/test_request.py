"""Requests go to Google as they came, but for names, seals and parts of the query."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.sealed_state import SealedState, to_google_signature
from jarvis_proxy.upstreams.gemini.relay.request import (
    relayed_body,
    relayed_path,
    with_model_names,
    without_seals,
)
from tests.support.recordings import recordings, request_of
from tests.upstreams.gemini.relay.calls import MODEL, a_relayed_call

SEAL = to_google_signature(SealedState("chat.deepseek", "I thought about it."))
GOOGLES = "CpcBAdHtim9Uf0pQ+/=="
ODD = (
    '{ "contents":[ {"parts":[{"text":"Grüße 👋 \\ud83d"}]} ],\r\n\t"generationConfig":'
    '{"temperature":1.0,"seed":12345678901234567890,"topP":0.950},"contents" :[]}'
).encode()


def test_a_body_goes_on_byte_for_byte() -> None:
    call = a_relayed_call(body=ODD)

    assert relayed_body(call) is call.body


def test_the_path_has_the_name_of_the_upstream() -> None:
    call = a_relayed_call("streamGenerateContent", query="alt=sse", target="gemini-3.1-pro-preview")

    assert relayed_path(call) == "/models/gemini-3.1-pro-preview:streamGenerateContent?alt=sse"


def test_the_body_of_a_batch_names_the_upstreams_model_and_nothing_else_changes() -> None:
    body = (
        '{"requests": [ {"model":"models/gemini-3-flash", "content":{"parts":[{"text":'
        '"\\"model\\":\\"gemini-3-flash\\" ü"}]}},\r\n{"model" : "gemini-3-flash"},'
        '{"model":"models/another"},'
        '{"content":{"parts":[{"functionCall":{"args":{"model":"gemini-3-flash"}}}]}}]}'
    ).encode()

    changed = with_model_names(body, "batchEmbedContents", MODEL, "gemini-embedding-002")

    expected = body.replace(b'"models/gemini-3-flash"', b'"models/gemini-embedding-002"', 1)
    expected = expected.replace(b': "gemini-3-flash"', b': "gemini-embedding-002"', 1)
    assert changed == expected


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        (
            "countTokens",
            b'{"generateContentRequest":{"model":"models/gemini-3-flash","contents":[]}}',
            b'{"generateContentRequest":{"model":"models/x","contents":[]}}',
        ),
        (
            "embedContent",
            b'{"model":"models\\/gemini-3-flash","content":{}}',
            b'{"model":"models/x","content":{}}',
        ),
        ("generateContent", b'{"model":"gemini-3-flash"}', b'{"model":"x"}'),
    ],
)
def test_each_method_has_its_places(verb: str, before: bytes, after: bytes) -> None:
    assert relayed_body(a_relayed_call(verb, before, target="x")) == after


def test_a_name_that_is_no_json_stays() -> None:
    body = b'{"model":"gemini\\q","x":"gemini-3-flash"}'

    assert with_model_names(body, "generateContent", MODEL, "x") is body


def test_names_in_arguments_of_calls_stay() -> None:
    body = json.dumps(
        {"contents": [{"parts": [{"functionCall": {"args": {"model": MODEL, "t": 'a"model":'}}}]}]}
    ).encode()

    assert relayed_body(a_relayed_call(body=body, target="x")) is body


@given(st.dictionaries(st.text(), st.text() | st.just(MODEL)))
def test_texts_never_change_with_the_name(texts: dict[str, str]) -> None:
    texts.pop("model", None)
    body = json.dumps({**texts, "model": MODEL, "nested": [texts]}).encode()

    changed = with_model_names(body, "generateContent", MODEL, "x")

    assert json.loads(changed) == {**texts, "model": "x", "nested": [texts]}


def test_a_key_with_a_limit_of_tokens_cannot_hide_them() -> None:
    call = a_relayed_call(query="fields=candidates.content&alt=json", counts_tokens=True)

    assert relayed_path(call).endswith(":generateContent?alt=json")


CALL = '"functionCall":{"name":"f"}'
PLACEHOLDER = '"thoughtSignature":"skip_thought_signature_validator"'


@pytest.mark.every_case
@pytest.mark.parametrize(
    ("part", "left"),
    [
        ('{"functionCall":{"name":"f"},"thoughtSignature":"%s"}', f"{{{CALL},{PLACEHOLDER}}}"),
        ('{"thought_signature" : "%s", "functionCall":{"name":"f"}}', f"{{{PLACEHOLDER}, {CALL}}}"),
        ('{"text":"{}","thoughtSignature":"%s"}', '{"text":"{}"}'),
        ('{"thoughtSignature": "%s" , "text":"a"}', '{ "text":"a"}'),
        ('{"text":"a","thought_signature":"%s","x":1}', '{"text":"a","x":1}'),
        ('{"text":"a"},{"text":"","thoughtSignature":"%s"}', '{"text":"a"}'),
        (
            '{"text":"a"},{"thoughtSignature":"%s", "text" : ""},{"text":"b"}',
            '{"text":"a"},{"text":"b"}',
        ),
        ('{"text":"","thoughtSignature":"%s"},{"text":"b"}', '{"text":"b"}'),
        ('{"text":"","thoughtSignature":"%s"}', '{"text":""}'),
        ('{"thoughtSignature":"%s"}', "{}"),
    ],
)
@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode])
def test_seals_of_other_upstreams_are_cut_and_calls_keep_a_placeholder(
    part: str, left: str, alphabet: object
) -> None:
    assert callable(alphabet)
    seal = alphabet(base64.b64decode(SEAL)).decode()
    around = (
        '{"contents":[{"parts":[{"text":"ü","thoughtSignature":"%s"}]},{"parts":[%s]}],"x":1.0}'
    )
    body = (around % (GOOGLES, part % seal)).encode()

    assert without_seals(body) == (around % (GOOGLES, left)).encode()


def test_a_text_about_seals_stays() -> None:
    text = f'{{"thoughtSignature":"{SEAL}"}}'
    body = json.dumps({"contents": [{"parts": [{"text": text}, {"text": 'a"thoughtSignature"'}]}]})

    assert without_seals(body.encode()) == body.encode()


@pytest.mark.parametrize("recording", recordings("gemini"))
def test_every_recorded_request_goes_on_byte_for_byte(recording: dict[str, object]) -> None:
    body, _ = request_of(recording)

    assert relayed_body(a_relayed_call(body=body)) is body


@pytest.mark.parametrize("recording", recordings("gemini"))
def test_no_recorded_request_changes_but_for_its_name(recording: dict[str, object]) -> None:
    body, _ = request_of(recording)
    named = json.dumps({**json.loads(body), "model": f"models/{MODEL}"}).encode()

    changed = with_model_names(named, "generateContent", MODEL, "gemini-other")

    assert json.loads(changed) == {**json.loads(body), "model": "models/gemini-other"}


def test_as_many_names_are_replaced_as_a_batch_can_have() -> None:
    one = b'{"model":"models/a"}'
    body = b'{"requests":[' + b",".join([one] * 3000) + b"]}"

    changed = with_model_names(body, "batchEmbedContents", "a", "b")

    assert changed.count(b'"models/b"') == 2048
    assert changed.count(b'"models/a"') == 3000 - 2048
