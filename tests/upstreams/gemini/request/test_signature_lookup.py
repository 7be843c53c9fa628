"""carriers: how thought signatures come back and which one is sent."""

import base64
import json
from typing import Any

import msgspec
import pytest

from jarvis_proxy.canonical.chat_request import ChatMessage, ToolCall
from jarvis_proxy.canonical.history import alnum_id, strip_signature_suffix
from jarvis_proxy.upstreams.gemini.model_traits import traits_of
from jarvis_proxy.upstreams.gemini.request.signature_lookup import (
    PLACEHOLDER,
    SignatureResolver,
)
from jarvis_proxy.upstreams.gemini.signature_store import StoredSignature
from tests.upstreams.gemini.chat import NEWEST, OLD, DictSignatureStore

SIGNED = "EsgBCsUBAXLI2nxs"
OTHER = "AY89a1+/-_=="
ENCODED = base64.b64encode(PLACEHOLDER.encode()).decode()


def call(**fields: Any) -> ToolCall:
    return msgspec.convert({"id": "call_1", "type": "function", **fields}, ToolCall)


def message(**fields: Any) -> ChatMessage:
    return msgspec.convert({"role": "assistant", **fields}, ChatMessage)


def extra(signature: object, vendor: str = "google") -> dict[str, object]:
    return {"extra_content": {vendor: {"thought_signature": signature}}}


def signer(
    model: str = NEWEST,
    store: dict[str, StoredSignature] | None = None,
    *,
    sentinel_only: bool = False,
) -> SignatureResolver:
    return SignatureResolver(
        traits_of(model), DictSignatureStore(store), 0.0, sentinel_only=sentinel_only
    )


def sent(
    tool_call: ToolCall | None,
    within: ChatMessage | None = None,
    *,
    model: str = NEWEST,
    store: dict[str, StoredSignature] | None = None,
    first: bool = True,
    sentinel_only: bool = False,
) -> tuple[str | None, dict[str, int]]:
    by = signer(model, store, sentinel_only=sentinel_only)
    known = by.remembered(tool_call.id if tool_call else None)
    signature = by.for_call(tool_call, within or message(), known, first=first)
    return signature, dict(by.sources)


DETAILS = message(
    reasoning_details=[
        {"type": "reasoning.text", "id": None},
        {"type": "reasoning.encrypted", "id": "other", "data": OTHER},
        {"type": "reasoning.encrypted", "id": "call-1", "data": SIGNED},
    ]
)


@pytest.mark.parametrize(
    ("tool_call", "within", "source"),
    [
        (call(**extra(SIGNED)), message(), "extra_content"),
        (call(**extra(SIGNED, "vertex")), message(), "extra_content"),
        (call(), DETAILS, "reasoning_details"),
        (
            call(provider_specific_fields={"thought_signature": SIGNED}),
            message(),
            "provider_fields",
        ),
        (
            call(provider_specific_fields={"thought_signatures": [3, SIGNED]}),
            message(),
            "provider_fields",
        ),
        (call(id=f"call_1__thought__{SIGNED}"), message(), "id"),
        (None, message(**extra(SIGNED)), "extra_content"),
    ],
    ids=["google", "vertex", "details", "provider", "provider list", "id", "legacy call"],
)
def test_each_carrier_brings_the_signature_back(
    tool_call: ToolCall | None, within: ChatMessage, source: str
) -> None:
    assert (SIGNED, {source: 1}) == sent(tool_call, within)


def test_the_first_carrier_wins() -> None:
    both = call(**extra(OTHER), provider_specific_fields={"thought_signature": SIGNED})

    assert sent(both, DETAILS) == (OTHER, {"extra_content": 1})


@pytest.mark.parametrize(
    ("store", "tool_call", "expected"),
    [
        ({"call_1": StoredSignature(SIGNED, None)}, call(), (SIGNED, {"store": 1})),
        ({"call_1": StoredSignature(SIGNED, "n")}, call(**extra(OTHER)), (SIGNED, {"store": 1})),
        (
            {"call_1": StoredSignature(SIGNED, None)},
            call(**extra(SIGNED)),
            (SIGNED, {"extra_content": 1}),
        ),
        (
            {"call_1": StoredSignature(None, "n")},
            call(**extra(OTHER)),
            (PLACEHOLDER, {"placeholder": 1}),
        ),
        (
            {"call_1": StoredSignature(SIGNED, None)},
            call(id="call_1__thought__QUJD"),
            (SIGNED, {"store": 1}),
        ),
    ],
    ids=["alone", "overrules", "agrees", "knows it unsigned", "known by the bare id"],
)
def test_the_vault_overrules_the_client(
    store: dict[str, StoredSignature], tool_call: ToolCall, expected: tuple[str, dict[str, int]]
) -> None:
    assert expected == sent(tool_call, store=store)


