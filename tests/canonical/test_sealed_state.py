"""Sealed state: what comes back is what went out, and nothing else opens."""

import base64
import json
import zlib
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.sealed_state import (
    SealedState,
    anthropic_blocks,
    chat_owner,
    from_google_signature,
    has_owner,
    is_our_google_signature,
    seal,
    thinking_blocks,
    to_google_signature,
    unseal,
)

OWNERS = ("gemini", "anthropic", chat_owner("DEEPSEEK"))

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)


@given(st.sampled_from(OWNERS), TEXTS)
def test_state_comes_back_as_it_went_out(owner: str, payload: str) -> None:
    text = seal(SealedState(owner, payload))
    assert text.startswith(f"{owner}:")
    assert unseal(text) == SealedState(owner, payload)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EqQBCkYIBRgC",  # a bare signature of Anthropic's
        "gemini:",
        "openai:abc",
        "chat.:abc",
        "chat.deepseek:no base64!",
        "chat.deepseek:" + urlsafe_b64encode(b"no zlib").decode(),
        "chat.deepseek:" + urlsafe_b64encode(zlib.compress(b"x" * 100)[:-4]).decode(),
        "chat.deepseek:" + urlsafe_b64encode(zlib.compress(b"\xff")).decode(),
        "chat.deepseek:\udc80",
    ],
)
def test_what_is_no_whole_seal_opens_as_nothing(text: str) -> None:
    assert unseal(text) is None


def test_a_seal_that_inflates_beyond_four_mebibytes_opens_as_nothing() -> None:
    assert unseal(seal(SealedState("chat.x", "a" * 4 * 1024 * 1024))) is not None
    assert unseal(seal(SealedState("chat.x", "a" * (4 * 1024 * 1024 + 1)))) is None


def test_only_seals_name_an_owner() -> None:
    assert has_owner("gemini:abc")
    assert has_owner("chat.kimi:abc")
    assert not has_owner("EqQBCkYIBRgC")
    assert not has_owner("")


def test_anthropic_blocks_are_read_from_their_own_seal_only() -> None:
    block = {"type": "thinking", "thinking": "a", "signature": "s"}
    payload = '[{"type":"thinking","thinking":"a","signature":"s"}]'
    assert anthropic_blocks(SealedState("anthropic", payload)) == [block]
    assert anthropic_blocks(SealedState("gemini", payload)) == []
    assert anthropic_blocks(SealedState("anthropic", "[1]")) == []
    assert anthropic_blocks(SealedState("anthropic", "[" * 100_000)) == []


@given(st.sampled_from(OWNERS), TEXTS)
def test_state_comes_back_from_a_google_client_as_it_went_out(owner: str, payload: str) -> None:
    signature = to_google_signature(SealedState(owner, payload))

    assert is_our_google_signature(signature)
    assert from_google_signature(signature) == SealedState(owner, payload)


@given(st.sampled_from(OWNERS), TEXTS)
def test_state_survives_an_sdk_that_encodes_bytes_again(owner: str, payload: str) -> None:
    raw = base64.b64decode(to_google_signature(SealedState(owner, payload)))
    again = base64.urlsafe_b64encode(raw).decode()

    assert is_our_google_signature(again)
    assert from_google_signature(again) == SealedState(owner, payload)
    assert from_google_signature(again.rstrip("=")) == SealedState(owner, payload)


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "CpcBAdHtim9Uf0pQ",  # Google's
        "skip_thought_signature_validator",
        base64.b64encode(b"jarvis-something").decode(),
        base64.b64encode(b"jarvis:openai:abc").decode(),
        base64.b64encode(b"jarvis:\xff\xfe").decode(),
        base64.b64encode(b"jarvis:chat.x:damaged").decode(),
        "amFydmlzO",
    ],
)
def test_no_other_google_signature_opens(signature: str) -> None:
    assert from_google_signature(signature) is None


def test_thinking_blocks_are_anthropics_own_and_other_upstreams_sealed_thoughts() -> None:
    block = {"type": "thinking", "thinking": "a", "signature": "s"}
    kept = SealedState(chat_owner("kimi"), "a")

    assert thinking_blocks(SealedState("anthropic", json.dumps([block]))) == [block]
    assert thinking_blocks(kept) == [{"type": "thinking", "thinking": "a", "signature": seal(kept)}]


def test_a_signature_for_what_comes_next_is_no_thinking_block() -> None:
    assert thinking_blocks(SealedState("gemini", "signature")) == []
