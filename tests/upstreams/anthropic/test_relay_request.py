"""Rows L1 and R3 and the seals: a relayed request keeps its bytes but for what would be refused."""

import json
from typing import Any

import pytest

from jarvis_proxy.canonical.sealed_state import SealedState, seal
from jarvis_proxy.upstreams.anthropic.relay_request import relayed_body, without_thinking

Json = dict[str, Any]

GEMINI = "gemini:U2ln"
DEEPSEEK = seal(SealedState("chat.deepseek", "so I think"))
BARE = "EqQBCkYIBRgC"
BILLING = "x-anthropic-billing-header: cc_version=2.1;"


def thinking(signature: str) -> Json:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}
TEXT = {"type": "text", "text": "b"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}


def body(*blocks: Json, **fields: Any) -> bytes:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": list(blocks)},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
    ]
    return json.dumps({"model": "m", "max_tokens": 1, "messages": messages, **fields}).encode()


def relayed(data: bytes, *, is_anthropic: bool = True) -> Json:
    found: Json = json.loads(relayed_body(data, None, is_anthropic=is_anthropic))
    return found


ODD = (
    rb'{ "model" : "m",  "max_tokens": 100000000000000000000000, "temperature": 1.0,'
    rb' "a": "\u00fc\ud83d",'
    rb' "a": 2, "messages":[{"role":"assistant","content":[{"type":"thinking","signature":"%b"}]}]}'
)


@pytest.mark.parametrize("is_anthropic", [True, False])
@pytest.mark.parametrize(
    "data",
    [
        ODD % b"EqQB",
        body(thinking(BARE), thinking(""), REDACTED, TEXT),
        body({"type": "text", "text": "gemini: is a sign, and chat. too"}),
        body(CALL | {"name": "chat.tool"}),
        b'{"messages": "gemini:", "x": "gemini:y"}',
        b'{"messages": [1, "gemini:"]}',
        b'{"x": "gemini:',
        b'{"x": "gemini:", "messages": [{"content": [{"type": [1]}, "y"]}]}',
        b'{"x": "gemini:"}',
        b"[]",
    ],
)
def test_a_body_without_seals_keeps_its_bytes(data: bytes, is_anthropic: bool) -> None:
    assert relayed_body(data, None, is_anthropic=is_anthropic) is data


def test_the_name_of_the_model_is_changed() -> None:
    changed = relayed_body(body(thinking(BARE)), "claude-x", is_anthropic=True)
    assert json.loads(changed) == json.loads(body(thinking(BARE))) | {"model": "claude-x"}


@pytest.mark.parametrize("signature", [GEMINI, DEEPSEEK])
def test_thinking_of_another_upstream_is_cut_out(signature: str) -> None:
    data = body(thinking(BARE), thinking(signature), REDACTED, TEXT, CALL)
    assert relayed(data) == json.loads(body(thinking(BARE), REDACTED, TEXT, CALL))


def test_message_without_remaining_blocks_is_dropped() -> None:
    found = relayed(body(thinking(GEMINI)))
    assert [message["role"] for message in found["messages"]] == ["user", "user"]


def test_thinking_without_a_signature_goes_where_it_is_an_error() -> None:
    data = body(thinking(GEMINI), thinking(""), TEXT)
    assert relayed(data) == json.loads(body(TEXT))
    assert relayed(data, is_anthropic=False) == json.loads(body(thinking(""), TEXT))


def test_the_rest_of_a_changed_body_keeps_its_bytes() -> None:
    odd = ODD % b'gemini:U2ln"},{"type":"text","text":"\\ud83d  x'
    changed = relayed_body(odd, None, is_anthropic=True)
    for piece in (
        b"100000000000000000000000",
        b"1.0",
        rb'"text":"\ud83d  x"',
    ):
        assert piece in changed
    assert b"gemini" not in changed


@pytest.mark.parametrize(
    ("system", "left"),
    [
        ([{"type": "text", "text": BILLING}, TEXT], [TEXT]),
        ([TEXT, {"type": "text", "text": BILLING, "cache_control": {}}], [TEXT]),
        (f"{BILLING}\nBe brief.", "Be brief."),
        ([{"type": "text", "text": BILLING}], None),
        (BILLING, None),
    ],
)
def test_the_billing_line_goes_to_anthropic_alone(system: Any, left: Any) -> None:
    data = body(TEXT, system=system)
    assert relayed_body(data, None, is_anthropic=True) is data
    assert relayed(data, is_anthropic=False).get("system") == left


@pytest.mark.parametrize("system", [f"Be brief.\n{BILLING}", [{"text": [BILLING]}]])
def test_the_billing_line_is_known_by_its_place(system: Any) -> None:
    data = body(TEXT, x=BILLING, system=system)
    assert relayed(data, is_anthropic=False)["system"] == system


def test_a_body_without_system_may_name_the_line() -> None:
    data = body(TEXT, x=BILLING)
    assert relayed_body(data, None, is_anthropic=False) is data


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, None),
        ({"type": "adaptive"}, {"type": "adaptive"}),
    ],
)
def test_without_thinking_there_is_neither_a_block_nor_a_budget(asked: Json, left: Any) -> None:
    changed = without_thinking(body(thinking(BARE), REDACTED, TEXT, thinking=asked))
    assert changed is not None
    found = json.loads(changed)
    assert found.pop("thinking", None) == left
    assert found == json.loads(body(TEXT))


def test_what_has_no_thinking_is_not_asked_again() -> None:
    assert without_thinking(body(TEXT)) is None
    assert without_thinking(body(TEXT, thinking={"type": "adaptive"})) is None
    assert without_thinking(b"{") is None


def test_a_budget_alone_is_turned_off() -> None:
    changed = without_thinking(body(TEXT, thinking={"type": "enabled", "budget_tokens": 1024}))
    assert changed is not None
    assert "thinking" not in json.loads(changed)


@pytest.mark.parametrize("kind", ["adaptive", "enabled", "disabled", "of_next_year"])
@pytest.mark.parametrize("is_anthropic", [True, False])
def test_a_clients_thinking_is_left_as_it_is(kind: str, is_anthropic: bool) -> None:
    data = body(
        TEXT, thinking={"type": kind, "display": "omitted"}, output_config={"effort": "max"}
    )
    assert relayed_body(data, None, is_anthropic=is_anthropic) is data
