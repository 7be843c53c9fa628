"""Seals as Google's clients carry them come back whole; Google's own signatures stay closed."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jarvis_proxy.canonical.google_signature import from_signature, is_ours, to_signature
from jarvis_proxy.canonical.sealed_state import SealedState

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1)
OWNERS = st.sampled_from(["gemini", "anthropic", "chat.deepseek"])


@given(OWNERS, TEXTS)
def test_state_comes_back_as_it_went_out(owner: str, payload: str) -> None:
    signature = to_signature(SealedState(owner, payload))

    assert is_ours(signature)
    assert from_signature(signature) == SealedState(owner, payload)


@given(OWNERS, TEXTS)
def test_state_survives_an_sdk_that_encodes_bytes_anew(owner: str, payload: str) -> None:
    raw = base64.b64decode(to_signature(SealedState(owner, payload)))
    again = base64.urlsafe_b64encode(raw).decode()

    assert is_ours(again)
    assert from_signature(again) == SealedState(owner, payload)
    assert from_signature(again.rstrip("=")) == SealedState(owner, payload)


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
def test_nothing_else_opens(signature: str) -> None:
    assert from_signature(signature) is None
