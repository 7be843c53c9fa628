"""Sealed state: what comes back is what went out, and nothing else opens."""

import zlib
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.sealed_state import (
    SealedState,
    anthropic_blocks,
    chat_owner,
    has_owner,
    seal,
    unseal,
)

OWNERS = ("gemini", "anthropic", chat_owner("DEEPSEEK"))


@given(st.sampled_from(OWNERS), st.text(st.characters(codec="utf-8"), min_size=1))
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