@pytest.mark.parametrize(
    "signature",
    [
        PLACEHOLDER,
        ENCODED,
        "context_engineering_is_the_way_to_go",
        "not base64!",
        "",
        3,
        None,
        "{broken json",
        "{}",
        "[]",
        json.dumps({"data": PLACEHOLDER}),
        json.dumps(5),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_placeholders_and_rubbish_count_as_no_signature(signature: object, first: bool) -> None:
    expected = (PLACEHOLDER, {"placeholder": 1}) if first else (None, {})

    assert expected == sent(call(**extra(signature)), first=first)


@pytest.mark.parametrize(
    "wrapped",
    [
        {"type": "reasoning.encrypted", "data": SIGNED, "id": "x", "format": "google-gemini-v1"},
        {"thought_signature": SIGNED},
        {"google": {"thought_signature": SIGNED}},
        [{"type": "reasoning.text"}, {"data": SIGNED}],
        SIGNED,
    ],
    ids=str,
)
def test_a_signature_that_is_json_text_is_unwrapped(wrapped: object) -> None:
    assert sent(call(**extra(json.dumps(wrapped)))) == (SIGNED, {"extra_content": 1})


@pytest.mark.parametrize("call_id", ["call_1__thought__EsgBC", "call_1__thought__", "call_1"])
def test_a_signature_cut_short_in_an_id_is_none(call_id: str) -> None:
    assert sent(call(id=call_id)) == (PLACEHOLDER, {"placeholder": 1})


@pytest.mark.parametrize(
    "value", ["text", {"google": "x"}, {"google": {"thought": True}}, {"other": {}}, [1]]
)
def test_carriers_of_other_shapes_are_passed_over(value: object) -> None:
    odd = call(extra_content=value, provider_specific_fields=value)

    assert sent(odd, message(reasoning_details=value))[0] == PLACEHOLDER


def test_details_belong_to_a_call_with_an_id() -> None:
    nameless = message(reasoning_details=[{"id": "", "data": SIGNED}])

    assert sent(call(id=""), nameless)[0] == PLACEHOLDER


def test_a_signature_is_sent_once() -> None:
    by = signer()
    signatures = [
        by.for_call(call(**extra(SIGNED)), message(), None, first=first)
        for first in (True, False, True)
    ]

    assert signatures == [SIGNED, None, PLACEHOLDER]
    assert by.sources == {"extra_content": 1, "placeholder": 1}


def test_a_sibling_keeps_a_signature_of_its_own() -> None:
    """A client may have put two steps into one message; each part keeps what is its own."""
    by = signer()
    by.for_call(call(**extra(SIGNED)), message(), None, first=True)

    assert by.for_call(call(**extra(OTHER)), message(), None, first=False) == OTHER


@pytest.mark.parametrize(
    ("model", "tool_call", "expected"),
    [
        (OLD, call(), None),
        (OLD, call(**extra(SIGNED)), SIGNED),
        ("gemini-2.0-flash", call(**extra(SIGNED)), None),
        ("gemini-flash-latest", call(), PLACEHOLDER),
        ("gemini-4-argon", call(), PLACEHOLDER),
    ],
)
def test_only_models_that_check_get_a_placeholder(
    model: str, tool_call: ToolCall, expected: str | None
) -> None:
    assert expected == sent(tool_call, model=model)[0]


def test_after_a_refusal_only_placeholders_are_sent() -> None:
    store = {"call_1": StoredSignature(OTHER, None)}
    by = signer(store=store, sentinel_only=True)

    assert sent(call(**extra(SIGNED)), store=store, sentinel_only=True) == (
        PLACEHOLDER,
        {"placeholder": 1},
    )
    assert by.for_text(message(**extra(SIGNED))) is None


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        (message(**extra(SIGNED)), SIGNED),
        (message(provider_specific_fields={"thought_signatures": [SIGNED]}), SIGNED),
        (message(**extra(PLACEHOLDER)), None),
        (message(), None),
    ],
    ids=["extra_content", "provider", "placeholder", "none"],
)
def test_a_text_gets_the_signature_of_its_message(
    within: ChatMessage, expected: str | None
) -> None:
    assert expected == signer().for_text(within)
    assert signer("gemini-2.0-flash").for_text(within) is None


def test_an_empty_id_is_looked_up_nowhere() -> None:
    by = signer(store={"": StoredSignature(SIGNED, None)})

    assert (by.remembered(None), by.remembered("")) == (None, None)


def test_ids_without_what_was_appended_and_without_punctuation() -> None:
    assert (
        strip_signature_suffix("call_1__thought__QUJD")
        == strip_signature_suffix("call_1")
        == "call_1"
    )
    assert alnum_id("call_1-a.b:ü") == "call1ab"


KNOWN = {"msg_1": StoredSignature(SIGNED, None), "msg_2": StoredSignature(None, "n")}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (message(id="msg_1"), SIGNED),
        (message(id="msg_1", **extra(OTHER)), OTHER),
        (message(id="msg_2"), None),
        (message(id="msg_3"), None),
        (message(id="call_1"), None),
        (message(id=5), None),
        (message(), None),
    ],
)
def test_a_text_that_was_a_response_s_message_is_known_by_its_id(
    said: ChatMessage, expected: str | None
) -> None:
    known = {**KNOWN, "call_1": StoredSignature(OTHER, None)}

    assert signer(store=known).for_text(said) == expected


def test_a_text_known_by_its_id_is_counted_as_from_the_vault() -> None:
    by = signer(store=dict(KNOWN))

    by.for_text(message(id="msg_1"))

    assert by.sources == {"store": 1}
